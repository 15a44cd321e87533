//! The published folder: whole, with links that lead somewhere, and never in the place of something else.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use percent_encoding::percent_decode_str;

use super::nights;
use crate::site::{HARNESS, said};

fn publish(results: &Path, out: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(HARNESS);
    command
        .arg("publish")
        .arg(out)
        .arg("--results")
        .arg(results)
        .args(more);
    command.output().unwrap()
}

/// Every file below a folder, from there.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let mut open = vec![folder.to_owned()];
    let mut files = BTreeSet::new();
    while let Some(path) = open.pop() {
        for entry in fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                files.insert(path.strip_prefix(folder).unwrap().to_owned());
            }
        }
    }
    files
}

/// Follows every link from the first page; the files that are reached, or a link that leads nowhere.
fn reached(site: &Path) -> BTreeSet<PathBuf> {
    let mut seen = BTreeSet::new();
    let mut open = vec![PathBuf::from("index.html")];
    while let Some(file) = open.pop() {
        if !seen.insert(file.clone()) || file.extension().is_none_or(|ending| ending != "html") {
            continue;
        }
        let text = fs::read_to_string(site.join(&file)).unwrap();
        let body = text.split("<script>").next().unwrap();
        for href in body
            .split("href=\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap())
        {
            assert!(
                !href.contains(':') && !href.starts_with('/'),
                "{}: {href} is not relative",
                file.display()
            );
            let (name, place) = href.split_once('#').unwrap_or((href, ""));
            assert!(!name.contains('?'), "{}: {href} asks a server", file.display());
            if name.is_empty() {
                assert!(
                    body.contains(&format!("id=\"{place}\"")),
                    "{}: {href}",
                    file.display()
                );
                continue;
            }
            let name = percent_decode_str(name).decode_utf8().unwrap();
            let target = file.parent().unwrap().join(&*name);
            assert!(
                site.join(&target).is_file(),
                "{}: {href} leads nowhere",
                file.display()
            );
            open.push(target);
        }
    }
    seen
}

#[test]
fn every_link_leads_to_a_file_and_every_file_is_linked() {
    let root = nights();
    super::Given::default().write(&root.path().join("runs/odd #?% ü/20261126T220000Z-7"));
    let out = root.path().join("site");
    let output = publish(root.path(), &out, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed.trim_end(), out.join("index.html").display().to_string());
    let mut there = files(&out);
    assert!(there.remove(Path::new(".harness-site")));
    assert_eq!(reached(&out), there);
    for part in [
        "runs.html",
        "campaigns.html",
        "trends.html",
        "troubles.html",
        "compare-",
        "campaign-",
        "nodes/n1/log",
        "report.html",
    ] {
        assert!(
            there.iter().any(|file| file.display().to_string().contains(part)),
            "{part}: {there:#?}"
        );
    }
    // Its own pages are no results.
    let again = publish(root.path(), &out, &[]);
    assert_eq!(again.status.code(), Some(0), "{}", said(&again));
    there.insert(PathBuf::from(".harness-site"));
    assert_eq!(files(&out), there);
    assert!(!root.path().join("site.new").exists() && !root.path().join("site.old").exists());
}

#[test]
fn without_room_the_newest_runs_have_their_files_and_the_others_pages_without_links() {
    let root = nights();
    let out = root.path().join("site");
    let newest: u64 = files(&root.path().join("runs/bank"))
        .iter()
        .map(|file| {
            fs::metadata(root.path().join("runs/bank").join(file))
                .unwrap()
                .len()
        })
        .sum();
    let output = publish(root.path(), &out, &["--room", &format!("{}B", newest + 1)]);
    assert!(
        said(&output).contains("1 runs with their files, 0 MiB, and 3 without, for want of room"),
        "{}",
        said(&output)
    );
    reached(&out);
    let kept = files(&out.join("files"));
    assert!(
        kept.iter().all(|file| file.starts_with("runs/bank")) && !kept.is_empty(),
        "{kept:?}"
    );
    let none = publish(root.path(), &out, &["--room", "0B"]);
    assert_eq!(none.status.code(), Some(0));
    assert!(!out.join("files").exists());
    reached(&out);
}

#[test]
fn what_is_not_a_published_folder_is_left_alone() {
    let root = nights();
    let out = root.path().join("mine");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("precious"), "kept").unwrap();
    let refused = |out: &Path, why: &str| {
        let output = publish(root.path(), out, &[]);
        assert_eq!(output.status.code(), Some(64), "{}", said(&output));
        assert!(said(&output).contains(why), "{}", said(&output));
    };
    refused(&out, "was not made by `harness publish`");
    refused(&out.join("precious"), "was not made by `harness publish`");
    assert_eq!(fs::read_to_string(out.join("precious")).unwrap(), "kept");
    let other = root.path().join("other");
    fs::create_dir(root.path().join("other.new")).unwrap();
    fs::write(root.path().join("other.new/precious"), "kept").unwrap();
    refused(&other, "other.new is there already");
    fs::write(root.path().join(".harness-site"), "").unwrap();
    refused(root.path(), "holds the results");
    refused(Path::new("/"), "is no name of a folder");
    let none = publish(&root.path().join("none"), &other, &[]);
    assert_eq!(none.status.code(), Some(64));
}

#[test]
fn what_cannot_be_copied_has_no_link() {
    let root = nights();
    let run = root.path().join("runs/bank/20261129T220100Z-7");
    std::os::unix::fs::symlink("/etc/passwd", run.join("passwd.txt")).unwrap();
    let out = root.path().join("site");
    assert_eq!(publish(root.path(), &out, &[]).status.code(), Some(0));
    let copied = files(&out);
    assert!(
        !copied.iter().any(|file| file.ends_with("passwd.txt")),
        "{copied:?}"
    );
    reached(&out);
}
