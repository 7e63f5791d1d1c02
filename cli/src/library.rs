//! Where libstaplegun.so is.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Names of the library's file: as built, and as packages install it.
const NAMES: [&str; 2] = ["libstaplegun.so", "libstaplegun.so.0"];

/// The absolute path of the library: what the operator named, else what lies
/// beside this program (an unpacked archive, a build), else in the `lib` of the
/// prefix that this program was installed to, else where the system's are.
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
    let places = places();
    let mut files = places
        .iter()
        .flat_map(|directory| NAMES.map(|name| directory.join(name)));
    match files.find(|file| file.is_file()) {
        // Not resolved further: an upgrade may replace what a link points to.
        Some(file) => fit_for_preload(std::path::absolute(file)?),
        None => bail!(
            "{} is in none of {}; name it with --lib or in STAPLEGUN_LIB",
            NAMES[0],
            places
                .iter()
                .map(|place| place.display().to_string())
                .collect::<Vec<_>>()
                .join(", ")
        ),
    }
}

fn places() -> Vec<PathBuf> {
    let mut places = Vec::new();
    let own = std::env::current_exe().ok();
    if let Some(directory) = own.as_deref().and_then(Path::parent) {
        places.push(directory.to_owned());
        if let Some(prefix) = directory.parent() {
            places.push(prefix.join("lib"));
            places.push(prefix.join("lib").join(multiarch()));
            places.push(prefix.join("lib64"));
        }
    }
    for prefix in ["/usr/local/lib", "/usr/lib"] {
        places.push(PathBuf::from(prefix));
        places.push(Path::new(prefix).join(multiarch()));
    }
    places.push(PathBuf::from("/usr/lib64"));
    let mut seen = std::collections::HashSet::new();
    places.retain(|place| seen.insert(place.clone()));
    places
}

/// Debian's name for this machine's libraries.
fn multiarch() -> String {
    format!("{}-linux-gnu", std::env::consts::ARCH)
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
