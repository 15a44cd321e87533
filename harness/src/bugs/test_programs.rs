//! Programs of tests, in the place of plans: a folder of the sources names one, a file in it a part of one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// The package and target of `path`, such as `noraftd/tests/store/rows.rs` or `noraftd/src`.
pub(super) fn target(path: &Path) -> Option<(&str, Target<'_>)> {
    let mut parts = path.iter().map(|part| part.to_str());
    let package = parts.next()??;
    match parts.next()?? {
        "src" => Some((package, Target::Library)),
        "tests" => Some((package, Target::Program(parts.next()??))),
        _ => None,
    }
}

/// What cargo builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target<'a> {
    /// The unit tests of the library.
    Library,
    /// A folder of tests.
    Program(&'a str),
}

impl Target<'_> {
    /// The option that chooses it.
    pub(super) fn option(self) -> String {
        match self {
            Self::Library => "--lib".to_owned(),
            Self::Program(name) => format!("--test={name}"),
        }
    }
}

/// What chooses the tests of one file: the path of its module.
pub(super) fn filter(path: &Path) -> Vec<String> {
    let Some("rs") = path.extension().and_then(|extension| extension.to_str()) else {
        return Vec::new();
    };
    let parts: Vec<&str> = path.iter().filter_map(|part| part.to_str()).collect();
    let from = if parts.get(1) == Some(&"src") { 2 } else { 3 };
    let modules = parts.get(from..).unwrap_or_default().iter();
    let modules: Vec<&str> = modules
        .map(|part| part.trim_end_matches(".rs"))
        .filter(|part| !["main", "mod", "lib"].contains(part))
        .collect();
    if modules.is_empty() {
        return Vec::new();
    }
    vec![format!("{}::", modules.join("::"))]
}

/// How many tests there were, and the first by name that failed; nothing when they did not come to their end.
pub(super) fn outcome(said: &str) -> Option<(u64, Option<String>)> {
    let ended = said.lines().any(|line| line.starts_with("test result: "));
    let count = said
        .lines()
        .find_map(|line| line.strip_prefix("running ")?.split(' ').next()?.parse().ok());
    let failed = said
        .lines()
        .filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
    let failed = failed.min().map(str::to_owned);
    ended.then_some((count?, failed))
}

/// The programs that cargo has built, by package and target, of what it wrote with `--message-format json`.
pub(super) fn programs(messages: &str) -> BTreeMap<(String, String), PathBuf> {
    let parsed = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok());
    parsed
        .filter_map(|message| {
            let package = message.manifest_path.parent()?.file_name()?.to_str()?.to_owned();
            let is = |kind: &str| message.target.kind.iter().any(|of| of == kind);
            // Programs are built as well, for tests that start them.
            let option = match (message.profile.test, is("test"), is("lib")) {
                (true, true, _) => Target::Program(&message.target.name).option(),
                (true, false, true) => Target::Library.option(),
                (true, false, false) | (false, _, _) => return None,
            };
            Some(((package, option), message.executable?))
        })
        .collect()
}

/// What cargo says of a target that it has built.
#[derive(Deserialize)]
struct Message {
    manifest_path: PathBuf,
    target: Built,
    profile: Profile,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

#[derive(Deserialize)]
struct Built {
    kind: Vec<String>,
    name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_program_and_a_part_of_it() {
        for (path, package, option, part) in [
            ("noraftd/tests/store", "noraftd", "--test=store", None),
            (
                "noraftd/tests/store/rows.rs",
                "noraftd",
                "--test=store",
                Some("rows::"),
            ),
            ("noraftd/tests/replica/main.rs", "noraftd", "--test=replica", None),
            ("noraft/src", "noraft", "--lib", None),
            (
                "noraftd/src/replica/void.rs",
                "noraftd",
                "--lib",
                Some("replica::void::"),
            ),
        ] {
            let path = Path::new(path);
            let (of, target) = target(path).unwrap();
            assert_eq!((of, target.option().as_str()), (package, option));
            assert_eq!(filter(path), Vec::from_iter(part.map(str::to_owned)));
        }
        assert_eq!(target(Path::new("workloads/swarm.toml")), None);
    }

    #[test]
    fn what_did_not_end_has_no_outcome() {
        let said = "\nrunning 3 tests\ntest b::two ... FAILED\ntest a::one ... ok\ntest a::two ... FAILED\n";
        assert_eq!(outcome(said), None);
        let ended = format!("{said}\ntest result: FAILED. 1 passed; 2 failed\n");
        assert_eq!(outcome(&ended), Some((3, Some("a::two".to_owned()))));
        assert_eq!(
            outcome("running 1 test\ntest a ... ok\ntest result: ok. 1 passed"),
            Some((1, None))
        );
    }

    #[test]
    fn a_program_is_no_program_of_tests() {
        let line = |kind: &str, name: &str, test: bool| {
            format!(
                "{{\"manifest_path\":\"/x/noraftd/Cargo.toml\",\"target\":{{\"kind\":[\"{kind}\"],\"name\":\"{name}\"}},\
                 \"profile\":{{\"test\":{test}}},\"executable\":\"/x/{kind}-{name}-{test}\"}}\n"
            )
        };
        let messages = [
            line("lib", "noraftd", true),
            line("test", "store", true),
            line("bin", "noraftd", true),
            line("bin", "noraftd", false),
        ];
        let found = programs(&messages.concat());
        let expected = [
            ("--lib", "/x/lib-noraftd-true"),
            ("--test=store", "/x/test-store-true"),
        ];
        let expected =
            expected.map(|(option, path)| (("noraftd".to_owned(), option.to_owned()), path.into()));
        assert_eq!(found, BTreeMap::from(expected));
    }
}
