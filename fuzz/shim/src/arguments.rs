//! The numbers that a program passes.

use std::ffi::{c_int, c_long};

use crate::take::Take;

/// A number that a program may pass: small ones, and the edges, more often.
pub fn number(input: &mut Take) -> c_long {
    const EDGES: [c_long; 6] = [
        c_long::MIN,
        c_long::MAX,
        c_int::MIN as c_long,
        c_int::MAX as c_long,
        1 << 32,
        (1 << 32) + 1,
    ];
    match input.byte() {
        0xff => input.time(),
        edge @ 0xf0..0xff => EDGES[usize::from(edge) % EDGES.len()],
        small => c_long::from(small.cast_signed()),
    }
}

/// A command that takes a number and is known, or that no libssl knows.
pub fn foreign(input: &mut Take, known: &[c_int]) -> (c_int, c_long) {
    /// Would make the handshake run in a job of its own.
    const MODE_ASYNC: c_long = 0x100;
    /// Would have a handshake of TLS 1.2 refused, for the server speaks 1.3 (RFC 7507).
    const MODE_SEND_FALLBACK_SCSV: c_long = 0x80;
    let (chosen, larg) = (input.byte(), number(input));
    let command = match known.get(usize::from(chosen)) {
        Some(command) => *command,
        None if chosen & 1 == 0 => -1 - c_int::from(chosen),
        None => 1000 + c_int::from(chosen),
    };
    (command, larg & !(MODE_ASYNC | MODE_SEND_FALLBACK_SCSV))
}
