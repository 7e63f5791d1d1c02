//! Whose the response is that libssl holds for an SSL: the program's or ours.
//!
//! libssl versions disagree on who frees what and which pointers stay valid. So libssl has a
//! copy of its own, and what the program was given or gave stays here, unmoved, until the next
//! set or SSL_free.
//!
//! | | `Nothing` | `Copied` | `Alone` | `Ours` |
//! |---|---|---|---|---|
//! | the program sets a response | `Copied` | `Copied` | `Copied` | `Copied` |
//! | the same, without memory for a copy | `Alone` | `Alone` | `Alone` | `Alone` |
//! | it clears it | `Nothing` | `Nothing` | `Nothing` | `Nothing` |
//! | it sets a list, or one after a panic | `Alone` | `Alone` | `Alone` | `Alone` |
//! | it is shown what libssl received | `Alone` | `Alone`, or the same bytes | `Alone` | `Alone`, or the same bytes |
//! | it borrows libssl's list of it | `Nothing` | `Alone` | `Alone` | - |
//! | ours is to be stapled | `Ours` | `Ours` | refused | `Ours` |
//! | the same, and libssl does not take it | `Nothing` | `Ours` | refused | `Ours` |
//! | the program's is to be in libssl again | - | - | - | `Copied`, or `Nothing` |
//! | the same, without memory for a copy | - | - | - | `Alone` |
//!
//! What libssl refuses, for want of memory, it may have dropped what it held for (from 3.6 on). So
//! the program's is then here and to be put back, as where ours lies over it: the state is `Ours`.

use std::mem;

/// What libssl does at our word.
pub trait Libssl<B> {
    /// Holds a copy of the bytes from now on, or nothing. False: what it held.
    fn put_response(&self, bytes: Option<&[u8]>) -> bool;
    /// Holds the buffer itself. If it is given back: nothing, or what it held.
    fn hand_over_response(&self, buffer: B) -> Result<(), B>;
}

/// What libssl holds, and what of it is here, in buffers of libcrypto's.
#[derive(Debug, Default, PartialEq)]
pub enum Response<B> {
    /// Nothing that we know of.
    #[default]
    Nothing,
    /// A copy of the program's, which is here.
    Copied(B),
    /// The program's or what was received, and nobody else has it: it could not be put back.
    /// Here is what the program was shown of it.
    Alone(Option<B>),
    /// Ours. The program's is here, if it has set one.
    Ours(Option<B>),
}

impl<B: AsRef<[u8]>> Response<B> {
    /// Takes the program's response, or clears it. False, with the buffer left to the
    /// program, if libssl can have neither a copy nor the buffer.
    pub fn set(&mut self, libssl: &impl Libssl<B>, given: &mut Option<B>) -> bool {
        let bytes = given.as_ref().map(AsRef::as_ref);
        let bytes = bytes.filter(|bytes: &&[u8]| !bytes.is_empty());
        let (has_bytes, copied) = (bytes.is_some(), libssl.put_response(bytes));
        let start = given.as_ref().map(|given| given.as_ref().as_ptr());
        let next = match given.take() {
            Some(own) if !copied => match libssl.hand_over_response(own) {
                Ok(()) => Response::Alone(None),
                Err(own) => {
                    *given = Some(own);
                    *self = mem::take(self).dropped();
                    return false;
                }
            },
            Some(own) if has_bytes => Response::Copied(own),
            _ => Response::Nothing,
        };
        let old = mem::replace(self, next).into_buffer();
        if start.is_some() && old.as_ref().map(|old| old.as_ref().as_ptr()) == start {
            // The same block twice: it changes hands and is not freed.
            mem::forget(old);
        }
        true
    }

    /// The program is about to give libssl a response by itself, or to clear it.
    pub fn left_to_libssl(&mut self, is_empty: bool) {
        *self = if is_empty {
            Response::Nothing
        } else {
            Response::Alone(None)
        };
    }

    /// The program borrows what libssl holds of its: nothing takes its place.
    pub fn lent_as_it_is(&mut self) {
        *self = match mem::take(self) {
            Response::Copied(own) => Response::Alone(Some(own)),
            other => other,
        };
    }

    /// Gives libssl what is ours, by `hand_over`, which says whether it was taken.
    #[inline(always)]
    pub fn staple(&mut self, hand_over: impl FnOnce() -> bool) -> bool {
        if matches!(self, Response::Alone(_)) {
            return false;
        }
        if !hand_over() {
            *self = mem::take(self).dropped();
            return false;
        }
        *self = Response::Ours(mem::take(self).into_buffer());
        true
    }

    /// libssl may have dropped what it held.
    fn dropped(self) -> Response<B> {
        match self {
            Response::Copied(own) => Response::Ours(Some(own)),
            other => other,
        }
    }

    /// Takes ours out of libssl again and puts the program's back.
    pub fn restore(&mut self, libssl: &impl Libssl<B>) {
        let Response::Ours(own) = self else {
            return;
        };
        let own = own.take();
        let copied = libssl.put_response(own.as_ref().map(AsRef::as_ref));
        *self = match own {
            Some(own) if copied => Response::Copied(own),
            Some(own) => match libssl.hand_over_response(own) {
                Ok(()) => Response::Alone(None),
                Err(own) => Response::Ours(Some(own)),
            },
            None => Response::Nothing,
        };
    }

    /// The buffer that is here.
    pub fn buffer(&self) -> Option<&B> {
        match self {
            Response::Nothing => None,
            Response::Copied(own) => Some(own),
            Response::Alone(own) | Response::Ours(own) => own.as_ref(),
        }
    }

    /// What the program is shown of what libssl `received`: the same buffer for the same
    /// bytes, else a `copy`. None if there is no copy.
    pub fn show(&mut self, received: &[u8], copy: impl FnOnce() -> Option<B>) -> Option<&B> {
        if self.buffer().is_none_or(|shown| shown.as_ref() != received) {
            *self = Response::Alone(Some(copy()?));
        }
        self.buffer()
    }

    fn into_buffer(self) -> Option<B> {
        match self {
            Response::Nothing => None,
            Response::Copied(own) => Some(own),
            Response::Alone(own) | Response::Ours(own) => own,
        }
    }
}

#[cfg(test)]
mod tests;
