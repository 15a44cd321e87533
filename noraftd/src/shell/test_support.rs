//! What unit tests of this folder share.

use tokio::runtime::{Builder, LocalOptions};

/// Runs a test on a runtime like the node's own.
pub(super) fn run(test: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default());
    runtime.expect("a runtime").block_on(test);
}
