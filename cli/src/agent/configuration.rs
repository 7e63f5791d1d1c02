//! Which configuration is meant: the agent's own, also where a command reads it, so that
//! both ask the same responders in the same way and judge alike.

use std::path::PathBuf;

use super::forgiving::Mistake;
use super::settings::Settings;
use crate::complain::complain;
use crate::fetch::{Manner, Override};

/// The option that names it.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Configuration {
    /// The configuration of the agent [default: /etc/staplegun/agent.toml for the system's store]
    #[arg(long = "config", value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Configuration {
    /// What the file says.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or something in it makes no sense.
    pub fn settings(&self, is_system: bool) -> anyhow::Result<Settings> {
        Settings::load(self.file.as_deref(), is_system)
    }

    /// What the file says; for what in it makes no sense the default, and the mistakes.
    pub fn settings_that_count(&self, is_system: bool) -> (Settings, Vec<Mistake>) {
        Settings::load_what_counts(self.file.as_deref(), is_system)
    }

    /// The settings for a command. What makes no sense does not count, as with the agent,
    /// and is told; but a file that was named must be right.
    ///
    /// # Errors
    ///
    /// As [`Configuration::settings`], if a file was named.
    pub fn for_command(&self, is_system: bool) -> anyhow::Result<Settings> {
        if self.file.is_some() {
            return self.settings(is_system);
        }
        let (settings, mistakes) = self.settings_that_count(is_system);
        tell(&mistakes);
        Ok(settings)
    }

    /// The settings for a command, and how it asks for responses by them, by the `overrides` of
    /// its own before theirs.
    ///
    /// # Errors
    ///
    /// As [`Configuration::for_command`].
    pub fn manner(
        &self,
        is_system: bool,
        overrides: &[Override],
    ) -> anyhow::Result<(Settings, Manner)> {
        let mut settings = self.for_command(is_system)?;
        settings.responder = [overrides, &settings.responder].concat();
        let (trust, mistakes) = settings.trust();
        tell(&mistakes);
        let manner = settings.manner(trust);
        Ok((settings, manner))
    }
}

fn tell(mistakes: &[Mistake]) {
    for mistake in mistakes {
        complain(format_args!(
            "the agent's configuration: {mistake}; it does not count"
        ));
    }
}
