//! A function that returns some iterator returns one type of it, whichever change is on.

/// One iterator or another.
#[derive(Debug, Clone)]
pub enum Either<L, R> {
    /// The one that a change returns.
    Left(L),
    /// The function's own.
    Right(R),
}

impl<L: Iterator, R: Iterator<Item = L::Item>> Iterator for Either<L, R> {
    type Item = L::Item;

    fn next(&mut self) -> Option<L::Item> {
        match self {
            Self::Left(it) => it.next(),
            Self::Right(it) => it.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Self::Left(it) => it.size_hint(),
            Self::Right(it) => it.size_hint(),
        }
    }
}

impl<L: DoubleEndedIterator, R: DoubleEndedIterator<Item = L::Item>> DoubleEndedIterator
    for Either<L, R>
{
    fn next_back(&mut self) -> Option<L::Item> {
        match self {
            Self::Left(it) => it.next_back(),
            Self::Right(it) => it.next_back(),
        }
    }
}

impl<L: ExactSizeIterator, R: ExactSizeIterator<Item = L::Item>> ExactSizeIterator
    for Either<L, R>
{
}
