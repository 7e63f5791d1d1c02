//! A block of the host's libcrypto heap: what passes between the program,
//! libssl and us.

use std::ffi::{c_uchar, c_void};
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use super::guard;
use super::tables::Crypto;

/// Bytes allocated by OPENSSL_malloc, freed when dropped.
pub struct Buffer {
    crypto: &'static Crypto,
    start: NonNull<c_uchar>,
    length: usize,
}

impl Buffer {
    /// Takes over `start`, which may hold no bytes at all.
    ///
    /// # Safety
    /// `start` must come from OPENSSL_malloc of this libcrypto, hold `length`
    /// initialised bytes, and belong to the caller.
    pub unsafe fn from_raw(
        crypto: &'static Crypto,
        start: NonNull<c_uchar>,
        length: usize,
    ) -> Buffer {
        Buffer {
            crypto,
            start,
            length,
        }
    }

    /// A copy of `bytes`. None if there is no memory.
    pub fn copy_of(crypto: &'static Crypto, bytes: &[u8]) -> Option<Buffer> {
        let space = Space::new(crypto, bytes.len())?;
        // SAFETY: the new block has room for all of them, which are written here.
        Some(unsafe {
            space
                .0
                .start
                .copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len());
            space.assume_filled(bytes.len())
        })
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: `from_raw` and `zeroed` hold that so many bytes are there.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }

    /// The bytes as they are lent to the program.
    pub fn as_lent(&self) -> NonNull<[u8]> {
        NonNull::slice_from_raw_parts(self.start, self.length)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: the block is ours and came from this libcrypto's allocator.
        unsafe {
            (self.crypto.CRYPTO_free)(
                self.start.as_ptr().cast::<c_void>(),
                c"staplegun".as_ptr(),
                0,
            );
        }
    }
}

/// A block that is yet to be filled.
pub struct Space(Buffer);

impl Space {
    /// A block of `length` bytes. None if there is no memory.
    fn new(crypto: &'static Crypto, length: usize) -> Option<Space> {
        // SAFETY: CRYPTO_malloc takes any size; the file name is a C string.
        let start = unsafe { (crypto.CRYPTO_malloc)(length.max(1), c"staplegun".as_ptr(), 0) };
        // The bytes are not looked at through the buffer until they are filled.
        NonNull::new(start.cast::<c_uchar>()).map(|start| {
            Space(Buffer {
                crypto,
                start,
                length,
            })
        })
    }

    /// The same within a handshake, where libcrypto's word of no memory must not stay in the error
    /// queue: the program would take it for the end of a handshake that goes on.
    pub fn in_handshake(crypto: &'static Crypto, length: usize) -> Option<Space> {
        let space = Space::new(crypto, length);
        if space.is_none() {
            guard::forget_errors(crypto);
        }
        space
    }

    /// The block as a buffer of `length` bytes.
    ///
    /// # Safety
    /// The first `length` bytes must have been written.
    pub unsafe fn assume_filled(self, length: usize) -> Buffer {
        let Space(mut buffer) = self;
        buffer.length = length.min(buffer.length);
        buffer
    }
}

impl AsMut<[MaybeUninit<u8>]> for Space {
    fn as_mut(&mut self) -> &mut [MaybeUninit<u8>] {
        // SAFETY: the block holds so many bytes, borrowed uniquely.
        unsafe { std::slice::from_raw_parts_mut(self.0.start.as_ptr().cast(), self.0.length) }
    }
}
