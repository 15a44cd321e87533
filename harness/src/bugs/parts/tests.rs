//! Parts that belong together are one scorecard; others are refused by name.

use super::super::hunt::Found;
use super::*;

const WHOLE: [&str; 5] = ["a", "b", "c", "d", "e"];

fn bug(name: &str) -> Bug {
    let text = "title = \"t\"\nrows = []\nkind = \"reads\"\nsource = \"s\"\nsim = [\"p\"]\n\
                [[edit]]\nfile = \"f\"\nfind = \"x\"\nreplace = \"y\"\n";
    Bug {
        name: name.to_owned(),
        ..toml::from_str(text).unwrap()
    }
}

fn catalog() -> Catalog {
    Catalog {
        bugs: WHOLE.into_iter().map(bug).collect(),
        digest: "edits".to_owned(),
        ..Catalog::default()
    }
}

fn origin() -> Origin {
    Origin {
        commit: "abc".to_owned(),
        sources: "sources".to_owned(),
        edits: "edits".to_owned(),
        worlds: World::ALL.to_vec(),
        budget: None,
        first_seed: 1,
    }
}

fn found(seeds: u64) -> Found {
    Found {
        seeds,
        unknown: 0,
        seconds: 1.0,
        catch: None,
    }
}

/// Writes a part with rows of `bugs`, whose control passed `seeds`.
fn write(folder: &Path, shard: Shard, origin: Origin, bugs: &[&str], seeds: u64) {
    let mut rows = Rows::create(folder, shard, origin).unwrap();
    let control = Control {
        world: World::Sim,
        plan: "p".into(),
        found: Ok(found(seeds)),
    };
    rows.add_control(&control).unwrap();
    for name in bugs {
        rows.add_line(&Line::new(&bug(name), World::Sim, Score::Hunted(found(2))))
            .unwrap();
    }
}

/// A folder with the two parts of the whole.
fn halves() -> (tempfile::TempDir, [PathBuf; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let parts = [folder.path().join("one"), folder.path().join("two")];
    let shard = |index| Shard { index, count: 2 };
    write(&parts[0], shard(1), origin(), &["a", "c", "e"], 9);
    write(&parts[1], shard(2), origin(), &["b", "d"], 7);
    (folder, parts)
}

fn refused(folders: &[PathBuf]) -> String {
    join(folders, &catalog()).unwrap_err().to_string()
}

#[test]
fn two_halves_are_the_whole_in_any_order() {
    let (_folder, [one, two]) = halves();
    let card = join(&[two, one], &catalog()).unwrap();
    let names: Vec<&str> = card.lines.iter().map(|line| line.bug.as_str()).collect();
    assert_eq!(names, WHOLE);
    let controls: Vec<u64> = card
        .controls
        .iter()
        .map(|control| control.found.as_ref().unwrap().seeds)
        .collect();
    assert_eq!(controls, [7], "what it passed in both halves");
}

#[test]
fn a_part_is_given_once() {
    let (folder, [one, two]) = halves();
    let said = refused(&[one.clone(), two.clone(), one.clone()]);
    assert!(
        said.contains("overlap") && said.contains("1/2 and 1/2") && said.contains("one/rows"),
        "{said}"
    );
    let third = folder.path().join("third");
    write(&third, Shard { index: 3, count: 3 }, origin(), &["c"], 9);
    let said = refused(&[one, two, third]);
    assert!(said.contains("third") && said.contains("1/2 and 3/3"), "{said}");
}

#[test]
fn a_part_that_lacks_is_named() {
    let (_folder, [one, _]) = halves();
    assert_eq!(refused(&[one]), "missing: part 2/2");
    assert_eq!(refused(&[]), "missing: every part");
}

#[test]
fn a_part_that_was_stopped_is_named_with_its_first_bug() {
    let (_folder, [one, two]) = halves();
    write(&two, Shard { index: 2, count: 2 }, origin(), &["b"], 7);
    let said = refused(&[one.clone(), two.clone()]);
    assert!(said.contains("part 2/2 has no row of `d`"), "{said}");
    // In the middle of a line.
    let path = two.join(ROWS_FILE);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, &text[..text.len() - 5]).unwrap();
    let said = refused(&[one, two]);
    assert!(
        said.contains("two/rows.jsonl, line 3") && said.contains("run this part again"),
        "{said}"
    );
}

#[test]
fn a_row_belongs_to_its_part() {
    let (_folder, [one, two]) = halves();
    write(&two, Shard { index: 2, count: 2 }, origin(), &["b", "d", "a"], 7);
    let said = refused(&[one.clone(), two.clone()]);
    assert!(said.contains("line 5: `a` is no bug of part 2/2"), "{said}");
    write(&two, Shard { index: 2, count: 2 }, origin(), &["b", "d", "b"], 7);
    let said = refused(&[one, two]);
    assert!(said.contains("line 5: `b` is there twice"), "{said}");
}

#[test]
fn parts_of_another_origin_are_refused() {
    let others = [
        (
            Origin {
                commit: "def".to_owned(),
                ..origin()
            },
            "another commit",
        ),
        (
            Origin {
                sources: "changed".to_owned(),
                ..origin()
            },
            "another state of the sources",
        ),
        (
            Origin {
                edits: "changed".to_owned(),
                ..origin()
            },
            "another set of edits",
        ),
        (
            Origin {
                first_seed: 2,
                ..origin()
            },
            "another choice of worlds",
        ),
    ];
    for (other, expected) in others {
        let (_folder, [one, two]) = halves();
        write(&two, Shard { index: 2, count: 2 }, other, &["b", "d"], 7);
        let said = refused(&[one, two]);
        assert!(
            said.contains(expected) && said.contains("two/rows.jsonl"),
            "{said}"
        );
    }
}

#[test]
fn edits_that_changed_since_are_refused() {
    let (_folder, parts) = halves();
    let catalog = Catalog {
        digest: "newer".to_owned(),
        ..catalog()
    };
    let said = join(&parts, &catalog).unwrap_err().to_string();
    assert!(
        said.contains("another set of edits") && said.contains("newer"),
        "{said}"
    );
}
