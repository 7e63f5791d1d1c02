//! Addresses of responders: which can be asked at all, and where a redirect leads.

use ureq::http::Uri;

/// Reads the address of something that is asked by HTTP.
///
/// # Errors
///
/// A sentence that says what is wrong with it.
pub fn parse(url: &str) -> Result<Uri, String> {
    let uri: Uri = url
        .parse()
        .map_err(|error| format!("{error}; it must be http://HOST[:PORT]/..."))?;
    match uri.scheme_str() {
        Some("http" | "https") => {}
        Some(other) => return Err(format!("{other} is neither http nor https")),
        None => return Err("it is neither http nor https".to_owned()),
    }
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let host = authority.rsplit('@').next().unwrap_or_default();
    if port_of(host)? == Some(0) {
        return Err("port 0 is nobody's".to_owned());
    }
    Ok(uri)
}

/// The port in `HOST[:PORT]`. The libraries pass over one that is no port and ask the
/// usual one, where somebody else may answer.
///
/// # Errors
///
/// A sentence, if it is no port, or there is no host.
pub fn port_of(host_and_port: &str) -> Result<Option<u16>, String> {
    // The colons of an IPv6 address stand within brackets.
    let (host, behind) = match host_and_port.rfind(']') {
        Some(end) => host_and_port.split_at(end + 1),
        None => {
            let colon = host_and_port.find(':').unwrap_or(host_and_port.len());
            host_and_port.split_at(colon)
        }
    };
    if host.is_empty() {
        return Err("it names no host".to_owned());
    }
    match behind.strip_prefix(':') {
        None | Some("") => Ok(None),
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => port
            .parse()
            .map(Some)
            .map_err(|_| format!("{port} is no port: they end with 65535")),
        Some(port) => Err(format!("{port:?} is no port")),
    }
}

/// Where a redirect leads whose Location is `to` (RFC 9110, 10.2.2; RFC 3986, 5.2),
/// and whose request went to `from`. Dots in the path are left to who is asked.
pub fn redirected(from: &Uri, to: &str) -> String {
    let to = to.trim();
    let scheme = from.scheme_str().unwrap_or("http");
    let authority = from.authority().map_or("", |authority| authority.as_str());
    let is_absolute = to.split_once(':').is_some_and(|(scheme, _)| {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(is_letter)
    });
    let path = from.path();
    if is_absolute {
        to.to_owned()
    } else if to.starts_with("//") {
        format!("{scheme}:{to}")
    } else if to.starts_with('/') {
        format!("{scheme}://{authority}{to}")
    } else if to.starts_with('?') {
        format!("{scheme}://{authority}{path}{to}")
    } else {
        let directory = path.rfind('/').map_or("/", |last| &path[..=last]);
        format!("{scheme}://{authority}{directory}{to}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http_and_https_at_a_port_can_be_asked() {
        for url in [
            "http://a/",
            "https://a:65535",
            "http://[::1]:8080/x",
            "http://u:1@a:80/",
            "http://a:/",
        ] {
            assert!(parse(url).is_ok(), "{url}: {:?}", parse(url));
        }
        for (url, word) in [
            ("http://a:65536/", "65536"),
            ("http://a:70000", "70000"),
            ("http://[::1]:99999/", "99999"),
            ("http://a:0/", "port 0"),
            ("ftp://a/", "ftp"),
            ("a/b", "http"),
            ("http:///x", "http"),
            ("", "http"),
        ] {
            let why = parse(url).expect_err(url);
            assert!(why.contains(word), "{url}: {why}");
        }
    }

    #[test]
    fn a_redirect_is_resolved_against_where_it_came_from() {
        let from: Uri = "http://a:8080/ocsp/MF?q".parse().expect("an address");
        for (to, leads) in [
            ("https://b/x", "https://b/x"),
            ("ftp://b/", "ftp://b/"),
            ("//b/x", "http://b/x"),
            ("/x:y", "http://a:8080/x:y"),
            ("x", "http://a:8080/ocsp/x"),
            ("x/y:z", "http://a:8080/ocsp/x/y:z"),
            ("1:x", "http://a:8080/ocsp/1:x"),
            ("?r", "http://a:8080/ocsp/MF?r"),
        ] {
            assert_eq!(redirected(&from, to), leads);
        }
    }
}
