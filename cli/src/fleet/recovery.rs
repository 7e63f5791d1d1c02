//! What follows from a panic of the thread: the store counts as lost, whatever was under way is
//! forgotten, which the main thread is told, and the thread goes on. As with a store that is gone, the
//! machine fetches for itself until there is a connection again.

use std::time::Duration;

use super::trouble::Trouble;
use super::word::Word;
use super::work::Work;
use crate::agent::caught;

/// How long it rests, so that what makes it panic again and again takes no processor.
const REST: Duration = Duration::from_secs(1);

/// Works until it is to end, over panics.
pub fn run(mut work: Work) {
    let mut has_panicked = false;
    let mut run = || {
        if has_panicked {
            begin_again(&mut work);
            std::thread::sleep(REST);
        }
        has_panicked = true;
        work.run();
    };
    while caught(&mut run).is_none() {}
}

fn begin_again(work: &mut Work) {
    work.forget();
    work.lose(&Trouble::new(
        "internal",
        "the thread that talks to it panicked, which is a bug",
    ));
    // Only now, so that what is due again does not wait for the store.
    work.tell(Word::Forgot);
}
