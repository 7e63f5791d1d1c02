//! A table for a terminal: columns as wide as their widest cell, one of them in a color.

use std::io::{self, Write};

use anstyle::Style;

/// Its heads, how wide its columns are, and which of them is colored.
pub struct Columns<const N: usize> {
    heads: [&'static str; N],
    widths: [usize; N],
    colored: usize,
}

impl<const N: usize> Columns<N> {
    /// For these rows.
    pub fn new(heads: [&'static str; N], rows: &[[String; N]], colored: &str) -> Self {
        let width = |column: usize| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.fold(heads[column].len(), usize::max)
        };
        Self {
            heads,
            widths: std::array::from_fn(width),
            colored: heads.iter().position(|head| *head == colored).unwrap_or(N),
        }
    }

    /// Writes the line with the heads.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write_heads(&self, out: &mut impl Write) -> io::Result<()> {
        self.write(out, &self.heads.map(str::to_owned), Style::new())
    }

    /// Writes a row, the one cell in `style`.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write(&self, out: &mut impl Write, row: &[String; N], style: Style) -> io::Result<()> {
        for (column, (cell, width)) in row.iter().zip(self.widths).enumerate() {
            // What pads it is no part of what is colored, and no line ends with blanks.
            let is_last = column + 1 == N;
            let pad = if is_last {
                0
            } else {
                width + 2 - cell.chars().count()
            };
            let style = if column == self.colored {
                style
            } else {
                Style::new()
            };
            write!(out, "{style}{cell}{style:#}{:pad$}", "")?;
        }
        writeln!(out)
    }
}
