//! Becoming another user, for good.

use std::os::unix::fs::MetadataExt;

use anyhow::{Context, bail};
use nix::unistd::{Gid, Uid, User, initgroups, setresgid, setresuid};
use staplegun_store::layout::Layout;

/// Finds the user `name`.
///
/// # Errors
///
/// If there is none, or it is root.
pub fn find(name: &str) -> anyhow::Result<User> {
    let user = User::from_name(name)
        .with_context(|| format!("cannot look up the user {name:?}"))?
        .with_context(|| {
            format!("there is no user {name:?}: make one (systemd-sysusers), or name another")
        })?;
    if user.uid.is_root() {
        bail!("the agent's user must not be root");
    }
    Ok(user)
}

/// The user other than root to whom the files of the store belong: who the last agent
/// was. None if this process is not root, or there is none.
pub fn owner_of(layout: &Layout) -> Option<User> {
    let about = std::fs::symlink_metadata(layout.lasting().join("certs")).ok()?;
    let is_other = Uid::effective().is_root() && about.uid() != 0;
    is_other.then(|| User::from_uid(Uid::from_raw(about.uid())).ok().flatten())?
}

/// Becomes `user` with its groups: real, effective and saved, so that there is no
/// way back; and gains nothing by exec any more. To be called before there are
/// other threads.
///
/// # Errors
///
/// If the kernel refuses; then the process must end.
pub fn become_user(user: &User) -> anyhow::Result<()> {
    let failed = || format!("cannot become the user {}", user.name);
    let name = std::ffi::CString::new(user.name.as_str()).with_context(failed)?;
    initgroups(&name, user.gid).with_context(failed)?;
    setresgid(user.gid, user.gid, user.gid).with_context(failed)?;
    setresuid(user.uid, user.uid, user.uid).with_context(failed)?;
    rustix::thread::set_no_new_privs(true).with_context(failed)?;
    if Uid::effective() != user.uid || Gid::effective() != user.gid {
        bail!("{}: the kernel did nothing", failed());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::chown;

    use staplegun_testkit::Directory;

    use super::*;

    #[test]
    fn root_becomes_whose_files_they_are_unless_they_are_roots_and_who_is_not_root_nobody() {
        let directory = Directory::new();
        let layout = Layout::at(directory.path());
        assert_eq!(owner_of(&layout), None, "there are none");
        let certificates = layout.lasting().join("certs");
        std::fs::create_dir(&certificates).expect("it is ours");
        assert_eq!(owner_of(&layout), None, "they are its own");
        if Uid::effective().is_root() {
            let nobody = User::from_name("nobody").expect("users can be looked up");
            let nobody = nobody.expect("there is one");
            chown(&certificates, Some(nobody.uid.as_raw()), None).expect("as root");
            assert_eq!(owner_of(&layout), Some(nobody));
        }
    }
}
