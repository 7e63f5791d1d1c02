//! The library's environment: any bytes as the values of its variables.
//!
//! Input: one bit for "preloaded", then for each variable the library asks for, in
//! its order, a count and that many bytes; an empty value means that it is not set.

use std::cell::RefCell;
use std::ffi::CStr;

use crate::config::{Config, LogTarget};

/// Whatever stands there, the configuration makes sense, and what was not
/// understood is complained of once, on one line.
pub fn run(data: &[u8]) {
    let (preloaded, rest) = data.split_first().unwrap_or((&0, &[]));
    let rest = RefCell::new(rest);
    let asked = RefCell::new(0);
    let lookup = |_: &CStr| {
        let bytes = *rest.borrow();
        let (count, bytes) = bytes.split_first()?;
        let (value, after) = bytes.split_at(usize::from(*count).min(bytes.len()));
        *rest.borrow_mut() = after;
        *asked.borrow_mut() += 1;
        // The environment holds C strings, and an empty one counts as none.
        let value = value.split(|byte| *byte == 0).next()?;
        (!value.is_empty()).then_some(value)
    };
    let config = Config::read(&lookup, *preloaded & 1 == 1);
    assert!(config.complaints.len() <= asked.into_inner());
    for line in &config.complaints {
        assert!(line.starts_with("STAPLEGUN_"), "{line}");
        assert!(!line.contains(|c: char| c.is_control()), "{line:?}");
    }
    assert!(config.wait.as_secs() <= 300);
    assert!(config.map_max as u64 <= 1 << 40);
    assert!(config.directory.is_none_or(|path| path.is_absolute()));
    if let LogTarget::File(path) = &config.log {
        assert!(path.is_absolute());
    }
    assert!(
        config
            .responses
            .iter()
            .all(|path| !path.as_os_str().is_empty())
    );
}
