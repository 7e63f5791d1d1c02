//! The list in LD_PRELOAD (ld.so(8)).

/// Adds `library` to what is named already, at the end, since some (sanitizers, allocators)
/// insist on being first. Another copy of ours that is named there gives way; the same one
/// changes nothing.
pub fn with_bytes(there: &[u8], library: &[u8]) -> Vec<u8> {
    let ours = names(there).filter(|path| is_ours(path));
    if ours.eq([library]) {
        return there.to_owned();
    }
    let others = names(there).filter(|path| !is_ours(path));
    others.chain([library]).collect::<Vec<_>>().join(&b':')
}

/// The same of text.
pub fn with(there: &str, library: &str) -> String {
    let list = with_bytes(there.as_bytes(), library.as_bytes());
    String::from_utf8_lossy(&list).into_owned()
}

/// What is named besides the library.
pub fn without(there: &str) -> String {
    if !names(there.as_bytes()).any(is_ours) {
        return there.to_owned();
    }
    let others = names(there.as_bytes()).filter(|path| !is_ours(path));
    let list = others.collect::<Vec<_>>().join(&b':');
    String::from_utf8_lossy(&list).into_owned()
}

fn names(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let all = list.split(|byte| matches!(byte, b':' | b' '));
    all.filter(|name| !name.is_empty())
}

/// Whether it is the library, by whatever path.
fn is_ours(path: &[u8]) -> bool {
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
    name.starts_with(b"libstaplegun.so")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_preloaded_already_stays_first() {
        for (before, after) in [
            ("", "/lib/libstaplegun.so"),
            ("libasan.so", "libasan.so:/lib/libstaplegun.so"),
            ("a.so b.so", "a.so:b.so:/lib/libstaplegun.so"),
            ("/old/libstaplegun.so.0:a.so", "a.so:/lib/libstaplegun.so"),
            ("/lib/libstaplegun.so a.so", "/lib/libstaplegun.so a.so"),
        ] {
            assert_eq!(with(before, "/lib/libstaplegun.so"), after);
            assert_eq!(with(after, "/lib/libstaplegun.so"), after);
        }
    }

    #[test]
    fn only_ours_is_taken_out() {
        assert_eq!(without("a.so:libstaplegun.so.0 b.so"), "a.so:b.so");
        assert_eq!(without("a.so b.so"), "a.so b.so");
        assert_eq!(without("/x/libstaplegun.so"), "");
    }
}
