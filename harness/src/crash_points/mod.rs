//! Crashes between the writes of the kernel: a node runs on a file system whose disk numbers every write and flush, and is then started
//! from what its disk has after a crash at many of these points.
//!
//! | module | what it owns |
//! |-|-|
//! | `blocks` | what is written as a whole |
//! | `volume` | the disk: its blocks, and its writes and flushes in order |
//! | `log` | what a crash at a point may leave |
//! | `served` | the disk as a file that the kernel writes to (FUSE) |
//! | `ground` | an ext4 file system on that file |
//! | `node` | the daemon on it, its clients, and what they find afterwards |
//!
//! What a power cut of the ext4 tier cannot show: there the disk keeps all that the file system has sent to it. Here it may lose
//! whatever no flush came after, in any combination of blocks.
//!
//! Invariant: a point counts against the daemon only when the file system could be mounted; what was acknowledged before it has to
//! be there, and the streams have no gap.

mod blocks;
mod ground;
mod log;
mod node;
mod served;
mod volume;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use noraftd::prng::Prng;

use crate::cluster::power::NotPossible;
use crate::results::Outcome;

use ground::Ground;
use log::{Fate, Log};
use node::{Node, Written};

/// What to try.
#[derive(Debug, Clone)]
pub struct Options {
    /// Decides which points are tried, and what each crash leaves.
    pub seed: u64,
    /// How long clients write.
    pub time: Duration,
    /// At most so many points.
    pub points: usize,
    /// The disk forgets flushes: shows that what is lost is found.
    pub forgets: bool,
    /// Where a folder for the run is made.
    pub out: PathBuf,
    /// This program, which ties its children to its own life.
    pub harness: PathBuf,
    /// The daemon.
    pub noraftd: PathBuf,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CrashPointsError {
    /// The machine does not let us.
    #[error(transparent)]
    NotPossible(#[from] NotPossible),
    /// The harness or the machine failed.
    #[error("{0}")]
    Trouble(String),
}

/// What is wrong after a crash at a point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Writes and flushes before the crash.
    pub point: usize,
    /// What the crash left.
    pub fate: Fate,
    /// What is wrong.
    pub what: String,
    /// The image of the disk, which can be mounted.
    pub image: PathBuf,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Appends that were acknowledged.
    pub acknowledged: u64,
    /// Writes of the kernel.
    pub writes: usize,
    /// Flushes.
    pub flushes: usize,
    /// Points that were tried, by what the crash left.
    pub tried: [usize; 3],
    /// Of these, points at which something was lost.
    pub lossy: usize,
    /// Points at which the file system could not be mounted: nothing is known about the daemon there.
    pub unmountable: Vec<String>,
    /// What is wrong.
    pub found: Vec<Found>,
}

impl Report {
    /// The verdict. Without a point at which something was lost, nothing was shown.
    pub fn verdict(&self) -> Outcome {
        match (self.found.is_empty(), self.unmountable.is_empty(), self.lossy) {
            (false, _, _) => Outcome::Invalid,
            (true, true, 1..) => Outcome::Valid,
            (true, _, _) => Outcome::Unknown,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [lost, part, kept] = self.tried;
        writeln!(
            f,
            "{} appends acknowledged; the kernel sent {} writes and {} flushes to the disk",
            self.acknowledged, self.writes, self.flushes
        )?;
        writeln!(
            f,
            "{} crashes: {lost} lost all that was not flushed, {part} a part of it, {kept} nothing; in {} there was something to lose",
            lost + part + kept,
            self.lossy
        )?;
        for why in &self.unmountable {
            writeln!(f, "unknown: {why}")?;
        }
        for found in &self.found {
            writeln!(
                f,
                "after {} writes and flushes, where {}: {}",
                found.point,
                found.fate.text(),
                found.what
            )?;
            writeln!(f, "  to look at it: mount -o loop {} /mnt", found.image.display())?;
        }
        Ok(())
    }
}

/// Runs a node, then starts it after each crash. `show` gets the points done, of how many.
///
/// # Errors
///
/// When the machine does not let us, or the harness fails; what the daemon does wrong is in the report.
pub async fn run(options: &Options, show: &mut dyn FnMut(usize, usize)) -> Result<Report, CrashPointsError> {
    let folder = options
        .out
        .join(format!("{}-{}", crate::run::utc_now(), options.seed));
    std::fs::create_dir_all(&folder).map_err(trouble(&folder))?;
    let ground = Ground::lay(&folder, options.forgets);
    if matches!(ground, Err(CrashPointsError::NotPossible(_))) {
        std::fs::remove_dir_all(&folder).map_err(trouble(&folder))?;
    }
    let ground = ground?;
    let node = Node::new(&folder, ground.data_dir(), options)?;
    let written = write(&ground, &node, options.time).await?;
    let log = ground.take_log();
    let mut report = Report {
        acknowledged: written.acknowledged(),
        writes: log.writes(),
        flushes: log.flushes(),
        ..Report::default()
    };
    let trial = Trial {
        ground: &ground,
        node: &node,
        written: &written,
        folder: &folder,
    };
    trial.all(&log, options, &mut report, show).await?;
    ground.leave();
    if report.found.is_empty() {
        std::fs::remove_dir_all(&folder).map_err(trouble(&folder))?;
    }
    Ok(report)
}

/// Clients write to the node for a while; then it is killed, in the middle of whatever it does.
async fn write(ground: &Ground, node: &Node, time: Duration) -> Result<Written, CrashPointsError> {
    ground.mount().map_err(CrashPointsError::Trouble)?;
    node.start().map_err(CrashPointsError::Trouble)?;
    node.until_it_serves().await.map_err(CrashPointsError::Trouble)?;
    let written = node.written(ground, time).await;
    node.kill().await.map_err(CrashPointsError::Trouble)?;
    ground.unmount().map_err(CrashPointsError::Trouble)?;
    written.map_err(CrashPointsError::Trouble)
}

struct Trial<'a> {
    ground: &'a Ground,
    node: &'a Node,
    written: &'a Written,
    folder: &'a Path,
}

impl Trial<'_> {
    async fn all(
        &self,
        log: &Log,
        options: &Options,
        report: &mut Report,
        show: &mut dyn FnMut(usize, usize),
    ) -> Result<(), CrashPointsError> {
        let mut prng = Prng::new(options.seed);
        let points = log.points(options.points, &mut prng);
        let mut walk = log.walk();
        for (done, point) in points.iter().enumerate() {
            show(done, points.len());
            walk.advance(*point);
            let fate = Fate::draw(&mut prng);
            report.tried[fate as usize] += 1;
            report.lossy += usize::from(fate != Fate::Kept && walk.unflushed() > 0);
            let left = walk.left(fate, &mut prng);
            self.ground.put(left.clone());
            if let Err(why) = self.ground.mount() {
                let why = format!("after {point} writes and flushes, where {}: {why}", fate.text());
                report.unmountable.push(why);
                continue;
            }
            let judged = self.node.judged(self.written, *point).await;
            self.ground.unmount().map_err(CrashPointsError::Trouble)?;
            if let Some(what) = judged.map_err(CrashPointsError::Trouble)? {
                let image = self.folder.join(format!("crash-{point}.img"));
                // As it was before the daemon looked at it.
                self.ground.put(left);
                self.ground.write_image(&image).map_err(trouble(&image))?;
                report.found.push(Found {
                    point: *point,
                    fate,
                    what,
                    image,
                });
                if report.found.len() == FOUND_MAX {
                    return Ok(());
                }
            }
        }
        show(points.len(), points.len());
        Ok(())
    }
}

fn trouble(path: &Path) -> impl FnOnce(std::io::Error) -> CrashPointsError + use<> {
    let path = path.to_owned();
    move |error| CrashPointsError::Trouble(format!("{}: {error}", path.display()))
}

/// Each has an image; the rest is more of the same.
const FOUND_MAX: usize = 3;
