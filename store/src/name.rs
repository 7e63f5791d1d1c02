//! Keys as file names: 64 lower-case hexadecimal digits.

use crate::Key;

/// The key as it stands in file names.
pub fn of_key(key: &Key) -> String {
    let mut name = String::with_capacity(2 * key.len());
    for byte in key {
        for digit in [byte >> 4, byte & 15] {
            name.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
    }
    name
}

/// The key that `name` stands for; None unless it is 64 lower-case digits.
pub fn to_key(name: &str) -> Option<Key> {
    let digits: [u8; 64] = name.as_bytes().try_into().ok()?;
    let mut key = [0; 32];
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        for digit in pair {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            *byte = *byte << 4 | value;
        }
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_back_from_its_name_and_nothing_else_is_one() {
        let key = crate::testing::key(1);
        let name = of_key(&key);
        assert_eq!(name.len(), 64);
        assert_eq!(to_key(&name), Some(key));
        assert_eq!(of_key(&[0xa5; 32]), "a5".repeat(32));
        assert_eq!(to_key(&name[1..]), None);
        assert_eq!(to_key(&"A5".repeat(32)), None);
        assert_eq!(to_key(&"+5".repeat(32)), None);
    }
}
