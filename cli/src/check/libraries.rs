//! Which shared objects the dynamic linker would load with a program, by the
//! rules of ld.so(8) or of musl's, without asking it: to ask it would run it.

use std::collections::{HashSet, VecDeque};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::elf::Image;
use super::libc::Libc;

/// Where libraries are looked for, besides what each file says itself.
#[derive(Debug)]
pub struct Places {
    /// LD_LIBRARY_PATH, split.
    environment: Vec<PathBuf>,
    /// What ldconfig has noted: name and path.
    cache: Vec<(Vec<u8>, PathBuf)>,
    /// Where it is looked for last.
    usual: Vec<PathBuf>,
    /// Whether musl's loader looks.
    is_musl: bool,
}

/// A library that a program needs and that was found.
#[derive(Debug)]
pub struct Library {
    /// The name by which it was asked for.
    pub name: String,
    /// What needs it.
    pub needed_by: PathBuf,
    /// The file.
    pub image: Image,
}

/// All that a program needs.
#[derive(Debug, Default)]
pub struct Closure {
    /// What was found, nearest first.
    pub libraries: Vec<Library>,
    /// Names that no file was found for, with what needs them.
    pub missing: Vec<(String, PathBuf)>,
}

/// Where glibc's ld.so looks last; Debian's first in the directories of the machine's kind.
const GLIBC_DIRECTORIES: [&str; 4] = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"];
/// Where musl's looks if /etc does not say.
const MUSL_DIRECTORIES: &[u8] = b"/lib:/usr/local/lib:/usr/lib";
/// What begins so is musl itself, whatever file has the name.
const MUSL_ITSELF: [&str; 7] = [
    "libc.",
    "libpthread.",
    "librt.",
    "libm.",
    "libdl.",
    "libutil.",
    "libxnet.",
];

/// No real program needs more; a guard against hostile files.
const MOST_LIBRARIES: usize = 2000;

impl Places {
    /// Those of a program or shared object, if it is started with this LD_LIBRARY_PATH.
    pub fn of(image: &Image) -> Self {
        let path = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
        let environment = split(path.as_bytes());
        if Libc::of(image) == Some(Libc::Musl) {
            let said = std::fs::read(format!("/etc/ld-musl-{}.path", std::env::consts::ARCH));
            let usual = said.unwrap_or_else(|_| MUSL_DIRECTORIES.to_vec());
            return Self {
                environment,
                cache: Vec::new(),
                usual: split(&usual),
                is_musl: true,
            };
        }
        Self {
            environment,
            cache: std::fs::read("/etc/ld.so.cache")
                .map(|bytes| cache_entries(&bytes))
                .unwrap_or_default(),
            usual: ["/lib", "/usr/lib"]
                .map(|above| PathBuf::from(format!("{above}/{}-linux-gnu", std::env::consts::ARCH)))
                .into_iter()
                .chain(GLIBC_DIRECTORIES.map(PathBuf::from))
                .collect(),
            is_musl: false,
        }
    }

    /// Everything that `program` needs, directly and through others.
    pub fn closure(&self, program: &Image) -> Closure {
        let mut closure = Closure::default();
        let mut seen = HashSet::new();
        let mut waiting = VecDeque::from([program.clone()]);
        // DT_RPATH is inherited from what loaded a file, which is nearly always
        // the program; DT_RUNPATH only with musl.
        let runpath = program.runpath.as_deref().filter(|_| self.is_musl);
        let inherited = program.rpath.as_deref().or(runpath);
        let inherited = inherited.map(|path| origin(path, program));
        while let Some(image) = waiting.pop_front() {
            for name in &image.needed {
                let is_loader = |start: &&str| name.starts_with(start);
                if self.is_musl && MUSL_ITSELF.iter().any(is_loader) {
                    continue;
                }
                if !seen.insert(name.clone()) || seen.len() > MOST_LIBRARIES {
                    continue;
                }
                match self.find(name, &image, inherited.as_deref().unwrap_or_default()) {
                    Some(found) => {
                        waiting.push_back(found.clone());
                        closure.libraries.push(Library {
                            name: name.clone(),
                            needed_by: image.path.clone(),
                            image: found,
                        });
                    }
                    None => closure.missing.push((name.clone(), image.path.clone())),
                }
            }
        }
        closure
    }

    /// The first file of that name for the same machine.
    fn find(&self, name: &str, by: &Image, inherited: &[PathBuf]) -> Option<Image> {
        let fits = |path: &Path| {
            let image = Image::read(path).ok()?;
            (image.machine == by.machine).then_some(image)
        };
        if name.contains('/') {
            return fits(Path::new(name));
        }
        let runpath = by.runpath.as_deref().map(|path| origin(path, by));
        let rpath = match (&runpath, &by.rpath) {
            (Some(_), _) => Vec::new(),
            (None, Some(rpath)) => origin(rpath, by),
            (None, None) => Vec::new(),
        };
        let inherited = if runpath.is_some() && !self.is_musl {
            &[]
        } else {
            inherited
        };
        let in_directories = rpath
            .iter()
            .chain(inherited)
            .chain(&self.environment)
            .chain(runpath.iter().flatten())
            .find_map(|directory| fits(&directory.join(name)));
        in_directories
            .or_else(|| {
                let mut cached = self.cache.iter();
                cached.find_map(|(known, path)| {
                    (known == name.as_bytes()).then(|| fits(path)).flatten()
                })
            })
            .or_else(|| {
                let mut usual = self.usual.iter();
                usual.find_map(|directory| fits(&directory.join(name)))
            })
    }
}

fn split(path: &[u8]) -> Vec<PathBuf> {
    // musl's file in /etc has a line for each.
    path.split(|byte| matches!(byte, b':' | b';' | b'\n'))
        .filter(|part| !part.is_empty())
        .map(|part| PathBuf::from(OsStr::from_bytes(part)))
        .collect()
}

/// Splits a DT_RPATH or DT_RUNPATH, with $ORIGIN replaced.
fn origin(path: &str, image: &Image) -> Vec<PathBuf> {
    let real = image
        .path
        .canonicalize()
        .unwrap_or_else(|_| image.path.clone());
    let directory = real.parent().unwrap_or(Path::new("/")).to_string_lossy();
    let path = path
        .replace("${ORIGIN}", &directory)
        .replace("$ORIGIN", &directory);
    split(path.as_bytes())
}

/// The entries of ld.so.cache in the format that glibc writes since 2.2, which
/// may stand behind the older one. All numbers are in the machine's own order.
fn cache_entries(bytes: &[u8]) -> Vec<(Vec<u8>, PathBuf)> {
    const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
    const HEADER: usize = 48;
    const ENTRY: usize = 24;
    let Some(start) = bytes.windows(MAGIC.len()).position(|part| part == MAGIC) else {
        return Vec::new();
    };
    // Strings are named by their distance from this magic.
    let cache = bytes.get(start..).unwrap_or_default();
    let number = |bytes: &[u8], at| {
        let (four, _) = bytes.get(at..)?.split_first_chunk()?;
        Some(u32::from_ne_bytes(*four) as usize)
    };
    let string = |at: usize| {
        let rest = cache.get(at..)?;
        Some(&rest[..rest.iter().position(|&byte| byte == 0)?])
    };
    let count = number(cache, MAGIC.len()).unwrap_or(0);
    let entries = cache.get(HEADER..).unwrap_or_default();
    entries
        .chunks_exact(ENTRY)
        .take(count)
        .filter_map(|entry| {
            let name = string(number(entry, 4)?)?;
            let path = string(number(entry, 8)?)?;
            Some((name.to_vec(), PathBuf::from(OsStr::from_bytes(path))))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use staplegun_testkit::Directory;

    use super::*;
    use crate::check::made::{LIBRARY, Made};

    #[test]
    fn the_cache_of_this_machine_names_libc() {
        let program = Image::read(Path::new("/usr/bin/openssl")).expect("an ELF file");
        let places = Places::of(&program);
        let libc = places.cache.iter().find(|(name, _)| name == b"libc.so.6");
        assert!(libc.is_some_and(|(_, path)| path.exists()), "{libc:?}");
    }

    /// As in an image whose cache was not made, or is another machine's.
    #[test]
    fn without_a_cache_libraries_are_found_where_ld_so_finds_them() {
        let program = Image::read(Path::new("/usr/bin/openssl")).expect("an ELF file");
        let mut places = Places::of(&program);
        places.cache.clear();
        let missing = places.closure(&program).missing;
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn a_cache_that_is_cut_or_garbage_yields_what_is_whole() {
        let whole = std::fs::read("/etc/ld.so.cache").expect("it is there");
        let all = cache_entries(&whole).len();
        for cut in (0..whole.len()).step_by(97) {
            assert!(cache_entries(&whole[..cut]).len() <= all);
        }
        let mut liar = whole;
        liar[20..24].copy_from_slice(&[0xff; 4]);
        cache_entries(&liar);
    }

    #[test]
    fn the_closure_of_openssl_holds_libssl_and_what_that_needs() {
        let program = Image::read(Path::new("/usr/bin/openssl")).expect("an ELF file");
        let closure = Places::of(&program).closure(&program);
        let names: Vec<&str> = closure.libraries.iter().map(|l| l.name.as_str()).collect();
        assert!(
            names.iter().any(|name| name.starts_with("libssl.so.")),
            "{names:?}"
        );
        assert!(names.contains(&"libc.so.6"), "{names:?}");
        assert!(closure.missing.is_empty(), "{:?}", closure.missing);
    }

    /// Reads what is made into that file.
    fn image(directory: &Directory, name: &str, made: &Made<'_>) -> Image {
        Image::read(&directory.write(name, made.bytes())).expect("an ELF file")
    }

    fn names(closure: &Closure) -> Vec<&str> {
        closure
            .libraries
            .iter()
            .map(|library| library.name.as_str())
            .collect()
    }

    #[test]
    fn libraries_that_need_each_other_are_told_once() {
        let directory = Directory::new();
        let here = "$ORIGIN";
        for (name, other) in [("libone.so", "libtwo.so"), ("libtwo.so", "libone.so")] {
            let needed = &[other][..];
            image(&directory, name, &LIBRARY.needed(needed).runpath(here));
        }
        let needed = &["libone.so", "libtwo.so"][..];
        let program = image(&directory, "program", &LIBRARY.needed(needed).runpath(here));
        let closure = Places::of(&program).closure(&program);
        assert_eq!(names(&closure), ["libone.so", "libtwo.so"]);
        assert!(closure.missing.is_empty(), "{:?}", closure.missing);
    }

    #[test]
    fn a_file_that_needs_more_than_any_is_followed_to_a_bound() {
        let directory = Directory::new();
        let needed: Vec<String> = (0..2 * MOST_LIBRARIES)
            .map(|n| format!("/nowhere/{n}"))
            .collect();
        let needed: Vec<&str> = needed.iter().map(String::as_str).collect();
        let program = image(&directory, "program", &LIBRARY.needed(&needed));
        let closure = Places::of(&program).closure(&program);
        assert_eq!(closure.missing.len(), MOST_LIBRARIES);
    }

    #[test]
    fn a_programs_rpath_counts_for_its_libraries_except_with_glibc_for_those_with_a_runpath() {
        let directory = Directory::new();
        let inner = Directory::new();
        let rpath = format!("$ORIGIN:{}", inner.path().display());
        image(&inner, "libinner.so", &LIBRARY);
        let outer = LIBRARY.needed(&["libinner.so"]);
        let elsewhere = outer.runpath("/nowhere");
        for (outer, is_musl, found) in [
            (outer, false, true),
            (outer, true, true),
            (elsewhere, false, false),
            (elsewhere, true, true),
        ] {
            image(&directory, "libouter.so", &outer);
            let program = LIBRARY.needed(&["libouter.so"]).rpath(&rpath);
            let program = image(&directory, "program", &program);
            let places = Places {
                is_musl,
                ..Places::of(&program)
            };
            let closure = places.closure(&program);
            let wanted = if found {
                &["libouter.so", "libinner.so"][..]
            } else {
                &["libouter.so"]
            };
            assert_eq!(names(&closure), wanted, "{outer:?}, musl: {is_musl}");
        }
    }
}
