//! Imports run along the map, and in no circle.
//!
//! The map is the table "Imports" in ARCHITECTURE.md, a row a folder or file, and it is exact: what it does not
//! list must not be used, and what it lists is used. A circle is one of siblings, the files and folders of one folder;
//! a folder's `mod.rs` is the folder itself, not one of them. An import of a name that another file passes on
//! (`pub use`) is an import of the file that has it. Code for tests may import what it likes.

mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use source::Source;

/// Folders with circles that are being opened; the list only gets shorter.
const LEFT: [(&str, &str); 1] = [("noraftd", "shell")];

const PACKAGES: [&str; 3] = ["noraft", "noraftd", "harness"];

/// The names of a module, from the root of its package on; of the root itself, none.
type Module = Vec<String>;

/// All sources.
struct Project {
    files: BTreeMap<(&'static str, Module), Source>,
}

/// A file uses another one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Import {
    package: &'static str,
    from: Module,
    to_package: &'static str,
    to: Module,
}

impl Project {
    fn read() -> Self {
        let mut files = BTreeMap::new();
        for package in PACKAGES {
            read_folder(
                package,
                &root().join(package).join("src"),
                &Vec::new(),
                &mut files,
            );
        }
        let tests: Vec<(&str, Module)> = files
            .iter()
            .flat_map(|((package, module), source): (&(&str, Module), &Source)| {
                let children = source.test_modules.iter();
                children.map(|name| (*package, [module.as_slice(), std::slice::from_ref(name)].concat()))
            })
            .collect();
        for (package, test) in tests {
            files.retain(|(of, module), _| *of != package || !module.starts_with(&test));
        }
        Self { files }
    }

    fn imports(&self) -> BTreeSet<Import> {
        let mut imports = BTreeSet::new();
        for ((package, from), source) in &self.files {
            for path in &source.paths {
                if let Some((to_package, to)) = self.resolve(package, from, path, 0) {
                    imports.insert(Import {
                        package,
                        from: from.clone(),
                        to_package,
                        to,
                    });
                }
            }
        }
        imports
    }

    /// The file that has what `path` means in `module`; `None` for what is no part of the project.
    fn resolve(
        &self,
        package: &'static str,
        module: &[String],
        path: &[String],
        depth: usize,
    ) -> Option<(&'static str, Module)> {
        let (first, mut rest) = path.split_first()?;
        let mut at = module.to_vec();
        let mut in_package = package;
        match first.as_str() {
            "crate" => at.clear(),
            "self" => {}
            "super" => {
                at.pop();
                while let Some(("super", after)) =
                    rest.split_first().map(|(word, after)| (word.as_str(), after))
                {
                    at.pop();
                    rest = after;
                }
            }
            other => match PACKAGES.iter().find(|package| **package == other) {
                Some(other) => (in_package, at) = (other, Vec::new()),
                None => rest = path,
            },
        }
        let is_relative = rest.len() == path.len();
        let mut steps = 0;
        for (step, name) in rest.iter().enumerate() {
            let inner = [at.as_slice(), std::slice::from_ref(name)].concat();
            if self.files.contains_key(&(in_package, inner.clone())) {
                (at, steps) = (inner, step + 1);
                continue;
            }
            let source = self.files.get(&(in_package, at.clone()))?;
            let known = source.names.iter().find(|(known, _)| known == name);
            if let Some((_, passed_on)) = known.filter(|(_, target)| target != path && depth < DEPTH_MAX) {
                let target = [passed_on, &rest[step + 1..]].concat();
                return self.resolve(in_package, &at, &target, depth + 1);
            }
            break;
        }
        (!is_relative || steps > 0).then_some((in_package, at))
    }
}

/// So often a name may be passed on.
const DEPTH_MAX: usize = 8;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read_folder(
    package: &'static str,
    folder: &Path,
    module: &Module,
    files: &mut BTreeMap<(&'static str, Module), Source>,
) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("a folder that can be read").path();
        let stem = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .expect("a name in UTF-8")
            .to_owned();
        let inner = [module.as_slice(), std::slice::from_ref(&stem)].concat();
        if path.is_dir() {
            read_folder(package, &path, &inner, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let is_root = matches!(stem.as_str(), "mod" | "lib");
            let source = Source::read(&fs::read_to_string(&path).expect("a source in UTF-8"), &PACKAGES);
            files.insert((package, if is_root { module.clone() } else { inner }), source);
        }
    }
}

/// The file or folder directly in `folder` that `module` belongs to.
fn child<'a>(folder: &[String], module: &'a [String]) -> Option<&'a str> {
    let inner = module.strip_prefix(folder)?;
    inner.first().map(String::as_str)
}

/// What the files and folders of `folder` use of each other, each use with one example.
fn siblings<'a>(
    imports: &'a BTreeSet<Import>,
    package: &str,
    folder: &[String],
) -> BTreeMap<&'a str, BTreeMap<&'a str, &'a Import>> {
    let mut uses: BTreeMap<&str, BTreeMap<&str, &Import>> = BTreeMap::new();
    for import in imports {
        let within = import.package == package && import.to_package == package;
        let Some(from) = child(folder, &import.from).filter(|_| within) else {
            continue;
        };
        if let Some(to) = child(folder, &import.to).filter(|to| *to != from) {
            uses.entry(from).or_default().entry(to).or_insert(import);
        }
    }
    uses
}

/// Ways along `uses` that end where they begin, the shortest of each place that is on none of the others.
fn circles<'a>(uses: &BTreeMap<&'a str, BTreeMap<&'a str, &'a Import>>) -> Vec<Vec<&'a Import>> {
    let mut seen = BTreeSet::new();
    let mut circles = Vec::new();
    for start in uses.keys() {
        if let Some(circle) = shortest_way_back(uses, start).filter(|_| !seen.contains(start)) {
            let folder = circle[0].from.iter().take_while(|name| name != start).count();
            seen.extend(
                circle
                    .iter()
                    .filter_map(|import| import.from.get(folder).map(String::as_str)),
            );
            circles.push(circle);
        }
    }
    circles
}

fn shortest_way_back<'a>(
    uses: &BTreeMap<&'a str, BTreeMap<&'a str, &'a Import>>,
    start: &'a str,
) -> Option<Vec<&'a Import>> {
    let mut seen = BTreeSet::new();
    let mut ways: std::collections::VecDeque<(&str, Vec<&Import>)> = [(start, Vec::new())].into();
    while let Some((at, way)) = ways.pop_front() {
        for (to, import) in uses.get(at).into_iter().flatten() {
            let longer = [way.as_slice(), &[*import]].concat();
            if *to == start {
                return Some(longer);
            }
            if seen.insert(*to) {
                ways.push_back((to, longer));
            }
        }
    }
    None
}

fn shown(package: &str, module: &[String]) -> String {
    format!("{package}::{}", module.join("::"))
}

#[test]
fn no_files_or_folders_import_each_other_in_a_circle() {
    let project = Project::read();
    let imports = project.imports();
    let mut faults = String::new();
    for package in PACKAGES {
        let modules = project.files.keys().filter(|(of, _)| *of == package);
        let folders: BTreeSet<&[String]> = modules
            .flat_map(|(_, module)| (0..module.len()).map(|length| &module[..length]))
            .collect();
        for folder in folders {
            let circles = circles(&siblings(&imports, package, folder));
            let is_left = LEFT.contains(&(package, folder.join("/").as_str()));
            if circles.is_empty() && is_left {
                writeln!(
                    faults,
                    "{}: none is left, take it off the list",
                    shown(package, folder)
                )
                .unwrap();
            }
            for circle in circles.iter().filter(|_| !is_left) {
                writeln!(faults, "in {}:", shown(package, folder)).unwrap();
                for import in circle {
                    let [from, to] = [&import.from, &import.to].map(|module| shown(package, module));
                    writeln!(faults, "  {from} uses {to}").unwrap();
                }
            }
        }
    }
    assert!(faults.is_empty(), "circles of imports:\n{faults}");
}

/// The folders whose files and folders have a row each in the map.
const MAPPED: [(&str, &[&str]); 4] = [
    ("noraftd", &[]),
    ("noraftd", &["store"]),
    ("harness", &[]),
    ("harness", &["sim"]),
];

/// What the file or folder may use: the names beside it, and other packages.
type Row = BTreeSet<String>;

/// What is used, as the map has to say it.
fn used(project: &Project) -> BTreeMap<String, Row> {
    let mut rows = BTreeMap::new();
    for (package, folder) in MAPPED {
        let folder: Module = folder.iter().map(|name| (*name).to_owned()).collect();
        for (of, module) in project.files.keys() {
            if let Some(name) = child(&folder, module).filter(|_| *of == package) {
                rows.insert(path_of(package, &folder, name), Row::new());
            }
        }
        for import in project.imports() {
            let Some(from) = child(&folder, &import.from).filter(|_| import.package == package) else {
                continue;
            };
            let row: &mut Row = rows
                .get_mut(&path_of(package, &folder, from))
                .expect("every file has a row");
            if import.to_package != package {
                row.insert(import.to_package.to_owned());
            } else if let Some(to) = child(&folder, &import.to).filter(|to| *to != from) {
                row.insert(to.to_owned());
            }
        }
    }
    rows
}

fn path_of(package: &str, folder: &[String], name: &str) -> String {
    let folder: String = folder.iter().map(|name| format!("{name}/")).collect();
    let path = format!("{package}/src/{folder}{name}");
    if root().join(&path).is_dir() {
        path
    } else {
        format!("{path}.rs")
    }
}

/// The rows of the table in ARCHITECTURE.md.
fn mapped() -> BTreeMap<String, Row> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("it is there");
    let section = text
        .split("\n## ")
        .find(|section| section.starts_with("Imports\n"))
        .expect("the map");
    let rows = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"));
    rows.map(|row| {
        let (path, uses) = row.split_once("` | ").expect("two columns");
        let uses = uses.split(", ").map(|name| name.trim_matches('`').to_owned());
        (path.to_owned(), uses.filter(|name| name != "nothing").collect())
    })
    .collect()
}

fn written(path: &str, row: &Row) -> String {
    let names: Vec<String> = row.iter().map(|name| format!("`{name}`")).collect();
    let names = if names.is_empty() {
        "nothing".to_owned()
    } else {
        names.join(", ")
    };
    format!("| `{path}` | {names} |\n")
}

#[test]
fn what_is_imported_is_on_the_map_and_nothing_else_is() {
    let project = Project::read();
    let (used, mapped) = (used(&project), mapped());
    let mut faults = String::new();
    for path in used.keys().chain(mapped.keys()).collect::<BTreeSet<_>>() {
        if used.get(path) != mapped.get(path) {
            let is = used
                .get(path)
                .map_or("(there is no such file)\n".to_owned(), |row| written(path, row));
            let says = mapped
                .get(path)
                .map_or("(it has no such row)\n".to_owned(), |row| written(path, row));
            write!(faults, "the sources: {is}the map:     {says}").unwrap();
        }
    }
    let rows = used
        .iter()
        .map(|(path, row)| written(path, row))
        .collect::<String>();
    assert!(
        faults.is_empty(),
        "ARCHITECTURE.md, Imports, is not what the sources import:\n{faults}\nAll rows, as the sources have them:\n{rows}"
    );
}
