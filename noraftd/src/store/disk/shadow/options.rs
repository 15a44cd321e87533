//! How a shadow disk behaves: `SEED` or `seed=7,sync=2ms,fail-sync=40`.

use std::str::FromStr;
use std::time::Duration;

/// Options of a shadow disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ShadowOptions {
    /// Decides what reaches the platter before it is synced.
    pub seed: u64,
    /// Added to each sync: a longer time in which a cut loses something.
    pub sync_delay: Duration,
    /// The sync, counted from 1 in each process, that fails with EIO.
    pub fail_sync: Option<u64>,
}

/// Why the text describes no shadow disk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{part}' is none of seed=N, sync=MILLISECONDSms, fail-sync=N")]
pub struct ShadowOptionsError {
    part: String,
}

impl FromStr for ShadowOptions {
    type Err = ShadowOptionsError;

    fn from_str(text: &str) -> Result<Self, ShadowOptionsError> {
        let mut options = Self::default();
        for part in text.split(',') {
            options.read(part).ok_or_else(|| ShadowOptionsError {
                part: part.to_owned(),
            })?;
        }
        Ok(options)
    }
}

impl ShadowOptions {
    fn read(&mut self, part: &str) -> Option<()> {
        match part.split_once('=').unwrap_or(("seed", part)) {
            ("seed", seed) => self.seed = seed.parse().ok()?,
            ("sync", time) => {
                self.sync_delay = Duration::from_millis(time.strip_suffix("ms")?.parse().ok()?);
            }
            ("fail-sync", at) => self.fail_sync = Some(at.parse().ok().filter(|at| *at > 0)?),
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shadow_disk_is_described_in_a_line() {
        assert_eq!("7".parse::<ShadowOptions>().unwrap().seed, 7);
        assert_eq!(
            "seed=7,sync=2ms,fail-sync=40".parse(),
            Ok(ShadowOptions {
                seed: 7,
                sync_delay: Duration::from_millis(2),
                fail_sync: Some(40),
            })
        );
        for wrong in ["", "x", "seed=", "sync=2", "fail-sync=0", "7,", "7;sync=2ms"] {
            assert!(wrong.parse::<ShadowOptions>().is_err(), "{wrong}");
        }
    }
}
