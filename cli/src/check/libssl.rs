//! Which OpenSSL comes with a program, or may come later, and whether calls to it pass the
//! library.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Result;
use serde::Serialize;

use super::elf::{Image, Kind};
use super::finding::{Effect, Finding};
use super::libraries::{Closure, Places};
use super::{carried, plugins};
use crate::node;

/// A libssl that would be loaded, and who calls it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Libssl {
    /// The file.
    pub path: PathBuf,
    /// What asks for it.
    pub needed_by: PathBuf,
    /// Of the functions that the library interposes, those that somebody calls,
    /// with the version asked for, and who.
    pub calls: Vec<Call>,
}

/// One file that calls functions which the library interposes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Call {
    /// The caller.
    pub from: PathBuf,
    /// The functions, e.g. `SSL_CTX_new@OPENSSL_3.0.0`.
    pub functions: Vec<String>,
}

/// What was found out about a file.
#[derive(Clone, Debug, Default)]
pub struct Examined {
    /// The program that runs in the end: for a script, its interpreter.
    pub program: PathBuf,
    /// Whether it is Node.js with an OpenSSL of its own, whose servers staple by a script.
    pub is_node: bool,
    /// Each libssl that is loaded with it.
    pub libssl: Vec<Libssl>,
    /// Everything else.
    pub findings: Vec<Finding>,
}

/// Functions by which a program loads libraries of its own choice.
const LOADERS: &[&str] = &["dlopen", "dlmopen"];
/// Functions by which a program becomes or starts another one.
const STARTERS: &[&str] = &[
    "execve",
    "execv",
    "execvp",
    "execvpe",
    "execl",
    "execlp",
    "execle",
    "fexecve",
    "posix_spawn",
    "posix_spawnp",
    "system",
    "popen",
];
/// Libraries with TLS of another make, by how their names begin.
pub const OTHER_TLS: &[(&str, &str)] = &[
    ("libgnutls.", "GnuTLS"),
    ("libssl3.so", "NSS"),
    ("libmbedtls.", "Mbed TLS"),
    ("libwolfssl.", "wolfSSL"),
];
/// What is left to do where one of these speaks TLS.
pub const OTHER_TLS_ADVICE: &str = "staple by its own means, with live-files of the agent if it reads a file, or put a TLS proxy \
     before it";

impl Examined {
    /// Tells where the program's OpenSSL is, and whether calls to it pass the library, if the
    /// dynamic linker can put that into it.
    pub fn openssl(&mut self, image: &Image, shim: &Image, loadable: bool) -> Result<()> {
        let closure = Places::of(image).closure(image);
        for (name, by) in &closure.missing {
            let text = format!("{name}, needed by {}, was not found", by.display());
            self.findings
                .push(Finding::new(Effect::Note, "missing_library", text));
        }
        if image.kind != Kind::Shared && image.exports("SSL_CTX_new") {
            self.own_openssl(
                image,
                "it carries an OpenSSL of its own, inside the program",
            );
            return Ok(());
        }
        let name = image.path.file_name().unwrap_or_default();
        if is_libssl(&name.to_string_lossy()) {
            let text = "it is the libssl that programs load";
            self.findings.push(
                Finding::new(Effect::Open, "is_libssl", text)
                    .advise("check a program that loads it"),
            );
            return Ok(());
        }
        self.libssl = libssl_in(image, &closure, shim);
        if !self.libssl.is_empty() {
            self.shared_openssl();
            return Ok(());
        }
        if image.is_go {
            let text = "it is a Go program, with TLS of its own";
            self.findings.push(Finding::new(Effect::Prevents, "go", text).advise(
                "Go's crypto/tls staples what Certificate.OCSPStaple holds; or put a proxy before it",
            ));
            return Ok(());
        }
        if image.inner_openssl || carried::names_its_source(&image.path)? {
            self.own_openssl(image, "OpenSSL is linked into it statically");
            return Ok(());
        }
        if loadable {
            self.without_openssl(image, &closure, shim)?;
        }
        Ok(())
    }

    fn own_openssl(&mut self, image: &Image, text: &str) {
        self.is_node = node::is_it(image);
        let finding = match (self.is_node, node::script()) {
            (false, _) => Finding::new(Effect::Prevents, "own_openssl", text).advise(
                "use a build that takes libssl from the system, or put a TLS proxy before it",
            ),
            (true, Ok(script)) => Finding::new(
                Effect::Allows,
                "node",
                format!(
                    "Node.js with an OpenSSL of its own: its servers staple by {}, which `staplegun \
                     run` and `enable` bring in, and not by the library; its clients are not reached",
                    script.display()
                ),
            ),
            (true, Err(error)) => {
                Finding::new(Effect::Prevents, "node_script", format!("{error:#}"))
                    .advise(node::ADVICE)
            }
        };
        self.findings.push(finding);
    }

    fn shared_openssl(&mut self) {
        for libssl in &self.libssl {
            let path = libssl.path.display();
            let finding = if libssl.calls.is_empty() {
                let text = format!(
                    "{path} is loaded with it, but nothing calls the functions that matter directly"
                );
                Finding::new(Effect::Open, "libssl_not_called", text)
                    .advise("look at the running program: staplegun check --pid PID")
            } else {
                Finding::new(
                    Effect::Allows,
                    "libssl",
                    format!("it uses OpenSSL from {path}"),
                )
            };
            self.findings.push(finding);
        }
    }

    /// No libssl comes with the program: could one come later?
    fn without_openssl(&mut self, image: &Image, closure: &Closure, shim: &Image) -> Result<()> {
        let mut own = None;
        for library in &closure.libraries {
            let mut known = OTHER_TLS.iter();
            let Some((_, make)) = known.find(|(name, _)| library.name.starts_with(name)) else {
                continue;
            };
            let path = library.image.path.display();
            let text = format!("it uses {make} ({path}), not OpenSSL");
            // What only a library of it uses need not be what the program speaks TLS with.
            match image.kind != Kind::Shared && image.needed.contains(&library.name) {
                true => own = Some(text),
                false => self
                    .findings
                    .push(Finding::new(Effect::Note, "other_tls", text)),
            }
        }
        for plugin in plugins::of(&image.path) {
            let Ok(plugin) = Image::read(&plugin) else {
                continue;
            };
            let found = libssl_in(&plugin, &Places::of(&plugin).closure(&plugin), shim);
            for libssl in &found {
                let text = format!(
                    "its plug-in {} brings OpenSSL from {}",
                    plugin.path.display(),
                    libssl.path.display()
                );
                self.findings
                    .push(Finding::new(Effect::Allows, "plugin", text));
            }
            self.libssl.extend(found);
        }
        if let Some(text) = own.filter(|_| self.libssl.is_empty()) {
            self.findings
                .push(Finding::new(Effect::Prevents, "other_tls", text).advise(OTHER_TLS_ADVICE));
            return Ok(());
        }
        let libraries = closure.libraries.iter();
        let images: Vec<&Image> = libraries
            .map(|library| &library.image)
            .chain([image])
            .collect();
        let before = self.findings.len();
        if carried::contains(&image.path, b"libssl.so")? {
            let text = "it names libssl.so in its text: it may open libssl by itself, and what it \
                        then looks up on that library's handle passes us by";
            self.findings.push(
                Finding::new(Effect::Open, "opens_libssl", text)
                    .advise("look at the running program: staplegun check --pid PID"),
            );
        } else if images.iter().any(|image| image.imports_any(LOADERS)) {
            let text = "no direct import: it may load libssl later, by a plug-in";
            self.findings.push(Finding::new(Effect::Open, "may_load_libssl", text).advise(
                "check the plug-in's file, or look at the running program: staplegun check --pid PID",
            ));
        }
        if images.iter().any(|image| image.imports_any(STARTERS)) {
            let text = "it can start other programs, and they inherit the library";
            self.findings.push(
                Finding::new(Effect::Open, "starts_programs", text)
                    .advise("check the program that speaks TLS in the end"),
            );
        }
        if image.kind == Kind::Shared && self.findings.len() == before {
            let text = "no OpenSSL comes with this shared object";
            self.findings
                .push(Finding::new(Effect::Open, "no_openssl", text));
        } else if self.findings.len() == before && self.libssl.is_empty() {
            let text = "no OpenSSL: none is loaded with it, and it loads and starts nothing later";
            self.findings.push(
                Finding::new(Effect::Prevents, "no_openssl", text)
                    .advise("check the program that speaks TLS"),
            );
        }
        Ok(())
    }
}

/// Each libssl among the libraries, with who calls it.
fn libssl_in(program: &Image, closure: &Closure, shim: &Image) -> Vec<Libssl> {
    let libraries = closure.libraries.iter();
    let callers: Vec<&Image> = libraries
        .map(|library| &library.image)
        .chain([program])
        .collect();
    let libraries = closure.libraries.iter();
    libraries
        .filter(|library| is_libssl(&library.name))
        .map(|library| Libssl {
            path: library.image.path.clone(),
            needed_by: library.needed_by.clone(),
            calls: callers
                .iter()
                .filter(|caller| caller.needed.contains(&library.name))
                .filter_map(|caller| {
                    let imports = caller.imports.iter();
                    let functions: BTreeSet<String> = imports
                        .filter(|import| shim.exports(&import.name))
                        .map(ToString::to_string)
                        .collect();
                    (!functions.is_empty()).then(|| Call {
                        from: caller.path.clone(),
                        functions: functions.into_iter().collect(),
                    })
                })
                .collect(),
        })
        .collect()
}

/// Whether this is the name of an OpenSSL's libssl: the system's `libssl.so.3`,
/// a wheel's `libssl-1a2b3c4d.so.1.1`; NSS has a libssl3.so.
pub fn is_libssl(name: &str) -> bool {
    let rest = name.strip_prefix("libssl");
    rest.is_some_and(|rest| {
        rest.starts_with(".so") || rest.starts_with('-') && rest.contains(".so")
    })
}

#[cfg(test)]
mod tests {
    use staplegun_testkit::Directory;

    use super::*;
    use crate::check::made::{LIBRARY, Made, PROGRAM};

    /// What is found out about such a file in that directory, and of it a program's libraries.
    fn causes(directory: &Directory, made: &Made<'_>) -> Vec<(Effect, &'static str)> {
        let read = |name: &str, made: &Made<'_>| {
            Image::read(&directory.write(name, made.bytes())).expect("an ELF file")
        };
        let shim = LIBRARY.exports(&["SSL_CTX_new"]);
        let shim = read("libstaplegun.so", &shim);
        let made = made.rpath("$ORIGIN");
        let mut examined = Examined::default();
        let looked = examined.openssl(&read("file", &made), &shim, true);
        looked.expect("it can be read");
        let findings = examined.findings.iter();
        findings
            .map(|finding| (finding.effect, finding.cause))
            .collect()
    }

    #[test]
    fn an_openssl_within_a_program_is_its_own_and_what_stands_in_for_one_has_none() {
        let directory = Directory::new();
        let exports = &["SSL_CTX_new"][..];
        let found = causes(&directory, &PROGRAM.exports(exports));
        assert_eq!(found, [(Effect::Prevents, "own_openssl")]);
        let found = causes(&directory, &LIBRARY.exports(exports));
        assert_eq!(found, [(Effect::Open, "no_openssl")]);
    }

    #[test]
    fn tls_of_another_make_is_the_programs_only_if_the_program_itself_asks_for_it() {
        let directory = Directory::new();
        directory.write("libgnutls.so.30", LIBRARY.bytes());
        let needed = &["libgnutls.so.30"][..];
        let between = LIBRARY.needed(needed);
        directory.write("libbetween.so", between.bytes());
        let found = causes(&directory, &PROGRAM.needed(needed));
        assert_eq!(found, [(Effect::Prevents, "other_tls")]);
        let found = causes(&directory, &PROGRAM.needed(&["libbetween.so"]));
        let none = (Effect::Prevents, "no_openssl");
        assert_eq!(found, [(Effect::Note, "other_tls"), none]);
        let found = causes(&directory, &LIBRARY.needed(needed));
        let none = (Effect::Open, "no_openssl");
        assert_eq!(found, [(Effect::Note, "other_tls"), none]);
    }

    #[test]
    fn what_a_library_may_load_or_start_for_a_program_leaves_it_open() {
        let directory = Directory::new();
        for (function, cause) in [
            ("dlopen", "may_load_libssl"),
            ("posix_spawn", "starts_programs"),
        ] {
            let imports = &[function][..];
            directory.write("libbetween.so", LIBRARY.imports(imports).bytes());
            for made in [
                PROGRAM.needed(&["libbetween.so"]),
                PROGRAM.imports(imports),
                LIBRARY.imports(imports),
            ] {
                assert_eq!(
                    causes(&directory, &made),
                    [(Effect::Open, cause)],
                    "{made:?}"
                );
            }
        }
    }

    #[test]
    fn libssl_itself_is_no_program_with_an_openssl_inside() {
        let directory = Directory::new();
        let made = LIBRARY.exports(&["SSL_CTX_new"]).text(b"../ssl/ssl_lib.c");
        let libssl = directory.write("libssl.so.3", made.bytes());
        let libssl = Image::read(&libssl).expect("a library");
        let mut examined = Examined::default();
        let looked = examined.openssl(&libssl, &libssl, true);
        looked.expect("it can be read");
        let [finding] = &examined.findings[..] else {
            panic!("{examined:?}");
        };
        assert_eq!((finding.effect, finding.cause), (Effect::Open, "is_libssl"));
        // Under another name it may be what others load, or a plug-in with one of its own.
        let found = causes(&directory, &made);
        assert_eq!(found, [(Effect::Prevents, "own_openssl")]);
    }

    #[test]
    fn a_libssl_is_known_by_its_name() {
        for name in ["libssl.so.3", "libssl.so", "libssl-1a2b3c4d.so.1.1"] {
            assert!(is_libssl(name), "{name}");
        }
        for name in [
            "libssl3.so",
            "libssl-dev",
            "libssl_iostream_openssl.so",
            "xlibssl.so.3",
        ] {
            assert!(!is_libssl(name), "{name}");
        }
    }
}
