//! Judges a file on disk: could a preloaded library reach the OpenSSL that this
//! program uses?

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::elf::{Image, Kind};
use super::finding::{Effect, Finding};
use super::libc::Libc;
use super::libssl::Examined;
use super::privileges::{self, Starter};
use super::script;
use crate::{library, lookup};

/// The program that runs in the end, and what leads there: scripts lead to their
/// interpreter.
fn followed(path: &Path) -> Result<(PathBuf, Vec<Finding>)> {
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
        let env = interpreter.by_env().unwrap_or_default();
        if let Some(word) = &env.withholds {
            let text = format!(
                "{} is run by env, whose {word} keeps LD_PRELOAD from it",
                program.display()
            );
            findings.push(
                Finding::new(Effect::Prevents, "env", text)
                    .advise("start its interpreter, with the script as its argument"),
            );
        }
        let next = match env.program {
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
    Ok((program, findings))
}

/// Which C library `path` runs on in the end, if that can be told.
pub fn libc(path: &Path) -> Option<Libc> {
    let (program, _) = followed(path).ok()?;
    Libc::of(&Image::read(&program).ok()?)
}

/// Examines `path` for the library `shim`. Scripts lead to their interpreter.
pub fn examine(path: &Path, shim: &Image) -> Result<Examined> {
    examine_as(path, shim, &Starter::this())
}

/// The same for a program that somebody else starts.
pub fn examine_as(path: &Path, shim: &Image, starter: &Starter) -> Result<Examined> {
    let (program, findings) = followed(path)?;
    let image = Image::read(&program)?;
    let mut examined = Examined {
        program,
        findings,
        ..Examined::default()
    };
    examined.findings.extend(
        privileges::findings(&examined.program, starter)
            .with_context(|| format!("cannot read the mode of {}", examined.program.display()))?,
    );
    let unfit = unfit(&image, shim);
    let loadable = unfit.is_none();
    examined.findings.extend(unfit);
    examined.openssl(&image, shim, loadable)?;
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
                .advise("install libstaplegun for that machine, and name it with --lib"),
        );
    }
    if image.kind == Kind::Static && !image.is_go {
        let text = "it is linked statically: no dynamic linker runs that could load the library";
        return Some(
            Finding::new(Effect::Prevents, "static", text)
                .advise("use a build that is linked dynamically with OpenSSL"),
        );
    }
    if let (Some(its), Some(ours)) = (Libc::of(image), Libc::of(shim))
        && its != ours
    {
        let by = image.interpreter.as_deref().unwrap_or(&image.path);
        let end = if its == Libc::Musl {
            ", and musl ends a program that is to preload what it cannot load"
        } else {
            ""
        };
        let text = format!(
            "it runs on {its} ({}), and {} is for {ours}{end}",
            by.display(),
            shim.path.display()
        );
        return Some(
            Finding::new(Effect::Prevents, "other_libc", text).advise(format!(
                "install libstaplegun for {its}, {}, or name it with --lib",
                library::usual_place(its)
            )),
        );
    }
    let interpreter = image.interpreter.as_deref()?;
    if !interpreter.exists() {
        let text = format!("its dynamic linker {} is missing", interpreter.display());
        return Some(
            Finding::new(Effect::Prevents, "no_linker", text)
                .advise("install what the program needs; it cannot be started now"),
        );
    }
    None
}

#[cfg(test)]
mod tests {
    use staplegun_testkit::Directory;

    use super::*;
    use crate::check::made::LIBRARY;

    #[test]
    fn that_it_ends_a_program_is_said_of_musl_alone() {
        let directory = Directory::new();
        let of = |libc| {
            let loader = match libc {
                Libc::Glibc => "/nowhere/ld-linux-x86-64.so.2",
                Libc::Musl => "/nowhere/ld-musl-x86_64.so.1",
            };
            let made = LIBRARY.interpreter(loader);
            let path = directory.write("program", made.bytes());
            Image::read(&path).expect("a program")
        };
        let said = |program, shim| {
            let finding = unfit(&of(program), &of(shim)).expect("another C library's");
            assert_eq!(finding.cause, "other_libc");
            finding.text
        };
        let text = said(Libc::Musl, Libc::Glibc);
        assert!(text.contains("musl ends a program"), "{text}");
        let text = said(Libc::Glibc, Libc::Musl);
        assert!(text.ends_with("is for musl"), "{text}");
    }
}
