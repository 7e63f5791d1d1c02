//! Where everything lies.
//!
//! | what                          | system-wide                | of a user                           |
//! |-------------------------------|----------------------------|-------------------------------------|
//! | `certs/`, `staples/`, `state/`| /var/lib/staplegun         | $XDG_STATE_HOME/staplegun, or ~/.local/state/staplegun |
//! | `map.v1`, `spool/`, `live/`   | /run/staplegun             | $XDG_RUNTIME_DIR/staplegun, or with the files above |
//!
//! STAPLEGUN_DIR puts everything into one directory.

use std::path::{Path, PathBuf};

/// The paths of one store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    lasting: PathBuf,
    runtime: PathBuf,
}

impl Layout {
    /// The store of the system.
    pub fn system() -> Self {
        Self {
            lasting: PathBuf::from("/var/lib/staplegun"),
            runtime: PathBuf::from("/run/staplegun"),
        }
    }

    /// A user's store, from the values of XDG_STATE_HOME, XDG_RUNTIME_DIR and
    /// HOME. As the XDG specification wants it, a path that is not absolute counts
    /// as not set. None if neither XDG_STATE_HOME nor HOME is set.
    pub fn user(
        state_home: Option<&Path>,
        runtime_dir: Option<&Path>,
        home: Option<&Path>,
    ) -> Option<Self> {
        let absolute = |path: &&Path| path.is_absolute();
        let lasting = state_home
            .filter(absolute)
            .map(Path::to_owned)
            .or_else(|| Some(home.filter(absolute)?.join(".local/state")))?
            .join("staplegun");
        let runtime = runtime_dir
            .filter(absolute)
            .map_or_else(|| lasting.clone(), |path| path.join("staplegun"));
        Some(Self { lasting, runtime })
    }

    /// A store that lies in one directory: the value of STAPLEGUN_DIR.
    pub fn at(directory: &Path) -> Self {
        Self {
            lasting: directory.to_owned(),
            runtime: directory.to_owned(),
        }
    }

    /// The directory of the plain files, see `files`.
    pub fn lasting(&self) -> &Path {
        &self.lasting
    }

    /// The directory of map and spool: on tmpfs, gone after a reboot.
    pub fn runtime(&self) -> &Path {
        &self.runtime
    }

    /// The live map, see [`crate::map`]. Another format has another name.
    pub fn map(&self) -> PathBuf {
        self.runtime.join("map.v1")
    }

    /// What the live map serves, as plain files.
    pub fn live(&self) -> PathBuf {
        self.runtime.join("live")
    }

    /// The Unix socket where the agent serves its page.
    pub fn http_socket(&self) -> PathBuf {
        self.runtime.join("http.sock")
    }

    /// The drop box for certificates, see [`crate::spool`].
    pub fn spool(&self) -> PathBuf {
        self.runtime.join("spool")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(state: Option<&str>, runtime: Option<&str>, home: Option<&str>) -> Option<Layout> {
        Layout::user(
            state.map(Path::new),
            runtime.map(Path::new),
            home.map(Path::new),
        )
    }

    #[test]
    fn a_users_store_follows_xdg() {
        let layout = user(Some("/s"), Some("/run/user/7"), Some("/home/u")).unwrap();
        assert_eq!(layout.lasting(), Path::new("/s/staplegun"));
        assert_eq!(layout.map(), Path::new("/run/user/7/staplegun/map.v1"));
        assert_eq!(layout.spool(), Path::new("/run/user/7/staplegun/spool"));
    }

    #[test]
    fn what_is_not_set_or_not_absolute_falls_back() {
        let layout = user(Some("s"), Some(""), Some("/home/u")).unwrap();
        assert_eq!(
            layout.lasting(),
            Path::new("/home/u/.local/state/staplegun")
        );
        assert_eq!(layout.runtime(), layout.lasting());
        assert_eq!(user(None, Some("/run/user/7"), Some("home")), None);
    }

    #[test]
    fn the_systems_store_is_where_units_and_documents_say() {
        let layout = Layout::system();
        assert_eq!(layout.lasting(), Path::new("/var/lib/staplegun"));
        assert_eq!(layout.runtime(), Path::new("/run/staplegun"));
        assert_eq!(layout.live(), Path::new("/run/staplegun/live"));
        assert_eq!(layout.http_socket(), Path::new("/run/staplegun/http.sock"));
    }

    #[test]
    fn an_override_holds_everything() {
        let layout = Layout::at(Path::new("/d"));
        assert_eq!(layout.lasting(), Path::new("/d"));
        assert_eq!(layout.map(), Path::new("/d/map.v1"));
    }
}
