//! Where libstaplegun.so is: one file for programs on glibc, and one for those on musl.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::check::elf::Image;
use crate::check::libc::Libc;

/// Names of the library's file: as built, and as packages install it.
const NAMES: [&str; 2] = ["libstaplegun.so", "libstaplegun.so.0"];

/// The absolute path of the library: what the operator named, else what lies
/// beside this program (an unpacked archive, a build), else in the `lib` of the
/// prefix that this program was installed to, else where the system's are.
///
/// # Errors
///
/// If there is none, or LD_PRELOAD cannot hold its path.
pub fn find(named: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = named {
        let path = path.canonicalize().with_context(|| {
            format!(
                "the library {} named by --lib or STAPLEGUN_LIB",
                path.display()
            )
        })?;
        return fit_for_preload(path);
    }
    let all = [places(Libc::Glibc), places(Libc::Musl)].concat();
    match files(all).next() {
        // Not resolved further: an upgrade may replace what a link points to.
        Some(file) => fit_for_preload(std::path::absolute(file)?),
        None => bail!(
            "{} is in none of {}; name it with --lib or in STAPLEGUN_LIB",
            NAMES[0],
            places(Libc::Glibc)
                .iter()
                .map(|place| place.display().to_string())
                .collect::<Vec<_>>()
                .join(", ")
        ),
    }
}

/// The same, for a program that runs on that C library. What the operator named is not
/// doubted, and where none fits, it is [`find`]'s, so that it can be said.
///
/// # Errors
///
/// As [`find`].
pub fn find_for(named: Option<&Path>, libc: Option<Libc>) -> Result<PathBuf> {
    let wanted = libc.filter(|_| named.is_none());
    let fits = |file: &PathBuf| Image::read(file).is_ok_and(|image| Libc::of(&image) == libc);
    match wanted.and_then(|libc| files(places(libc)).find(fits)) {
        Some(file) => fit_for_preload(std::path::absolute(file)?),
        None => find(named),
    }
}

/// The files in these directories that have one of its names.
fn files(places: impl IntoIterator<Item = PathBuf>) -> impl Iterator<Item = PathBuf> {
    let files = |directory: PathBuf| NAMES.map(|name| directory.join(name));
    let files = places.into_iter().flat_map(files);
    files.filter(|file| file.is_file())
}

/// Where packages put the library for that C library, beside the other one.
pub fn usual_place(libc: Libc) -> String {
    format!("as /usr/lib/{}/{}", multiarch(libc), NAMES[1])
}

/// Where the library for that C library is looked for.
fn places(libc: Libc) -> Vec<PathBuf> {
    let mut places = Vec::new();
    let own = std::env::current_exe().ok();
    if let Some(directory) = own.as_deref().and_then(Path::parent) {
        places.push(directory.to_owned());
        places.push(directory.join(multiarch(libc)));
        if let Some(prefix) = directory.parent() {
            places.push(prefix.join("lib"));
            places.push(prefix.join("lib").join(multiarch(libc)));
            places.push(prefix.join("lib64"));
        }
    }
    for prefix in ["/usr/local/lib", "/usr/lib"] {
        places.push(PathBuf::from(prefix));
        places.push(Path::new(prefix).join(multiarch(libc)));
    }
    places.push(PathBuf::from("/usr/lib64"));
    let mut seen = std::collections::HashSet::new();
    places.retain(|place| seen.insert(place.clone()));
    places
}

/// Debian's name for this machine's libraries.
fn multiarch(libc: Libc) -> String {
    let libc = match libc {
        Libc::Glibc => "gnu",
        Libc::Musl => "musl",
    };
    format!("{}-linux-{libc}", std::env::consts::ARCH)
}

/// LD_PRELOAD is split at blanks and colons, and knows no quotes (ld.so(8)).
fn fit_for_preload(path: PathBuf) -> Result<PathBuf> {
    let text = path.to_string_lossy();
    if text.contains([' ', ':', '\t', '\n']) {
        bail!(
            "the library's path {text:?} holds a blank or a colon, which LD_PRELOAD cannot hold; \
             move or link it to another place and name that with --lib"
        );
    }
    Ok(path)
}
