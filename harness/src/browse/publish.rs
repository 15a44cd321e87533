//! The pages as files, with the files of the runs beside them: for a server of files, or for `file://`.
//!
//! Invariant: written beside its place and renamed, so that a reader sees the whole old folder or the whole new one. A folder is
//! replaced only when it was made by this ([`SITE_MARK`]). Every link of the pages leads to a file that was written.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::address::{FILES, Filter, Links, Page, Published};
use super::beneath::{Beneath, inside};
use super::catalogue::{Catalogue, Reader, Run, SITE_MARK, Trouble};
use super::pages::View;

/// Why nothing was published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// It would replace something else.
    #[error("{path} is there already, and was not made by `harness publish`", path = .0.display())]
    NotOurs(PathBuf),
    /// It would replace the results.
    #[error("{path} holds the results", path = .0.display())]
    HoldsResults(PathBuf),
    /// A file cannot be written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Pages.
    pub pages: u64,
    /// Runs with their files.
    pub runs: u64,
    /// Runs without them: there was no room.
    pub left_out: u64,
    /// Bytes of files of runs.
    pub bytes: u64,
}

/// Writes the results that `reader` reads to the folder `out`, with at most `room` bytes of files of runs, those of the newest.
///
/// # Errors
///
/// When `out` is something else already, or cannot be written.
pub fn publish(mut reader: Reader, out: &Path, room: u64) -> Result<Written, PublishError> {
    let (draft, old) = (beside(out, "new"), beside(out, "old"));
    for path in [out, &draft, &old] {
        check_ours(path)?;
    }
    let results = reader.files().path().to_owned();
    if let Ok(there) = out.canonicalize()
        && results.starts_with(&there)
    {
        return Err(PublishError::HoldsResults(out.to_owned()));
    }
    remove(&draft)?;
    remove(&old)?;
    fs::create_dir_all(&draft).map_err(at(&draft))?;
    write(&draft.join(SITE_MARK), "made by `harness publish`\n")?;
    let mut catalogue = reader.read();
    bound(&mut catalogue);
    let files = Arc::clone(reader.files());
    let mut written = Written::default();
    let published = Published {
        compared: pairs(&catalogue),
        copied: copy_runs(&catalogue, &files, &draft, room, &mut written)?,
    };
    written.pages = write_pages(&catalogue, published, reader, &draft)?;
    if out.exists() {
        fs::rename(out, &old).map_err(at(out))?;
    }
    fs::rename(&draft, out).map_err(at(&draft))?;
    remove(&old)?;
    Ok(written)
}

/// `DIR.new` for `DIR`.
fn beside(out: &Path, ending: &str) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{ending}"));
    out.with_file_name(name)
}

/// Nothing, an empty folder, or one of ours.
fn check_ours(path: &Path) -> Result<(), PublishError> {
    match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            Err(PublishError::NotOurs(path.to_owned()))
        }
        Err(error) => Err(at(path)(error)),
        Ok(mut entries) => match entries.next().is_none() || path.join(SITE_MARK).is_file() {
            true => Ok(()),
            false => Err(PublishError::NotOurs(path.to_owned())),
        },
    }
}

fn remove(folder: &Path) -> Result<(), PublishError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(folder)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A page for each run: years of nights are too many.
fn bound(catalogue: &mut Catalogue) {
    for (name, left) in [
        ("runs", catalogue.runs.len().saturating_sub(RUNS_MAX)),
        ("campaigns", catalogue.campaigns.len().saturating_sub(RUNS_MAX)),
    ] {
        if left > 0 {
            catalogue.troubles.push(Trouble {
                path: String::new(),
                why: format!("there are more than {RUNS_MAX} {name}: the {left} oldest are not published"),
                files: Vec::new(),
            });
        }
    }
    catalogue.runs.truncate(RUNS_MAX);
    catalogue.campaigns.truncate(RUNS_MAX);
}

/// Each run with the one before it, and with the last valid one before it; each campaign with the one before it.
fn pairs(catalogue: &Catalogue) -> std::collections::BTreeSet<(String, String)> {
    let of = |run: &Arc<Run>| {
        let earlier = [catalogue.previous(run), catalogue.last_valid(run)];
        let pairs = earlier
            .into_iter()
            .flatten()
            .map(|other| (other.path.clone(), run.path.clone()));
        pairs.collect::<Vec<_>>()
    };
    let campaigns = catalogue.campaigns.iter();
    let campaigns = campaigns.filter_map(|campaign| {
        let other = catalogue.previous_campaign(campaign)?;
        Some((other.path.clone(), campaign.path.clone()))
    });
    catalogue.runs.iter().flat_map(of).chain(campaigns).collect()
}

/// Copies the files of the newest runs, of each run all that its report links; the names of those that were copied.
fn copy_runs(
    catalogue: &Catalogue,
    files: &Beneath,
    draft: &Path,
    room: u64,
    written: &mut Written,
) -> Result<std::collections::BTreeSet<String>, PublishError> {
    let mut copied = std::collections::BTreeSet::new();
    for run in &catalogue.runs {
        let bytes: u64 = run.files.iter().map(|(_, bytes)| bytes).sum();
        if written.bytes.saturating_add(bytes) > room {
            written.left_out += 1;
            continue;
        }
        written.runs += 1;
        for (name, _) in &run.files {
            let name = inside(&run.path, name);
            // A link that leads out, or a pipe: it is listed, and has no link.
            let Ok(file) = files.open(&name) else { continue };
            let to = draft.join(FILES).join(&name);
            written.bytes += copy(file, &to).map_err(at(&to))?;
            copied.insert(name);
        }
    }
    Ok(copied)
}

/// As much as there is now: a log may grow.
fn copy(file: File, to: &Path) -> io::Result<u64> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    let length = file.metadata()?.len();
    let mut out = File::create_new(to)?;
    io::copy(&mut file.take(length), &mut out)
}

fn write_pages(
    catalogue: &Catalogue,
    published: Published,
    mut reader: Reader,
    draft: &Path,
) -> Result<u64, PublishError> {
    let mut pages = vec![
        Page::Overview,
        Page::Runs(Filter::default(), 0),
        Page::Campaigns(Filter::default()),
        Page::Trends(Filter::default()),
        Page::Troubles,
    ];
    pages.extend(catalogue.runs.iter().map(|run| Page::Run(run.path.clone())));
    let campaigns = catalogue.campaigns.iter();
    pages.extend(campaigns.map(|campaign| Page::Campaign(campaign.path.clone())));
    let compared = published.compared.iter().cloned();
    pages.extend(compared.map(|(one, two)| Page::Compare(one, two)));
    let links = Links::Published(published);
    let reader = RefCell::new(&mut reader);
    for page in &pages {
        let is_trends = matches!(page, Page::Trends(_));
        let view = View {
            catalogue,
            links: &links,
            figures: &|run| match is_trends || has_files(&links, run) {
                true => reader.borrow_mut().figures(run),
                // The room bounds what is read, too.
                false => Arc::new(Err("its files were left out of this folder".to_owned())),
            },
        };
        if let Some(text) = view.page(page) {
            write(&draft.join(page.file()), &text)?;
        }
    }
    Ok(pages.len() as u64)
}

fn has_files(links: &Links, run: &Run) -> bool {
    run.files
        .iter()
        .any(|(name, _)| links.file(&run.path, name).is_some())
}

fn write(path: &Path, text: &str) -> Result<(), PublishError> {
    fs::write(path, text).map_err(at(path))
}

fn at(path: &Path) -> impl Fn(io::Error) -> PublishError + use<> {
    let path = path.to_owned();
    move |source| PublishError::Io {
        path: path.clone(),
        source,
    }
}

/// Runs, and campaigns, that have pages.
const RUNS_MAX: usize = 5000;
