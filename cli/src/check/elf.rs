//! What an ELF file says about itself: for which machine it is, what it needs,
//! which functions of OpenSSL it calls and which it brings along.
//!
//! Only headers and tables are read; nothing of the file is run.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use object::elf::{self, FileHeader32, FileHeader64};
use object::read::elf::{Dyn, FileHeader, ProgramHeader, SectionTable, Sym};
use object::{Endianness, FileKind, ReadCache, ReadRef, StringTable};
use staplegun_store::files::open_regular;

/// The machine that code is for; two files fit together if it is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// 32 or 64.
    bits: u8,
    /// e_machine (elf(5)).
    number: u16,
    endian: Endianness,
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self.number {
            elf::EM_386 => "i386",
            elf::EM_X86_64 => "x86-64",
            elf::EM_ARM => "ARM",
            elf::EM_AARCH64 => "AArch64",
            elf::EM_RISCV => "RISC-V",
            elf::EM_PPC64 => "POWER",
            elf::EM_S390 => "S/390",
            elf::EM_LOONGARCH => "LoongArch",
            number => return write!(f, "machine {number}, {} bits", self.bits),
        };
        write!(f, "{name}, {} bits", self.bits)
    }
}

/// How a file is started or loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A program that the dynamic linker loads.
    Dynamic,
    /// A program without a dynamic linker.
    Static,
    /// A shared object: a library or a plug-in.
    Shared,
}

/// A function that a file takes from a library.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Import {
    /// The symbol's name.
    pub name: String,
    /// The version asked for, e.g. `OPENSSL_3.0.0`.
    version: Option<String>,
}

impl std::fmt::Display for Import {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.version {
            Some(version) => write!(f, "{}@{version}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// What was read from one file.
#[derive(Clone, Debug)]
pub struct Image {
    /// Where it is.
    pub path: PathBuf,
    /// For which machine.
    pub machine: Machine,
    /// How it is started or loaded.
    pub kind: Kind,
    /// The dynamic linker it names (PT_INTERP).
    pub interpreter: Option<PathBuf>,
    /// DT_NEEDED, in order.
    pub needed: Vec<String>,
    /// DT_RPATH, not split.
    pub rpath: Option<String>,
    /// DT_RUNPATH, not split.
    pub runpath: Option<String>,
    /// Undefined dynamic symbols.
    pub imports: Vec<Import>,
    /// Names of defined dynamic symbols.
    exports: Vec<String>,
    /// Whether the ordinary symbol table, which is often stripped, names an
    /// SSL_CTX_new of its own.
    pub inner_openssl: bool,
    /// Whether it was made by the Go compiler.
    pub is_go: bool,
}

impl Image {
    /// Reads the file.
    pub fn read(path: &Path) -> Result<Self> {
        // More than any program has.
        const LARGEST: u64 = 1 << 28;
        Self::read_whole_up_to(path, LARGEST)
    }

    /// Of a larger file only the tables are read, each name by itself, which takes a hundred times
    /// as long.
    fn read_whole_up_to(path: &Path, largest: u64) -> Result<Self> {
        let mut file = open(path).with_context(|| format!("cannot open {}", path.display()))?;
        let mut whole = Vec::new();
        let read = (&mut file).take(largest).read_to_end(&mut whole);
        read.with_context(|| format!("cannot read {}", path.display()))?;
        match whole.len() as u64 == largest {
            true => Self::of(path, &ReadCache::new(file)),
            false => Self::of(path, whole.as_slice()),
        }
    }

    fn of<'d>(path: &Path, data: impl ReadRef<'d>) -> Result<Self> {
        let not_elf = || format!("{} is not an ELF file that can be read", path.display());
        match FileKind::parse(data).with_context(not_elf)? {
            FileKind::Elf64 => read::<FileHeader64<Endianness>, _>(path, data),
            FileKind::Elf32 => read::<FileHeader32<Endianness>, _>(path, data),
            other => bail!("{} is not an ELF file but {other:?}", path.display()),
        }
        .with_context(not_elf)
    }

    /// Whether it takes one of these functions from a library.
    pub fn imports_any(&self, names: &[&str]) -> bool {
        let mut imports = self.imports.iter();
        imports.any(|import| names.contains(&import.name.as_str()))
    }

    /// Whether it brings the function itself and lets others see it.
    pub fn exports(&self, name: &str) -> bool {
        self.exports.iter().any(|export| export == name)
    }
}

/// Opens a regular file, and waits for nobody: who put another into its place could make that
/// one a pipe.
///
/// # Errors
///
/// If it cannot be opened, or is something else.
pub fn open(path: &Path) -> Result<File> {
    Ok(open_regular(path)?)
}

fn read<'d, Elf, R>(path: &Path, data: R) -> Result<Image>
where
    Elf: FileHeader<Endian = Endianness>,
    R: ReadRef<'d>,
{
    let header = Elf::parse(data)?;
    let endian = header.endian()?;
    let mut image = Image {
        path: path.to_owned(),
        machine: Machine {
            bits: if header.is_type_64() { 64 } else { 32 },
            number: header.e_machine(endian),
            endian,
        },
        kind: Kind::Static,
        interpreter: None,
        needed: Vec::new(),
        rpath: None,
        runpath: None,
        imports: Vec::new(),
        exports: Vec::new(),
        inner_openssl: false,
        is_go: false,
    };
    let pie = dynamic_section(header, endian, data, &mut image)?;
    image.kind = match header.e_type(endian) {
        elf::ET_EXEC | elf::ET_DYN if image.interpreter.is_some() => Kind::Dynamic,
        elf::ET_DYN if !pie => Kind::Shared,
        elf::ET_EXEC | elf::ET_DYN => Kind::Static,
        other => bail!("it is neither a program nor a shared object (type {other})"),
    };
    symbols(&header.sections(endian, data)?, endian, data, &mut image)?;
    Ok(image)
}

/// Reads the program headers and the dynamic section that they lead to; whether
/// that says that it is a position-independent program.
fn dynamic_section<'d, Elf, R>(
    header: &'d Elf,
    endian: Endianness,
    data: R,
    image: &mut Image,
) -> Result<bool>
where
    Elf: FileHeader<Endian = Endianness>,
    R: ReadRef<'d>,
{
    let segments = header.program_headers(endian, data)?;
    let mut entries: &[Elf::Dyn] = &[];
    for segment in segments {
        if let Some(path) = segment.interpreter(endian, data)? {
            image.interpreter = Some(PathBuf::from(text(path)));
        }
        if let Some(found) = segment.dynamic(endian, data)? {
            entries = found;
        }
    }
    let value = |wanted| {
        let mut entries = entries.iter();
        entries
            .find(|entry| entry.tag32(endian) == Some(wanted))
            .map(|entry| entry.d_val(endian).into())
    };
    let pie = value(elf::DT_FLAGS_1).is_some_and(|flags| flags & u64::from(elf::DF_1_PIE) != 0);
    let (Some(address), Some(size)) = (value(elf::DT_STRTAB), value(elf::DT_STRSZ)) else {
        return Ok(pie);
    };
    // The strings are named by address; a segment says where in the file that is.
    let offset = segments.iter().find_map(|segment| {
        let start = segment.p_vaddr(endian).into();
        let inside = segment.p_type(endian) == elf::PT_LOAD
            && address.checked_sub(start)? < segment.p_filesz(endian).into();
        inside.then(|| segment.p_offset(endian).into().checked_add(address - start))?
    });
    let offset = offset.context("its dynamic strings lie outside the file")?;
    let end = offset
        .checked_add(size)
        .context("its dynamic strings are too long")?;
    let strings = StringTable::new(data, offset, end);
    for entry in entries {
        let string = || {
            let offset = entry
                .val32(endian)
                .context("a dynamic string lies too far")?;
            let bytes = strings.get(offset);
            let bytes = bytes.map_err(|()| anyhow!("a dynamic string lies outside its table"))?;
            Ok::<_, anyhow::Error>(text(bytes))
        };
        match entry.tag32(endian) {
            Some(elf::DT_NEEDED) => image.needed.push(string()?),
            Some(elf::DT_RPATH) => image.rpath = Some(string()?),
            Some(elf::DT_RUNPATH) => image.runpath = Some(string()?),
            Some(elf::DT_NULL) => break,
            _ => {}
        }
    }
    Ok(pie)
}

fn symbols<'d, Elf, R>(
    sections: &SectionTable<'d, Elf, R>,
    endian: Endianness,
    data: R,
    image: &mut Image,
) -> Result<()>
where
    Elf: FileHeader<Endian = Endianness>,
    R: ReadRef<'d>,
{
    let dynamic = sections.symbols(endian, data, elf::SHT_DYNSYM)?;
    let versions = sections.versions(endian, data)?.unwrap_or_default();
    for (index, symbol) in dynamic.enumerate() {
        let name = text(dynamic.symbol_name(endian, symbol)?);
        if name.is_empty() {
            continue;
        }
        if symbol.is_undefined(endian) {
            let version = versions.version(versions.version_index(endian, index))?;
            image.imports.push(Import {
                name,
                version: version.map(|version| text(version.name())),
            });
        } else {
            image.exports.push(name);
        }
    }
    let all = sections.symbols(endian, data, elf::SHT_SYMTAB)?;
    image.inner_openssl = all.iter().any(|symbol| {
        !symbol.is_undefined(endian)
            && all
                .symbol_name(endian, symbol)
                .is_ok_and(|name| name == b"SSL_CTX_new")
    });
    image.is_go = sections.section_by_name(endian, b".go.buildinfo").is_some();
    Ok(())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::made::LIBRARY;
    use staplegun_testkit::Directory;

    #[test]
    fn a_file_that_is_cut_or_damaged_is_an_error_or_read_in_part() {
        let directory = Directory::new();
        let path = directory.join("program");
        let whole = std::fs::read("/bin/sh").expect("it is there");
        let read = |bytes: &[u8]| {
            std::fs::write(&path, bytes).expect("the directory can be written");
            Image::read(&path)
        };
        assert_eq!(read(&whole).expect("a program").kind, Kind::Dynamic);
        for length in (0..whole.len()).step_by(whole.len() / 50) {
            // It must not panic.
            let _ = read(&whole[..length]);
        }
        // The headers, which say where everything else is, and the tables.
        let places = (0..1024).chain((1024..whole.len()).step_by(whole.len() / 200));
        for place in places {
            let mut damaged = whole.clone();
            damaged[place] ^= 0xff;
            let _ = read(&damaged);
        }
        assert!(read(b"").is_err());
        assert!(read(&whole[..64]).is_err());
    }

    #[test]
    fn what_the_dynamic_section_says_is_read_up_to_its_end() {
        let directory = Directory::new();
        let made = LIBRARY
            .interpreter("/lib/ld.so")
            .needed(&["libone.so", "libtwo.so.2"])
            .rpath("/one:/two")
            .runpath("$ORIGIN/lib")
            .imports(&["dlopen"])
            .exports(&["SSL_CTX_new"]);
        let path = directory.write("program", made.bytes());
        let image = Image::read(&path).expect("a program");
        assert_eq!(image.kind, Kind::Dynamic);
        assert_eq!(image.interpreter.as_deref(), Some(Path::new("/lib/ld.so")));
        assert_eq!(image.needed, ["libone.so", "libtwo.so.2"]);
        assert_eq!(image.rpath.as_deref(), Some("/one:/two"));
        assert_eq!(image.runpath.as_deref(), Some("$ORIGIN/lib"));
        assert!(image.imports_any(&["dlopen"]) && image.exports("SSL_CTX_new"));
        assert!(!image.imports_any(&["SSL_CTX_new"]) && !image.exports("dlopen"));
    }

    #[test]
    fn a_file_too_large_to_be_read_whole_says_the_same() {
        let path = Path::new("/usr/bin/openssl");
        let whole = Image::read(path).expect("a program");
        let by_tables = Image::read_whole_up_to(path, 1000).expect("the same program");
        assert!(whole.imports_any(&["SSL_CTX_new"]));
        assert_eq!(by_tables.imports, whole.imports);
        assert_eq!(by_tables.needed, whole.needed);
    }
}
