//! The agent's configuration: a TOML file, every field of which has a default.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Deserialize;
use staplegun_ocsp::{LIFE_WITHOUT_NEXT_UPDATE, Policy, schedule};

use super::decision::Limits;
use super::forgiving::{self, Mistake};
use super::http::HttpSettings;
use crate::fetch::{Manner, Override, Patience, Proxies, ProxySettings, Trust};
use crate::fleet::FleetSettings;

/// Where the system's agent looks, if no other file is named.
pub const SYSTEM_FILE: &str = "/etc/staplegun/agent.toml";

/// What stands in the file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Settings {
    /// The user to run as, once the map is made. Only for an agent started by root.
    pub user: Option<String>,
    /// The size of a new live map in bytes: a multiple of 4096.
    pub map_size: usize,
    /// How many responses are fetched at once.
    pub threads: usize,
    /// How many of them from one responder.
    pub per_responder: usize,
    /// How many certificates are looked after at most.
    pub max_certificates: usize,
    /// How many of them one user other than root may leave in the spool.
    pub max_certificates_per_user: usize,
    /// Staple a response that says "revoked", instead of none.
    pub staple_revoked: bool,
    /// Show what may be stapled now in `live/`, too, for servers that read files.
    pub live_files: bool,
    /// Look after the intermediates that came with a certificate, too.
    pub intermediates: bool,
    /// Files (PEM) of issuers, whose responders may be asked whoever left the
    /// certificate; the machine's trusted authorities always count.
    trusted_issuers: Vec<PathBuf>,
    /// Where to write the metrics for Prometheus' textfile collector.
    pub metrics_file: Option<PathBuf>,
    /// The port on which to serve the page and the metrics, of the loopback or of
    /// `http.address`.
    pub metrics_port: Option<u16>,
    /// Where else they are served.
    pub http: HttpSettings,
    /// Proxies to the responders, before those of the environment.
    pub proxy: ProxySettings,
    /// What a fleet shares.
    pub fleet: FleetSettings,
    /// Times.
    pub timing: Timing,
    /// Responders instead of those in the certificates.
    pub responder: Vec<Override>,
}

/// Times, all in seconds; fractions are allowed.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Timing {
    /// How long one address of a responder may take to accept a connection.
    per_address: f64,
    /// How long a whole fetch may take.
    pub fetch: f64,
    /// The longest time until a response is refreshed.
    longest_refresh: f64,
    /// The longest time until a failed fetch is tried again.
    longest_retry: f64,
    /// How long a response without nextUpdate counts as fresh.
    life_without_next_update: f64,
    /// How often everything is looked at, should a notice have been missed.
    pub sweep: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            user: None,
            map_size: 16 << 20,
            threads: 8,
            per_responder: 2,
            max_certificates: 10_000,
            max_certificates_per_user: 1_000,
            staple_revoked: false,
            live_files: false,
            intermediates: false,
            trusted_issuers: Vec::new(),
            metrics_file: None,
            metrics_port: None,
            http: HttpSettings::default(),
            proxy: ProxySettings::default(),
            fleet: FleetSettings::default(),
            timing: Timing::default(),
            responder: Vec::new(),
        }
    }
}

impl Default for Timing {
    fn default() -> Self {
        let Patience { per_address, total } = Patience::DEFAULT;
        Self {
            per_address: per_address.as_secs_f64(),
            fetch: total.as_secs_f64(),
            longest_refresh: schedule::MAX_REFRESH.as_secs_f64(),
            longest_retry: schedule::MAX_RETRY.as_secs_f64(),
            life_without_next_update: LIFE_WITHOUT_NEXT_UPDATE as f64,
            sweep: 60.0,
        }
    }
}

impl Settings {
    /// Reads `file`. Without one, the system's agent reads [`SYSTEM_FILE`] if
    /// there is one; another has the defaults.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or something in it makes no sense.
    pub fn load(file: Option<&Path>, is_system: bool) -> anyhow::Result<Self> {
        let Some(path) = path(file, is_system) else {
            return Ok(Self::default());
        };
        let (settings, mistakes) = Self::parse(&read(path)?);
        if !mistakes.is_empty() {
            let all: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
            bail!(
                "in the configuration {}: {}",
                path.display(),
                all.join("; ")
            );
        }
        Ok(settings)
    }

    /// As [`Settings::load`], but what makes no sense is left out and told.
    pub fn load_what_counts(file: Option<&Path>, is_system: bool) -> (Self, Vec<Mistake>) {
        let Some(path) = path(file, is_system) else {
            return (Self::default(), Vec::new());
        };
        match read(path) {
            Ok(text) => Self::parse(&text),
            Err(error) => (Self::default(), vec![Mistake::new(format!("{error:#}"))]),
        }
    }

    fn parse(text: &str) -> (Self, Vec<Mistake>) {
        let (mut settings, mut mistakes) = forgiving::read::<Self>(text);
        mistakes.extend(settings.leave_out().into_iter().map(Mistake::new));
        (settings, mistakes)
    }

    /// Takes back what was understood and makes no sense, and tells why.
    fn leave_out(&mut self) -> Vec<String> {
        let mut mistakes = Vec::new();
        self.responder.retain(|one| match one.check() {
            Ok(()) => true,
            Err(why) => {
                mistakes.push(why);
                false
            }
        });
        // It stays: to ask without the proxy would be another wish.
        mistakes.extend(self.proxy.check().err());
        mistakes.extend(self.fleet.leave_out());
        let usual = Self::default();
        if self.threads == 0 || self.threads > 256 || self.per_responder == 0 {
            mistakes.push("threads must be from 1 to 256, and per-responder at least 1".to_owned());
            (self.threads, self.per_responder) = (usual.threads, usual.per_responder);
        }
        let (timing, usual) = (&mut self.timing, usual.timing);
        for (name, seconds, usual) in [
            ("per-address", &mut timing.per_address, usual.per_address),
            ("fetch", &mut timing.fetch, usual.fetch),
            (
                "longest-refresh",
                &mut timing.longest_refresh,
                usual.longest_refresh,
            ),
            (
                "longest-retry",
                &mut timing.longest_retry,
                usual.longest_retry,
            ),
            (
                "life-without-next-update",
                &mut timing.life_without_next_update,
                usual.life_without_next_update,
            ),
            ("sweep", &mut timing.sweep, usual.sweep),
        ] {
            if !(0.01..=31_536_000.0).contains(seconds) {
                mistakes.push(format!(
                    "timing.{name} is {seconds}: it must be from 0.01 seconds to a year"
                ));
                *seconds = usual;
            }
        }
        mistakes
    }

    /// Whom `trusted-issuers` names, and the machine. A file that cannot be read does not
    /// count, and is a mistake.
    pub fn trust(&self) -> (Trust, Vec<Mistake>) {
        let mut trust = Trust::default();
        let added = self.trusted_issuers.iter().map(|file| trust.add(file));
        let mistakes = added
            .filter_map(Result::err)
            .map(|error| Mistake::new(format!("{error:#}")))
            .collect();
        (trust, mistakes)
    }

    /// How responses are judged that a server may staple.
    pub fn policy(&self) -> Policy {
        Policy {
            life_without_next_update: self.timing.life_without_next_update as i64,
            ..Policy::STAPLING
        }
    }

    /// How responses are fetched; `trust` is what `trusted-issuers` names.
    pub fn manner(&self, trust: Trust) -> Manner {
        Manner {
            patience: Patience {
                per_address: seconds(self.timing.per_address),
                total: seconds(self.timing.fetch),
            },
            policy: self.policy(),
            proxies: Arc::new(Proxies::new(&self.proxy)),
            overrides: self.responder.clone(),
            trust: Arc::new(trust),
        }
    }

    /// The limits of the schedule.
    pub fn limits(&self) -> Limits {
        Limits {
            longest_refresh: seconds(self.timing.longest_refresh),
            longest_retry: seconds(self.timing.longest_retry),
        }
    }

    /// How often everything is looked at.
    pub fn sweep(&self) -> Duration {
        seconds(self.timing.sweep)
    }
}

/// The file to be read, if there is one.
fn path(file: Option<&Path>, is_system: bool) -> Option<&Path> {
    let system = Path::new(SYSTEM_FILE);
    file.or_else(|| (is_system && system.exists()).then_some(system))
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the configuration {}", path.display()))
}

/// `leave_out` has seen to it that it is no negative and no infinite number.
fn seconds(number: f64) -> Duration {
    Duration::try_from_secs_f64(number).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nobody() -> Trust {
        Trust::default()
    }

    #[track_caller]
    fn parsed(text: &str) -> Settings {
        let (settings, mistakes) = Settings::parse(text);
        assert_eq!(mistakes, []);
        settings
    }

    #[test]
    fn an_empty_file_means_the_defaults() {
        let settings = parsed("");
        let manner = settings.manner(nobody());
        assert_eq!(manner.patience.total, Duration::from_secs(15));
        assert_eq!(settings.limits().longest_retry, Duration::from_secs(3600));
        assert!(!settings.staple_revoked);
    }

    #[test]
    fn the_packaged_file_shows_the_defaults() {
        let packaged = include_str!("../../../packaging/agent.toml");
        assert_eq!(
            format!("{:?}", parsed(packaged)),
            format!("{:?}", Settings::default())
        );
        // Uncommented, all of it is understood, and the numbers are the defaults.
        let is_setting = |line: &&str| {
            let line = line.trim_start_matches('#');
            line.starts_with('[')
                || line.split_once(" = ").is_some_and(|(name, _)| {
                    name.chars().all(|c| c.is_ascii_lowercase() || c == '-')
                })
        };
        let uncommented: String = packaged
            .lines()
            .filter(is_setting)
            .map(|line| {
                format!(
                    "{}\n",
                    line.trim_start_matches('#')
                        .replace("AB:CD:...", &"AB".repeat(32))
                )
            })
            .collect();
        let shown = parsed(&uncommented);
        let usual = Settings::default();
        assert_eq!(format!("{:?}", shown.timing), format!("{:?}", usual.timing));
        assert_eq!(
            (
                shown.map_size,
                shown.threads,
                shown.per_responder,
                shown.max_certificates
            ),
            (
                usual.map_size,
                usual.threads,
                usual.per_responder,
                usual.max_certificates
            )
        );
        assert_eq!(shown.staple_revoked, usual.staple_revoked);
        assert_eq!(shown.live_files, usual.live_files);
        assert_eq!(shown.intermediates, usual.intermediates);
        assert_eq!(shown.responder.len(), 1);
    }

    #[test]
    fn what_is_set_counts() {
        let settings = parsed(
            "user = 'staplegun'\n[timing]\nlongest-retry = 0.5\n\
             [[responder]]\nprefix = 'http://a/'\nurl = 'http://b/'\n",
        );
        assert_eq!(settings.user.as_deref(), Some("staplegun"));
        assert_eq!(settings.limits().longest_retry, Duration::from_millis(500));
        assert_eq!(settings.manner(nobody()).overrides.len(), 1);
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_named() {
        for (text, word) in [
            ("usr = 'x'", "usr"),
            ("[timing]\nfetch = -1", "fetch"),
            ("[timing]\nfetch = nan", "fetch"),
            ("threads = 0", "threads"),
            ("[[responder]]\nurl = 'http://b/'", "http://b/"),
            ("[[responder]]\nprefix = 'x'\nurl = 'ftp://b/'", "ftp://b/"),
            ("map-size = 'big'", "map-size"),
        ] {
            let (settings, mistakes) = Settings::parse(text);
            let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
            let told = told.join("; ");
            assert!(told.contains(word), "{text:?}: {told}");
            let usual = format!("{:?}", Settings::default());
            assert_eq!(format!("{settings:?}"), usual, "{text:?}");
        }
    }
}
