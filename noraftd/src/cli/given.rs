//! Settings as every verb of one node takes them: from flags, from a TOML file, or from both.

use std::path::PathBuf;

use clap::Args;

use crate::config::{ConfigError, ServeConfig, Settings};

/// What was given on the command line.
#[derive(Debug, Args)]
pub(super) struct Given {
    /// A TOML file with settings: the names of the flags, with `_` for `-`, and `peers` for `--peer`. A flag wins.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

impl Given {
    /// The configuration that it describes.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or a setting is missing or wrong.
    pub(super) fn check(self) -> Result<ServeConfig, ConfigError> {
        self.settings()?.check()
    }

    /// What was given, wherever.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub(super) fn settings(self) -> Result<Settings, ConfigError> {
        let from_file = self.config.as_deref().map(Settings::from_file).transpose()?;
        Ok(self.settings.or(from_file.unwrap_or_default()))
    }
}
