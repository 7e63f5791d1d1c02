//! The built library as the loader and the linker see it: what it exports,
//! needs and promises. Each check is also run on an object that must fail it,
//! so that none of them passes blindly.

use std::collections::BTreeSet;
use std::path::Path;

use staplegun_testkit::{Directory, shim};

#[path = "golden/elf.rs"]
mod elf;

use elf::{dynamic, dynamic_names, exports, first_words, imports, object, tool};

/// What the library exports, one name a line.
const SYMBOLS: &str = include_str!("golden/symbols.txt");
/// The header that is committed.
const HEADER: &str = include_str!("../include/staplegun.h");

/// The name that linked programs ask for. It changes with the ABI only.
const SONAME: &str = "libstaplegun.so.0";
/// The newest GLIBC that the library may need. Newer needs newer systems.
const GLIBC: (u32, u32) = (2, 34);
/// What a guest in another's process leaves alone: threads, children, signal
/// handlers, and what runs when a thread or the process ends.
const NOT_FOR_GUESTS: [&str; 14] = [
    "__cxa_atexit",
    "__cxa_thread_atexit_impl",
    "atexit",
    "clone",
    "execve",
    "fork",
    "posix_spawn",
    "pthread_atfork",
    "pthread_create",
    "pthread_key_create",
    "sigaction",
    "signal",
    "vfork",
    "waitpid",
];

type Outcome = Result<(), String>;

fn exports_are(path: &Path, golden: &str) -> Outcome {
    let (found, golden) = (exports(path), first_words(golden));
    if found == golden {
        return Ok(());
    }
    let new: Vec<_> = found.difference(&golden).collect();
    let gone: Vec<_> = golden.difference(&found).collect();
    Err(format!(
        "tests/golden/symbols.txt lacks {new:?}; the library lacks {gone:?}"
    ))
}

/// libssl and libcrypto are whose object it is about, and never our own.
fn needs_only_the_system(path: &Path) -> Outcome {
    let of_the_system = |name: &str| {
        ["libc.so.", "libgcc_s.so.", "ld-linux"]
            .iter()
            .any(|p| name.starts_with(p))
    };
    let others: Vec<_> = dynamic_names(path, "NEEDED")
        .into_iter()
        .filter(|name| !of_the_system(name))
        .collect();
    if others.is_empty() {
        Ok(())
    } else {
        Err(format!("DT_NEEDED names {others:?}"))
    }
}

/// A name that nobody it needs defines would be looked for in the host.
fn imports_only_from_the_system(path: &Path) -> Outcome {
    let versioned = |name: &str| name.contains("@GLIBC_") || name.contains("@GCC_");
    let others: Vec<_> = imports(path)
        .into_iter()
        .filter(|(name, weak)| !weak && !versioned(name))
        .map(|(name, _)| name)
        .collect();
    if others.is_empty() {
        Ok(())
    } else {
        Err(format!("it imports {others:?} from nowhere"))
    }
}

fn leaves_the_host_alone(path: &Path) -> Outcome {
    // __cxa_finalize and its like come weakly with every object, from the compiler.
    let strong = imports(path).into_iter().filter(|(_, weak)| !weak);
    let names = strong.map(|(name, _)| name.split('@').next().unwrap_or_default().to_owned());
    let found: Vec<_> = names
        .filter(|name| NOT_FOR_GUESTS.contains(&name.as_str()))
        .collect();
    if found.is_empty() {
        Ok(())
    } else {
        Err(format!("it calls {found:?}"))
    }
}

fn soname_is(path: &Path, wanted: &str) -> Outcome {
    let found = dynamic_names(path, "SONAME");
    if found == [wanted] {
        Ok(())
    } else {
        Err(format!("SONAME is {found:?}, not {wanted}"))
    }
}

/// Callbacks of ours stay in OpenSSL's tables: it is never unloaded. And no
/// symbol is bound within a handshake.
fn stays_and_binds_at_load(path: &Path) -> Outcome {
    let flags = dynamic(path, "FLAGS_1").concat();
    let missing: Vec<_> = ["NOW", "NODELETE"]
        .into_iter()
        .filter(|flag| !flags.split_whitespace().any(|word| word == *flag))
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(format!("DT_FLAGS_1 lacks {missing:?}"))
    }
}

/// Hosts run with MemoryDenyWriteExecute: code is never written, nor the stack
/// executed.
fn code_is_read_only(path: &Path) -> Outcome {
    if dynamic(path, "FLAGS").concat().contains("TEXTREL") || !dynamic(path, "TEXTREL").is_empty() {
        return Err("it has text relocations".to_owned());
    }
    let headers = tool("readelf", &["--program-headers", "--wide"], path);
    match headers.lines().find(|line| line.contains("GNU_STACK")) {
        Some(line) if !line.contains("RWE") => Ok(()),
        _ => Err("it wants an executable stack".to_owned()),
    }
}

/// Debuggers, profilers and whoever unwinds out of a signal handler find their way from the
/// first instruction on, also where the function is written in assembly.
fn unwinds_from_its_functions(path: &Path) -> Outcome {
    let listing = tool(
        "nm",
        &["--dynamic", "--defined-only", "--format=posix"],
        path,
    );
    let frames = tool("readelf", &["--debug-dump=frames", "--wide"], path);
    let starts: BTreeSet<u64> = (frames.split("pc=").skip(1))
        .filter_map(|frame| u64::from_str_radix(frame.split("..").next()?, 16).ok())
        .collect();
    let described = |line: &&str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, "T", address, ..] = words[..] else {
            return true;
        };
        u64::from_str_radix(address, 16).is_ok_and(|address| starts.contains(&address))
    };
    let missing: Vec<_> = listing.lines().filter(|line| !described(line)).collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(format!("no frame is described for {missing:?}"))
    }
}

/// The test build lets its host break it; a release knows nothing of that.
fn has_no_faults(path: &Path) -> Outcome {
    let strings = tool("strings", &["--all"], path);
    match strings
        .lines()
        .find(|line| line.contains("staplegun_fault"))
    {
        None => Ok(()),
        Some(line) => Err(format!("it is a test build, with {line}")),
    }
}

fn glibc_at_most(path: &Path, limit: (u32, u32)) -> Outcome {
    let imports = imports(path);
    let newest = imports
        .iter()
        .filter(|(_, weak)| !weak)
        .filter_map(|(name, _)| {
            let mut numbers = name.split_once("@GLIBC_")?.1.split('.').map(str::parse);
            let version = (numbers.next()?.ok()?, numbers.next()?.ok()?);
            Some((version, name))
        });
    match newest.max() {
        None => Err("it needs no GLIBC at all, which cannot be".to_owned()),
        Some((version, name)) if version > limit => {
            Err(format!("it needs {name}, newer than GLIBC {limit:?}"))
        }
        Some(_) => Ok(()),
    }
}

/// (the header that is committed, the one that the documented exports make). With
/// STAPLEGUN_WRITE_HEADER=1 the one is written over the other before.
fn headers() -> (String, String) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let bindings = cbindgen::Builder::new()
        .with_config(cbindgen::Config::from_root_or_default(root))
        .with_src(root.join("src/abi/status.rs"))
        .generate()
        .expect("src/abi/status.rs declares what cbindgen can write in C");
    let mut text = Vec::new();
    bindings.write(&mut text);
    let text = String::from_utf8(text).expect("cbindgen writes UTF-8");
    // What rustdoc wants as a section of its own reads on in C.
    let generated = text
        .replace("\n # Safety\n", "\n")
        .replace("  // extern \"C\"", "");
    let path = root.join("include/staplegun.h");
    if std::env::var_os("STAPLEGUN_WRITE_HEADER").is_some() {
        std::fs::write(&path, &generated).expect("it can be written");
    }
    let committed = std::fs::read_to_string(&path).expect("it is there");
    (committed, generated)
}

fn header_is_generated(committed: &str, generated: &str) -> Outcome {
    let differs = committed
        .lines()
        .zip(generated.lines())
        .position(|(a, b)| a != b);
    match differs {
        None if committed == generated => Ok(()),
        None => Err("include/staplegun.h has another length; run: make header".to_owned()),
        Some(at) => Err(format!(
            "include/staplegun.h differs in line {}; run: make header",
            at + 1
        )),
    }
}

/// Every function that the header declares can be linked with.
fn header_is_exported(header: &str, golden: &str) -> Outcome {
    let (exported, mut declared) = (first_words(golden), BTreeSet::new());
    for line in header
        .lines()
        .filter(|l| l.starts_with("long ") || l.starts_with("const char *"))
    {
        let name = line
            .split('(')
            .next()
            .and_then(|start| start.split([' ', '*']).next_back());
        declared.extend(name.map(str::to_owned));
    }
    let missing: Vec<_> = declared.difference(&exported).collect();
    match declared.len() {
        0 => Err("the header declares no function".to_owned()),
        _ if missing.is_empty() => Ok(()),
        _ => Err(format!(
            "the header declares {missing:?}, which the library does not export"
        )),
    }
}

/// Wants the check to pass the library, and to fail the object for that reason.
fn holds(check: fn(&Path) -> Outcome, source: &str, arguments: &[&str], reason: &str) {
    let directory = Directory::new();
    let other = object(&directory, source, arguments);
    let refusal = check(&other).expect_err("the check passes an object that it must refuse");
    assert!(
        refusal.contains(reason),
        "refused for another reason: {refusal}"
    );
    check(&shim::library()).unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn exactly_the_listed_names_are_exported() {
    let library = shim::library();
    exports_are(&library, SYMBOLS).unwrap_or_else(|failure| panic!("{failure}"));
    let one_more = format!("{SYMBOLS}SSL_one_more\n");
    let refusal = exports_are(&library, &one_more).expect_err("a name too many is seen");
    assert!(
        refusal.contains(r#"the library lacks ["SSL_one_more"]"#),
        "{refusal}"
    );
    let one_less = SYMBOLS.replace("SSL_ctrl\n", "");
    let refusal = exports_are(&library, &one_less).expect_err("a name too few is seen");
    assert!(
        refusal.contains(r#"symbols.txt lacks ["SSL_ctrl"]"#),
        "{refusal}"
    );
}

#[test]
fn neither_libssl_nor_libcrypto_is_needed() {
    let source = "long SSL_ctrl(void); long f(void) { return SSL_ctrl(); }";
    holds(needs_only_the_system, source, &["-lssl"], "libssl.so");
    let source = "long ERR_get_error(void); long f(void) { return ERR_get_error(); }";
    holds(needs_only_the_system, source, &["-lcrypto"], "libcrypto.so");
}

#[test]
fn nothing_is_imported_from_openssl() {
    let source = "#include <stdlib.h>\n\
                  long SSL_ctrl(void); long f(void) { return malloc(1) ? SSL_ctrl() : 0; }";
    holds(imports_only_from_the_system, source, &[], "SSL_ctrl");
}

#[test]
fn no_function_is_called_that_a_guest_must_leave_alone() {
    let source = "#include <unistd.h>\nint f(void) { return fork(); }";
    holds(leaves_the_host_alone, source, &[], "fork");
    let source =
        "#include <pthread.h>\nint f(void) { pthread_t t; return pthread_create(&t, 0, 0, 0); }";
    holds(leaves_the_host_alone, source, &[], "pthread_create");
}

#[test]
fn nothing_of_the_test_build_is_in_a_release() {
    let source = "const char *f(void) { return \"staplegun_fault_point\"; }";
    holds(has_no_faults, source, &[], "test build");
}

#[test]
fn the_soname_is_that_of_the_abi() {
    let check: fn(&Path) -> Outcome = |path| soname_is(path, SONAME);
    holds(check, "int f;", &[], "SONAME is []");
    holds(
        check,
        "int f;",
        &["-Wl,-soname,libstaplegun.so.1"],
        "libstaplegun.so.1",
    );
}

#[test]
fn it_is_never_unloaded_and_bound_at_load() {
    holds(
        stays_and_binds_at_load,
        "int f;",
        &["-Wl,-z,now"],
        "NODELETE",
    );
    holds(
        stays_and_binds_at_load,
        "int f;",
        &["-Wl,-z,lazy,-z,nodelete"],
        "NOW",
    );
}

#[test]
fn every_exported_function_can_be_unwound_from() {
    holds(
        unwinds_from_its_functions,
        "__asm__(\".text\\n.globl f\\n.type f, %function\\nf: ret\\n.size f, . - f\\n\");",
        &[],
        "no frame is described",
    );
}

#[test]
fn neither_code_is_written_nor_the_stack_executed() {
    let source = "int f(void) { return 0; }\n\
                  __asm__(\".text\\n.balign 8\\n.dc.a somewhere\\n\");";
    holds(
        code_is_read_only,
        source,
        &["-Wl,-z,notext"],
        "text relocations",
    );
    holds(
        code_is_read_only,
        "int f;",
        &["-Wl,-z,execstack"],
        "executable stack",
    );
}

#[test]
fn no_newer_glibc_is_needed() {
    let source = "#include <stdlib.h>\nunsigned f(void) { return arc4random(); }";
    holds(
        |path| glibc_at_most(path, GLIBC),
        source,
        &[],
        "arc4random@GLIBC_2.36",
    );
}

#[test]
fn the_committed_header_is_the_generated_one() {
    let (committed, generated) = headers();
    header_is_generated(&committed, &generated).unwrap_or_else(|failure| panic!("{failure}"));
    let line = "long SSL_get_tlsext_status_type(struct ssl_st *ssl);";
    let changed = committed.replace(line, "int SSL_get_tlsext_status_type(struct ssl_st *ssl);");
    let refusal = header_is_generated(&changed, &generated).expect_err("a changed line is seen");
    assert!(refusal.contains("run: make header"), "{refusal}");
    let longer = format!("{committed}\n");
    header_is_generated(&longer, &generated).expect_err("a line too many is seen");
}

#[test]
fn every_declared_function_is_exported() {
    header_is_exported(HEADER, SYMBOLS).unwrap_or_else(|failure| panic!("{failure}"));
    let more = format!("{HEADER}long SSL_one_more(struct ssl_st *ssl);\n");
    let refusal = header_is_exported(&more, SYMBOLS).expect_err("a declaration too many is seen");
    assert!(refusal.contains("SSL_one_more"), "{refusal}");
}

/// The README's figure, in thousands of bytes, may lag behind by a tenth.
#[test]
fn the_readme_tells_how_large_it_is() {
    let readme = include_str!("../README.md");
    let (_, row) = readme
        .split_once("| size of the library, and of the program | ")
        .expect("the row is there");
    let (told, _) = row
        .split_once(" KB")
        .expect("the library's size comes first");
    let told: u64 = told.parse().expect("a number");
    let built = std::fs::metadata(shim::library())
        .expect("it is built")
        .len()
        / 1000;
    let differ = told.abs_diff(built) * 10 > built;
    assert!(!differ, "README.md says {told} KB, and it has {built} KB");
}
