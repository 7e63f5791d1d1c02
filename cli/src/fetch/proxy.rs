//! Through which proxy an address is asked: what the configuration says, else what
//! the environment says, read as curl reads it (curl(1), "ENVIRONMENT").

use std::fmt;
use std::net::IpAddr;

use serde::Deserialize;
use ureq::http::Uri;
use ureq::{Proxy, ProxyProtocol};

use super::address;

/// What the configuration says of proxies. What it does not set is the environment's.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct ProxySettings {
    /// For http addresses; empty: none.
    http: Option<String>,
    /// For https addresses; empty: none.
    https: Option<String>,
    /// Hosts that are asked without one, as no_proxy has them.
    except: Option<String>,
    /// Whether a redirect to another host is followed: where it leads is the proxy's to
    /// see.
    redirects: bool,
}

impl ProxySettings {
    /// Whether it makes sense.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong.
    pub fn check(&self) -> Result<(), String> {
        let named = [("proxy.http", &self.http), ("proxy.https", &self.https)];
        for (name, value) in named {
            if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
                Via::read(value, name)?;
            }
        }
        Ok(())
    }
}

/// A proxy, and who named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// As ureq wants it.
    pub proxy: Proxy,
    named_by: &'static str,
}

/// A proxy for each scheme, and for whom there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    /// An error here is one for each address that would go there: to ask without the
    /// proxy would tell the network what the operator wanted to go another way.
    http: Option<Result<Via, String>>,
    https: Option<Result<Via, String>>,
    except: Vec<String>,
    redirects: bool,
}

impl Proxies {
    /// Reads `settings`, and the variables of the process's environment for what they
    /// leave open.
    pub fn new(settings: &ProxySettings) -> Self {
        Self::read(settings, |name| std::env::var(name).ok())
    }

    fn read(settings: &ProxySettings, variable: impl Fn(&str) -> Option<String>) -> Self {
        let from_environment = |names: &[&'static str]| {
            let all = names.iter();
            let mut set = all.filter_map(|name| Some((*name, variable(name)?)));
            set.find(|(_, value)| !value.is_empty())
        };
        let choose = |setting: &Option<String>, by: &'static str, names: &[&'static str]| {
            let named = setting.clone().map(|value| (by, value));
            let (by, value) = named.or_else(|| from_environment(names))?;
            (!value.is_empty()).then(|| Via::read(&value, by))
        };
        let exceptions = settings.except.clone();
        let exceptions = exceptions
            .or_else(|| from_environment(&["no_proxy", "NO_PROXY"]).map(|(_, value)| value));
        Self {
            redirects: settings.redirects,
            // HTTP_PROXY is what a CGI program has of a client's header "Proxy".
            http: choose(
                &settings.http,
                "proxy.http",
                &["http_proxy", "all_proxy", "ALL_PROXY"],
            ),
            https: choose(
                &settings.https,
                "proxy.https",
                &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
            ),
            except: exceptions
                .unwrap_or_default()
                .split([',', ' ', '\t'])
                .filter(|entry| !entry.is_empty())
                .map(str::to_ascii_lowercase)
                .collect(),
        }
    }

    /// Whether a redirect to another host is followed where a proxy is asked.
    pub fn may_redirect(&self) -> bool {
        self.redirects
    }

    /// The proxy through which `uri` is asked; None if it is asked directly.
    ///
    /// # Errors
    ///
    /// A sentence, if there should be one and its address makes no sense.
    pub fn for_uri(&self, uri: &Uri) -> Result<Option<&Via>, String> {
        let proxy = match uri.scheme_str() {
            Some("https") => &self.https,
            _ => &self.http,
        };
        let excepted = || {
            let host = uri.host().unwrap_or_default();
            self.except.iter().any(|entry| covers(entry, host))
        };
        match proxy {
            None => Ok(None),
            Some(_) if excepted() => Ok(None),
            Some(Ok(via)) => Ok(Some(via)),
            Some(Err(why)) => Err(why.clone()),
        }
    }
}

impl Via {
    /// Reads `[SCHEME://][USER:PASSWORD@]HOST[:PORT]`: without scheme http, without port
    /// 1080 (443 for https), as curl has it.
    fn read(text: &str, named_by: &'static str) -> Result<Self, String> {
        // The text may hold a password, and is not repeated.
        let wrong = |why: &str| {
            Err(format!(
                "what {named_by} names is no proxy: {why}; write http://HOST:PORT, or https, \
                 socks4, socks4a, socks5 or socks5h"
            ))
        };
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "socks" => "socks4".to_owned(),
            scheme => scheme.to_owned(),
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        let port = match address::port_of(host) {
            Err(why) => return wrong(&why),
            Ok(Some(_)) => "",
            Ok(None) if scheme == "https" => ":443",
            Ok(None) => ":1080",
        };
        match Proxy::new(&format!("{scheme}://{authority}{port}")) {
            Ok(proxy) => Ok(Self { proxy, named_by }),
            Err(_) => wrong("it cannot be read"),
        }
    }

    /// Whether a name that has no address is the proxy's own: it looks up the others.
    pub fn looks_up_names(&self) -> bool {
        !self.proxy.resolve_target()
    }
}

/// Without user and password.
impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.proxy.protocol() {
            ProxyProtocol::Http => "http",
            ProxyProtocol::Https => "https",
            ProxyProtocol::Socks4 => "socks4",
            ProxyProtocol::Socks4A => "socks4a",
            ProxyProtocol::Socks5 => "socks5",
            _ => "socks5h",
        };
        let (host, port) = (self.proxy.host(), self.proxy.port());
        write!(
            f,
            "the proxy {scheme}://{host}:{port} that {} names",
            self.named_by
        )
    }
}

/// Whether an entry of no_proxy means `host`: an address, a range of addresses
/// (`10.0.0.0/8`), or a name with all names under it. `*` means everybody.
fn covers(entry: &str, host: &str) -> bool {
    if entry == "*" {
        return true;
    }
    let bare = |text: &str| text.trim_matches(['[', ']']).to_owned();
    if let Ok(address) = bare(host).parse::<IpAddr>() {
        let (network, bits) = match entry.split_once('/') {
            Some((network, bits)) => (network, bits.parse().ok()),
            None => (entry, Some(128)),
        };
        return bare(network)
            .parse()
            .is_ok_and(|network| bits.is_some_and(|bits| is_within(address, network, bits)));
    }
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let entry = entry.trim_end_matches('.').trim_start_matches('*');
    let entry = entry.trim_start_matches('.');
    let above = host.strip_suffix(entry);
    !entry.is_empty() && above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
}

/// Whether the first `bits` of both are the same.
fn is_within(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    let (width, differ) = match (address, network) {
        (IpAddr::V4(one), IpAddr::V4(other)) => (32, u128::from(one.to_bits() ^ other.to_bits())),
        (IpAddr::V6(one), IpAddr::V6(other)) => (128, one.to_bits() ^ other.to_bits()),
        _ => return false,
    };
    let behind = width - bits.min(width);
    differ.checked_shr(behind).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(environment: &[(&str, &str)], settings: &ProxySettings) -> Proxies {
        Proxies::read(settings, |name| {
            let found = environment.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn chosen(proxies: &Proxies, url: &str) -> Option<String> {
        let uri = url.parse().expect(url);
        let via = proxies.for_uri(&uri).expect("its address makes sense");
        via.map(ToString::to_string)
    }

    #[test]
    fn each_scheme_has_its_variable_and_all_proxy_stands_in() {
        let none = ProxySettings::default();
        let chosen_by = |environment: &[(&str, &str)], url| {
            let told = chosen(&proxies(environment, &none), url)?;
            told.strip_prefix("the proxy ").map(str::to_owned)
        };
        let both = [("http_proxy", "p:1"), ("HTTPS_PROXY", "socks5://q")];
        assert_eq!(
            chosen_by(&both, "http://a/").as_deref(),
            Some("http://p:1 that http_proxy names")
        );
        assert_eq!(
            chosen_by(&both, "https://a/").as_deref(),
            Some("socks5://q:1080 that HTTPS_PROXY names")
        );
        let all = [("http_proxy", ""), ("ALL_PROXY", "https://u:secret@r")];
        assert_eq!(
            chosen_by(&all, "http://a/").as_deref(),
            Some("https://r:443 that ALL_PROXY names")
        );
        // Only curl's own names: a CGI program's client may set HTTP_PROXY.
        assert_eq!(chosen_by(&[("HTTP_PROXY", "p:1")], "http://a/"), None);
        assert_eq!(chosen_by(&[("https_proxy", "p:1")], "http://a/"), None);
    }

    #[test]
    fn the_configuration_comes_before_the_environment() {
        let settings = ProxySettings {
            http: Some("socks5h://one:2".into()),
            https: Some(String::new()),
            except: None,
            redirects: false,
        };
        let environment = [
            ("http_proxy", "p:1"),
            ("https_proxy", "p:1"),
            ("no_proxy", "b"),
        ];
        let proxies = proxies(&environment, &settings);
        assert_eq!(
            chosen(&proxies, "http://a/").as_deref(),
            Some("the proxy socks5h://one:2 that proxy.http names")
        );
        assert_eq!(chosen(&proxies, "https://a/"), None);
        assert_eq!(chosen(&proxies, "http://b/"), None);
    }

    #[test]
    fn no_proxy_means_names_with_all_under_them_addresses_and_ranges() {
        let list = "example.com, .internal 10.0.0.0/8,192.0.2.1\t[2001:db8::]/32,*.star.org";
        let environment = [("http_proxy", "p:1"), ("NO_PROXY", list)];
        let proxies = proxies(&environment, &ProxySettings::default());
        for (host, direct) in [
            ("example.com", true),
            ("EXAMPLE.com.", true),
            ("ocsp.example.com:8080", true),
            ("badexample.com", false),
            ("example.com.org", false),
            ("internal", true),
            ("a.b.internal", true),
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("192.0.2.1:80", true),
            ("192.0.2.10", false),
            ("[2001:db8::1]", true),
            ("[2001:db9::1]", false),
            ("a.star.org", true),
            ("other.org", false),
        ] {
            let asked = chosen(&proxies, &format!("http://{host}/"));
            assert_eq!(asked.is_none(), direct, "{host}");
        }
    }

    #[test]
    fn a_star_means_everybody() {
        let environment = [("http_proxy", "p:1"), ("no_proxy", "*")];
        let proxies = proxies(&environment, &ProxySettings::default());
        assert_eq!(chosen(&proxies, "http://a/"), None);
        assert_eq!(chosen(&proxies, "http://[::1]/"), None);
    }

    #[test]
    fn a_configuration_names_a_proxy_or_by_an_empty_text_none() {
        let check = |settings: &str| toml::from_str::<ProxySettings>(settings).unwrap().check();
        assert_eq!(check("http = ''\nhttps = 'p:1'"), Ok(()));
        for (settings, name) in [
            ("http = 'ftp://p:1'", "proxy.http "),
            ("http = ''\nhttps = 'p:x'", "proxy.https "),
        ] {
            let why = check(settings).expect_err(settings);
            assert!(why.contains(name), "{why}");
        }
    }

    #[test]
    fn what_is_no_proxy_is_an_error_that_keeps_the_password() {
        for text in ["ftp://me:secret@p:1", "p:70000", "http://", "p:x"] {
            let environment = [("http_proxy", text)];
            let proxies = proxies(&environment, &ProxySettings::default());
            let uri = "http://a/".parse().expect("an address");
            let why = proxies.for_uri(&uri).expect_err(text);
            assert!(
                why.contains("http_proxy") && !why.contains("secret"),
                "{why}"
            );
        }
    }
}
