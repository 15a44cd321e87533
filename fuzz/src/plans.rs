//! Plan files.
//!
//! A plan that is accepted can be written and read again as the same plan: what a run's folder keeps repeats the run.

use std::path::Path;

use harness::plan::Plan;

pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let path = Path::new("plan.toml");
    let Ok(plan) = Plan::parse(text, path) else { return };
    let written = plan.to_toml();
    match Plan::parse(&written, path) {
        Ok(again) => assert!(again == plan, "read again, it is another plan:\n{written}"),
        Err(error) => panic!("what was written is refused: {error}\n{written}"),
    }
    let _ = plan.for_processes(1);
    let _ = plan.for_simulation();
}
