//! Every input that once reached new code, or broke something, is used again.

#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

use std::panic::catch_unwind;
use std::path::Path;

use fuzz::{TARGETS, Target};

fn replay(target: Target) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target.name);
    let mut replayed = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let file = entry.unwrap().path();
        let bytes = std::fs::read(&file).unwrap();
        let used = catch_unwind(|| (target.run)(&bytes));
        assert!(
            used.is_ok(),
            "repeat: FUZZ_TARGET={} cargo run -p fuzz -- {}",
            target.name,
            file.display()
        );
        replayed += 1;
    }
    assert!(replayed > 0, "{} has no inputs", folder.display());
}

macro_rules! replayed {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            replay(fuzz::target(stringify!($name)).unwrap());
        })*

        #[test]
        fn every_target_is_replayed() {
            let names = [$(stringify!($name)),*];
            assert_eq!(TARGETS.map(|target| target.name).as_slice(), names.as_slice());
        }
    };
}

replayed!(frames histories plans resp segments snapshots);
