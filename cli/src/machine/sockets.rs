//! Ports that systemd listens on for units that need not run yet (systemd.socket(5)).

use serde::Deserialize;

use super::unit::{is_machine_of_systemd, systemctl};

/// A socket and the unit that is started by a connection to it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Socket {
    /// What it listens on, as systemd writes it: `0.0.0.0:443`, `[::]:443`, a path.
    listen: String,
    /// The service.
    pub activates: String,
}

/// The sockets that systemd has; none where there is no systemd to ask.
pub fn all() -> Vec<Socket> {
    if !is_machine_of_systemd() {
        return Vec::new();
    }
    let json = systemctl(&["list-sockets", "--output=json"]).unwrap_or_default();
    read(json.as_bytes())
}

fn read(json: &[u8]) -> Vec<Socket> {
    // One that this cannot read, such as a null in the place of a unit, is left out.
    let all: Vec<serde_json::Value> = serde_json::from_slice(json).unwrap_or_default();
    let sockets = all.into_iter();
    sockets
        .filter_map(|one| serde_json::from_value(one).ok())
        .collect()
}

impl Socket {
    /// Whether it listens on a TCP port of that number.
    pub fn has_port(&self, port: u16) -> bool {
        let end = self.listen.rsplit_once(':');
        !self.listen.starts_with('/') && end.is_some_and(|(_, end)| end.parse() == Ok(port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_told_from_paths_and_the_rest_is_left_out() {
        let json = br#"[{"listen":"[::]:443","unit":"web.socket","activates":"web.service"},
            {"listen":"/run/a:443","unit":"b.socket","activates":"b.service"},
            {"listen":"kobject-uevent 1","unit":"u.socket","activates":"u.service"},
            {"listen":"0.0.0.0:443","unit":"c.socket","activates":null}]"#;
        let sockets = read(json);
        let with_port = sockets.iter().filter(|socket| socket.has_port(443));
        let units: Vec<&str> = with_port.map(|socket| socket.activates.as_str()).collect();
        assert_eq!(units, ["web.service"]);
        assert_eq!(read(b"no json"), []);
    }
}
