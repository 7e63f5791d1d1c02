//! Where the HTTP server listens, and by which names it may be asked for.

use std::fs::{self, Permissions};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;

use anyhow::{Context, bail};
use serde::Deserialize;
use staplegun_store::layout::Layout;

/// `[http]` of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct HttpSettings {
    /// The address whose port `metrics-port` is.
    address: IpAddr,
    /// By which names a client may ask, besides those of the loopback and the address.
    hosts: Vec<String>,
    /// Whether to listen on the socket in the runtime directory, too.
    socket: bool,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            address: Ipv4Addr::LOCALHOST.into(),
            hosts: Vec::new(),
            socket: false,
        }
    }
}

/// Where it listens.
#[derive(Debug)]
pub struct Doors {
    /// The port.
    pub port: Option<TcpListener>,
    /// The Unix socket.
    pub socket: Option<UnixListener>,
    /// By which names it may be asked for at the port, besides those of the loopback.
    pub hosts: Vec<String>,
}

impl Doors {
    /// Opens the port, if there is one (0: any; the log tells which).
    ///
    /// # Errors
    ///
    /// If it is taken.
    pub fn open(
        settings: &HttpSettings,
        port: Option<u16>,
        socket: Option<UnixListener>,
    ) -> anyhow::Result<Self> {
        let address = settings.address;
        let open = |port| {
            let listener = TcpListener::bind((address, port))
                .with_context(|| format!("cannot serve on {address}, port {port}"))?;
            tracing::info!(address = %listener.local_addr()?, "serving the page and metrics");
            anyhow::Ok(listener)
        };
        let mut hosts = settings.hosts.clone();
        if !address.is_unspecified() {
            hosts.push(match address {
                IpAddr::V4(address) => address.to_string(),
                IpAddr::V6(address) => format!("[{address}]"),
            });
        }
        Ok(Self {
            port: port.map(open).transpose()?,
            socket,
            hosts,
        })
    }
}

impl HttpSettings {
    /// Listens on the socket, if it is wanted, for root and who else may open it: whoever starts
    /// the agent and his group. What an agent before left is replaced; only one writes this
    /// store.
    ///
    /// # Errors
    ///
    /// If something else lies there, or the directory cannot be written.
    pub fn listen(&self, layout: &Layout) -> anyhow::Result<Option<UnixListener>> {
        let path = layout.http_socket();
        self.socket.then(|| listen(&path)).transpose()
    }
}

fn listen(path: &Path) -> anyhow::Result<UnixListener> {
    const OWNER_AND_GROUP: u32 = 0o660;
    // Where it cannot be looked at, nobody can listen either: that tells why.
    if let Ok(about) = fs::symlink_metadata(path) {
        if !about.file_type().is_socket() {
            bail!("{} is no socket: remove it", path.display());
        }
        fs::remove_file(path).with_context(|| format!("cannot replace {}", path.display()))?;
    }
    // Nobody comes in between: the agent's umask lets others read and not write, which
    // connecting needs.
    let listener =
        UnixListener::bind(path).with_context(|| format!("cannot listen on {}", path.display()))?;
    fs::set_permissions(path, Permissions::from_mode(OWNER_AND_GROUP))
        .with_context(|| format!("cannot set the mode of {}", path.display()))?;
    tracing::info!(socket = %path.display(), "serving the page and metrics");
    Ok(listener)
}
