//! ELF files made for tests, without a compiler: of each kind what a linker writes that `elf` reads.

use std::fs::File;
use std::io::Read;

use object::elf;

/// What such a file says; without an interpreter it is a shared object.
#[derive(Clone, Copy, Debug)]
pub struct Made<'t> {
    interpreter: Option<&'t str>,
    needed: &'t [&'t str],
    rpath: Option<&'t str>,
    runpath: Option<&'t str>,
    imports: &'t [&'t str],
    exports: &'t [&'t str],
    /// The name of a section.
    section: Option<&'t str>,
    /// What else stands in it.
    text: &'t [u8],
}

/// A shared object with nothing in it.
pub const LIBRARY: Made<'_> = Made {
    interpreter: None,
    needed: &[],
    rpath: None,
    runpath: None,
    imports: &[],
    exports: &[],
    section: None,
    text: b"",
};
/// A program with nothing in it. Its dynamic linker is one of no known kind, but is there.
pub const PROGRAM: Made<'_> = Made {
    interpreter: Some("/bin/sh"),
    ..LIBRARY
};

/// The headers of the file and of its segments.
const HEADERS: u64 = 64 + 4 * 56;
/// How much further the second segment lies in the file than in memory, where it begins at once
/// behind the first.
const APART: u64 = 64;

impl<'t> Made<'t> {
    pub fn interpreter(self, path: &'t str) -> Self {
        let interpreter = Some(path);
        Self {
            interpreter,
            ..self
        }
    }

    pub fn needed(self, needed: &'t [&'t str]) -> Self {
        Self { needed, ..self }
    }

    pub fn rpath(self, path: &'t str) -> Self {
        let rpath = Some(path);
        Self { rpath, ..self }
    }

    pub fn runpath(self, path: &'t str) -> Self {
        let runpath = Some(path);
        Self { runpath, ..self }
    }

    pub fn imports(self, imports: &'t [&'t str]) -> Self {
        Self { imports, ..self }
    }

    pub fn exports(self, exports: &'t [&'t str]) -> Self {
        Self { exports, ..self }
    }

    pub fn section(self, name: &'t str) -> Self {
        let section = Some(name);
        Self { section, ..self }
    }

    pub fn text(self, text: &'t [u8]) -> Self {
        Self { text, ..self }
    }

    /// The file, for this machine.
    pub fn bytes(&self) -> Vec<u8> {
        let mut strings = vec![0];
        let mut string = |text: &str| {
            let at = strings.len();
            strings.extend_from_slice(text.as_bytes());
            strings.push(0);
            at as u64
        };
        let mut dynamic = Vec::new();
        for name in self.needed {
            dynamic.push((elf::DT_NEEDED, string(name)));
        }
        dynamic.extend(self.rpath.map(|path| (elf::DT_RPATH, string(path))));
        dynamic.extend(self.runpath.map(|path| (elf::DT_RUNPATH, string(path))));
        // As most linkers are told to, of libraries too.
        dynamic.push((elf::DT_FLAGS_1, elf::DF_1_NOW.into()));
        let interpreter = string(self.interpreter.unwrap_or_default());
        let mut symbols = vec![symbol(0, false)];
        symbols.extend(self.imports.iter().map(|name| symbol(string(name), false)));
        symbols.extend(self.exports.iter().map(|name| symbol(string(name), true)));
        let symbols = symbols.concat();
        let section = string(self.section.unwrap_or_default());
        strings.resize(strings.len().next_multiple_of(8), 0);

        let length = strings.len() as u64;
        dynamic.extend([(elf::DT_STRTAB, HEADERS), (elf::DT_STRSZ, length)]);
        // What stands behind the end counts for nothing.
        dynamic.extend([(elf::DT_NULL, 0), (elf::DT_NEEDED, length)]);
        let words = dynamic.iter();
        let words = words.flat_map(|(tag, value)| [u64::from(*tag), *value]);
        let dynamic: Vec<u8> = words.flat_map(u64::to_ne_bytes).collect();

        let strings_at = HEADERS + APART;
        let dynamic_at = strings_at + length;
        let symbols_at = dynamic_at + dynamic.len() as u64;
        let sections_at = symbols_at + symbols.len() as u64;
        let interpreter_size = self.interpreter.map_or(0, |name| name.len() as u64 + 1);
        let interpreter_kind = match self.interpreter {
            Some(_) => elf::PT_INTERP,
            None => elf::PT_NULL,
        };
        [
            file_header(sections_at),
            segment(elf::PT_LOAD, 0, 0, HEADERS),
            segment(elf::PT_LOAD, strings_at, HEADERS, sections_at - strings_at),
            segment(elf::PT_DYNAMIC, dynamic_at, 0, dynamic.len() as u64),
            segment(
                interpreter_kind,
                strings_at + interpreter,
                0,
                interpreter_size,
            ),
            vec![0; APART as usize],
            strings,
            dynamic,
            symbols.clone(),
            self::section(0, elf::SHT_NULL, 0, 0, 0),
            self::section(0, elf::SHT_DYNSYM, symbols_at, symbols.len() as u64, 24),
            self::section(0, elf::SHT_STRTAB, strings_at, length, 0),
            self::section(section, elf::SHT_PROGBITS, 0, 0, 0),
            self.text.to_vec(),
        ]
        .concat()
    }
}

fn file_header(sections_at: u64) -> Vec<u8> {
    let mut own = [0; 24];
    let mut file = File::open("/proc/self/exe").expect("this program can be read");
    file.read_exact(&mut own).expect("it has a header");
    [
        // The kind of machine is this program's.
        &own[..16],
        &elf::ET_DYN.to_ne_bytes(),
        &own[18..],
        &[0; 8],
        &64_u64.to_ne_bytes(),
        &sections_at.to_ne_bytes(),
        &[0; 4],
        // Sizes and numbers of headers; the names of sections are in the third.
        &[64_u16, 56, 4, 64, 4, 2].map(u16::to_ne_bytes).concat(),
    ]
    .concat()
}

fn segment(kind: u32, offset: u64, address: u64, size: u64) -> Vec<u8> {
    let places = [offset, address, address, size, size, 8].map(u64::to_ne_bytes);
    [&kind.to_ne_bytes(), &[0; 4], &places.concat()[..]].concat()
}

fn section(name: u64, kind: u32, offset: u64, size: u64, each: u64) -> Vec<u8> {
    // A symbol's name is in the third.
    let link: u32 = if kind == elf::SHT_DYNSYM { 2 } else { 0 };
    let words = |words: &[u32]| {
        words
            .iter()
            .flat_map(|word| word.to_ne_bytes())
            .collect::<Vec<_>>()
    };
    let places = [0, 0, offset, size].map(u64::to_ne_bytes).concat();
    let end = [8, each].map(u64::to_ne_bytes).concat();
    [words(&[name as u32, kind]), places, words(&[link, 1]), end].concat()
}

fn symbol(name: u64, is_defined: bool) -> Vec<u8> {
    let section = u16::from(is_defined);
    let kind = [(elf::STB_GLOBAL << 4) | elf::STT_FUNC, 0];
    [
        &(name as u32).to_ne_bytes(),
        &kind[..],
        &section.to_ne_bytes(),
        &[0; 16],
    ]
    .concat()
}
