//! A block of the host's libcrypto heap: what passes between the program,
//! libssl and us.

use std::ffi::{c_uchar, c_void};
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use super::library::Crypto;

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

    /// A block of `length` bytes, all zero. None if there is no memory.
    pub fn zeroed(crypto: &'static Crypto, length: usize) -> Option<Buffer> {
        // SAFETY: CRYPTO_malloc takes any size; the file name is a C string.
        let start = unsafe { (crypto.CRYPTO_malloc)(length.max(1), c"staplegun".as_ptr(), 0) };
        let start = NonNull::new(start.cast::<c_uchar>())?;
        // SAFETY: just allocated with that many bytes, and no one else has it.
        unsafe { start.write_bytes(0, length) };
        Some(Buffer {
            crypto,
            start,
            length,
        })
    }

    /// A copy of `bytes`. None if there is no memory.
    pub fn copy_of(crypto: &'static Crypto, bytes: &[u8]) -> Option<Buffer> {
        let mut copy = Buffer::zeroed(crypto, bytes.len())?;
        copy.as_mut_slice().copy_from_slice(bytes);
        Some(copy)
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: `from_raw` and `zeroed` hold that so many bytes are there.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }

    /// The bytes, to be written.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `self` is borrowed uniquely.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }

    /// Where the bytes are, as the program sees it.
    pub fn as_ptr(&self) -> *mut c_uchar {
        self.start.as_ptr()
    }

    /// Gives the block away; whoever takes it frees it.
    pub fn into_raw(self) -> *mut c_uchar {
        let start = self.start.as_ptr();
        std::mem::forget(self);
        start
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
    pub fn new(crypto: &'static Crypto, length: usize) -> Option<Space> {
        Buffer::zeroed(crypto, length).map(Space)
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
