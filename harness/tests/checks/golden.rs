//! Golden histories: what `harness check` says about every `results/golden/*.jsonl`, word for word.
//!
//! To accept new words: `INSTA_UPDATE=always cargo test -p harness --test checks golden::`.

use std::path::Path;

use harness::checker::{self, Budget, Options};
use harness::{formats, report};

/// Histories whose picture is kept as well.
const PICTURED: [&str; 2] = ["register-stale-read", "log-lost-write"];

#[test]
fn the_words_about_golden_histories_have_not_changed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../results/golden");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .collect();
    files.sort();
    assert!(
        files.len() >= 10,
        "golden histories are missing from {}",
        folder.display()
    );
    for file in files {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let mut recording = formats::read_path(&file).unwrap_or_else(|error| panic!("{error}"));
        let report = checker::check(&mut recording, &Options::default(), &Budget::default());
        insta::with_settings!({ prepend_module_to_snapshot => false, snapshot_path => &folder }, {
            insta::assert_snapshot!(&*name, report::explain(&recording, &report));
            if PICTURED.contains(&&*name) {
                let svg = report::svg::draw(&recording, &report).unwrap();
                insta::assert_snapshot!(format!("{name}.svg"), svg);
            }
        });
    }
}
