//! Judges a file on disk: could a preloaded library reach the OpenSSL that this
//! program uses?

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;

use super::elf::{Image, Kind};
use super::finding::{Effect, Finding};
use super::libraries::{Closure, Places};
use super::{carried, plugins, privileges, script};
use crate::lookup;

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
    /// Each libssl that is loaded with it.
    pub libssl: Vec<Libssl>,
    /// Everything else.
    pub findings: Vec<Finding>,
}

/// Examines `path` for the library `shim`. Scripts lead to their interpreter.
pub fn examine(path: &Path, shim: &Image) -> Result<Examined> {
    // The kernel follows as many interpreters.
    const DEEPEST: usize = 4;
    let mut program = path.to_owned();
    let mut findings = Vec::new();
    for _ in 0..DEEPEST {
        let interpreter = script::interpreter(&program)
            .with_context(|| format!("cannot read {}", program.display()))?;
        let Some(interpreter) = interpreter else {
            break;
        };
        let next = match interpreter.by_env() {
            Some(name) => lookup::program(name.as_os_str())?,
            None => interpreter.path,
        };
        findings.push(Finding::new(
            Effect::Note,
            "script",
            format!(
                "{} is a script, run by {}",
                program.display(),
                next.display()
            ),
        ));
        program = next;
    }
    let image = Image::read(&program)?;
    let mut examined = Examined {
        program,
        findings,
        ..Examined::default()
    };
    examined.findings.extend(
        privileges::findings(&examined.program)
            .with_context(|| format!("cannot read the mode of {}", examined.program.display()))?,
    );
    let unfit = unfit(&image, shim);
    let loadable = unfit.is_none();
    examined.findings.extend(unfit);
    let closure = Places::here().closure(&image);
    examined.openssl(&image, &closure, shim, loadable)?;
    Ok(examined)
}

/// Why the dynamic linker could not put the library into such a program.
fn unfit(image: &Image, shim: &Image) -> Option<Finding> {
    if image.machine != shim.machine {
        let text = format!(
            "it is for {}, the library for {}",
            image.machine, shim.machine
        );
        return Some(
            Finding::new(Effect::Prevents, "other_machine", text)
                .advise("build the library for that machine and name it with --lib"),
        );
    }
    if image.kind == Kind::Static && !image.is_go {
        let text = "it is linked statically: no dynamic linker runs that could load the library";
        return Some(
            Finding::new(Effect::Prevents, "static", text)
                .advise("use a build that is linked dynamically with OpenSSL"),
        );
    }
    let interpreter = image.interpreter.as_deref()?;
    let is_musl = |path: &Path| {
        let name = path.file_name().unwrap_or_default();
        name.to_string_lossy().starts_with("ld-musl")
    };
    let shim_is_musl = !shim.needed.iter().any(|name| name == "libc.so.6");
    if is_musl(interpreter) != shim_is_musl {
        let name = |musl| if musl { "musl" } else { "glibc" };
        let text = format!(
            "it uses {} ({}), the library {}",
            name(is_musl(interpreter)),
            interpreter.display(),
            name(shim_is_musl)
        );
        return Some(
            Finding::new(Effect::Prevents, "other_libc", text)
                .advise("build the library for that libc and name it with --lib"),
        );
    }
    if !interpreter.exists() {
        let text = format!("its dynamic linker {} is missing", interpreter.display());
        return Some(
            Finding::new(Effect::Prevents, "no_linker", text)
                .advise("install what the program needs; it cannot be started now"),
        );
    }
    None
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
const OTHER_TLS: &[(&str, &str)] = &[
    ("libgnutls.", "GnuTLS"),
    ("libssl3.so", "NSS"),
    ("libmbedtls.", "Mbed TLS"),
    ("libwolfssl.", "wolfSSL"),
];

impl Examined {
    /// Where the program's OpenSSL is, and whether calls to it pass the library.
    fn openssl(
        &mut self,
        image: &Image,
        closure: &Closure,
        shim: &Image,
        loadable: bool,
    ) -> Result<()> {
        for (name, by) in &closure.missing {
            let text = format!("{name}, needed by {}, was not found", by.display());
            self.findings
                .push(Finding::new(Effect::Note, "missing_library", text));
        }
        if image.kind != Kind::Shared && image.exports("SSL_CTX_new") {
            self.findings.push(own_openssl(
                "it carries an OpenSSL of its own, inside the program",
            ));
            return Ok(());
        }
        self.libssl = libssl_in(image, closure, shim);
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
            self.findings
                .push(own_openssl("OpenSSL is linked into it statically"));
            return Ok(());
        }
        if loadable {
            self.without_openssl(image, closure, shim)?;
        }
        Ok(())
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
        for library in &closure.libraries {
            let mut known = OTHER_TLS.iter();
            if let Some((_, make)) = known.find(|(name, _)| library.name.starts_with(name)) {
                let text = format!(
                    "it uses {make} ({}), not OpenSSL",
                    library.image.path.display()
                );
                self.findings
                    .push(Finding::new(Effect::Note, "other_tls", text));
            }
        }
        for plugin in plugins::of(&image.path) {
            let Ok(plugin) = Image::read(&plugin) else {
                continue;
            };
            let found = libssl_in(&plugin, &Places::here().closure(&plugin), shim);
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
        let others = closure
            .libraries
            .iter()
            .filter(|library| !is_libc(&library.name));
        let images: Vec<&Image> = others
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

fn own_openssl(text: &str) -> Finding {
    Finding::new(Effect::Prevents, "own_openssl", text).advise(
        "use a build that takes libssl from the system (Debian's nodejs does), \
         or put a TLS proxy before it",
    )
}

/// Each libssl among the libraries, with who calls it.
fn libssl_in(program: &Image, closure: &Closure, shim: &Image) -> Vec<Libssl> {
    let is_ours = |name: &str| is_libssl(name) || name.starts_with("libcrypto");
    let libraries = closure.libraries.iter();
    let callers: Vec<&Image> = libraries
        .filter(|library| !is_ours(&library.name))
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

fn is_libc(name: &str) -> bool {
    [
        "libc.so",
        "libdl.so",
        "libpthread.so",
        "ld-linux",
        "ld64",
        "libc.musl",
    ]
    .iter()
    .any(|start| name.starts_with(start))
}
