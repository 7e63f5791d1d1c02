//! `[fleet]` in the configuration.

use std::path::PathBuf;

use serde::Deserialize;

use super::address::Address;

/// What this machine does in the fleet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Take what others fetched, and let others have what it fetched.
    #[default]
    Share,
    /// Only take, and ask no responder: for machines without a way out.
    Read,
}

/// What stands there.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct FleetSettings {
    /// Where the store is; None: there is none, and nothing of this counts.
    pub url: Option<String>,
    /// What this machine does.
    pub mode: Mode,
    /// The user there; None: the usual one.
    pub user: Option<String>,
    /// The file of the password; a name without a slash is a credential of systemd's.
    pub password_file: Option<PathBuf>,
    /// The password of the Sentinels, if they want one, in the same way.
    pub sentinel_password_file: Option<PathBuf>,
    /// The authorities (PEM) that count instead of the machine's.
    pub ca_file: Option<PathBuf>,
    /// The certificate (PEM, with its chain) that is shown there,
    pub certificate: Option<PathBuf>,
    /// and its key.
    pub key: Option<PathBuf>,
    /// Where the names of all keys begin.
    pub prefix: String,
    /// In one of so many cycles of a response each agent asks the responder itself.
    pub own_question: u32,
}

impl Default for FleetSettings {
    fn default() -> Self {
        Self {
            url: None,
            mode: Mode::Share,
            user: None,
            password_file: None,
            sentinel_password_file: None,
            ca_file: None,
            certificate: None,
            key: None,
            prefix: "sg:1:".to_owned(),
            own_question: 100,
        }
    }
}

impl FleetSettings {
    /// A URL from the command line.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong with it.
    pub fn check_url(url: &str) -> Result<String, String> {
        Address::parse(url).map(|_| url.to_owned())
    }

    /// Where the store is, if there is one and that is understood.
    pub fn address(&self) -> Option<Address> {
        Address::parse(self.url.as_deref()?).ok()
    }

    /// Takes back what makes no sense, and tells why. Without a URL that can be used there
    /// is no fleet; never one without the TLS or the password that was wanted.
    pub fn leave_out(&mut self) -> Vec<String> {
        let mut mistakes = Vec::new();
        if let Some(url) = &self.url
            && let Err(why) = Address::parse(url)
        {
            mistakes.push(format!("fleet.url is {url:?}: {why}"));
            self.url = None;
        }
        let is_tls = self.address().is_some_and(|address| address.is_tls);
        let wants_tls = self.ca_file.is_some() || self.certificate.is_some() || self.key.is_some();
        if self.url.is_some() && wants_tls && !is_tls {
            mistakes.push(
                "fleet.ca-file, certificate and key are for rediss://, and fleet.url is not"
                    .to_owned(),
            );
            self.url = None;
        }
        if self.certificate.is_some() != self.key.is_some() {
            mistakes.push("fleet.certificate and fleet.key go together".to_owned());
            self.url = None;
        }
        if self.user.is_some() && self.password_file.is_none() {
            mistakes.push("fleet.user needs fleet.password-file".to_owned());
            self.url = None;
        }
        let usual = Self::default();
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"{}*?[]\\".contains(&byte);
        if self.prefix.is_empty() || self.prefix.len() > 64 || !self.prefix.bytes().all(is_plain) {
            mistakes.push(
                "fleet.prefix must be up to 64 printable characters without blanks and {}*?[]\\"
                    .to_owned(),
            );
            self.prefix = usual.prefix;
        }
        if self.own_question == 0 {
            mistakes.push("fleet.own-question must be at least 1".to_owned());
            self.own_question = usual.own_question;
        }
        mistakes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (FleetSettings, String) {
        let mut settings: FleetSettings = toml::from_str(text).expect("TOML");
        let mistakes = settings.leave_out().join("; ");
        (settings, mistakes)
    }

    #[test]
    fn without_a_url_there_is_no_fleet() {
        let (settings, mistakes) = read("");
        assert_eq!((settings.address(), mistakes.as_str()), (None, ""));
    }

    #[test]
    fn what_would_leave_out_tls_or_a_password_leaves_out_the_fleet() {
        for (text, word) in [
            ("url = 'redis://a'\nca-file = '/x'", "rediss"),
            ("url = 'rediss://a'\ncertificate = '/x'", "go together"),
            ("url = 'rediss://a'\nuser = 'x'", "password-file"),
            ("url = 'redis://x:y@a'", "password-file"),
        ] {
            let (settings, mistakes) = read(text);
            assert!(mistakes.contains(word), "{text}: {mistakes}");
            assert_eq!(settings.address(), None, "{text}");
        }
    }

    #[test]
    fn what_else_makes_no_sense_is_the_default() {
        let (settings, mistakes) = read("url = 'redis://a'\nprefix = 'a*'\nown-question = 0");
        assert!(mistakes.contains("prefix") && mistakes.contains("own-question"));
        assert!(settings.address().is_some());
        assert_eq!(
            (settings.prefix.as_str(), settings.own_question),
            ("sg:1:", 100)
        );
    }
}
