//! Cuts text into records and cells.
//!
//! The rules are those of pyarrow's parser: a quote counts where a cell starts; in quotes a doubled quote is one quote
//! and everything else is text; what follows the closing quote up to the delimiter belongs to the cell as it stands.
//! CR, LF or both end a record; empty lines count only where there is a single column.

use std::borrow::Cow;
use std::ops::Range;

use super::marks::{Marks, Needles};
use crate::error::{KernelError, KernelResult};

const FLAG: u32 = 1 << 31;

/// How cells are told apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Syntax {
    pub(super) delimiter: u8,
    pub(super) quote: Option<u8>,
    /// Cells of each record; `None` takes records of any width.
    pub(super) width: Option<usize>,
    /// A record of more bytes is refused.
    pub(super) max_record: usize,
}

/// Where the text of one cell is, within less than 2 GiB.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    /// Highest bit: the text has doubled quotes, or goes on after the closing one; the opening one is part of it.
    start: u32,
    /// Highest bit: the cell is quoted.
    end: u32,
}

impl Cell {
    #[expect(clippy::cast_possible_truncation, reason = "the parser holds less than 2 GiB")]
    fn new(start: usize, end: usize, quoted: bool, raw: bool) -> Self {
        Self { start: start as u32 | if raw { FLAG } else { 0 }, end: end as u32 | if quoted { FLAG } else { 0 } }
    }

    #[inline]
    pub(super) fn is_quoted(self) -> bool {
        self.end & FLAG != 0
    }

    #[inline]
    pub(super) fn text(self, data: &[u8], quote: Option<u8>) -> Cow<'_, [u8]> {
        let text = &data[(self.start & !FLAG) as usize..(self.end & !FLAG) as usize];
        match quote {
            Some(quote) if self.start & FLAG != 0 => Cow::Owned(unquoted(text, quote)),
            _ => Cow::Borrowed(text),
        }
    }
}

/// The text of a raw cell, which starts with a quote.
fn unquoted(raw: &[u8], quote: u8) -> Vec<u8> {
    let mut text = Vec::with_capacity(raw.len());
    let mut rest = raw.get(1..).unwrap_or_default();
    while let Some(at) = rest.iter().position(|byte| *byte == quote) {
        text.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        if rest.first() != Some(&quote) {
            break;
        }
        text.push(quote);
        rest = &rest[1..];
    }
    text.extend_from_slice(rest);
    text
}

/// What a walk over text has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Walked {
    pub(super) records: usize,
    /// Bytes up to the end of the last whole record.
    pub(super) bytes: usize,
}

/// A record of another width than was asked for.
pub(super) struct Ragged {
    /// Which of the records of the walk it is.
    pub(super) record: usize,
    /// How many cells it has.
    pub(super) fields: usize,
    /// Where its text is, with what ends it.
    pub(super) bytes: Range<usize>,
}

enum End {
    Cell,
    Record,
    /// The text ends before the cell does.
    Text {
        in_quotes: bool,
    },
}

struct Walk<'a> {
    data: &'a [u8],
    marks: Marks<'a>,
    syntax: Syntax,
    at: usize,
    at_end: bool,
}

/// Appends the cells of at most `max_records` whole records at the start of `data`, row by row.
///
/// `at_end` says that nothing follows `data`, so that the last record needs no line end. `first_row` is what the first
/// record is called in errors. Records of another width go to `ragged`, when there is one: their cells are as many as
/// those of the others all the same, cut off or filled up with empty ones.
///
/// # Errors
///
/// A record is too long, or of another width and there is no `ragged`; or the text ends inside quotes.
pub(super) fn walk(
    data: &[u8],
    syntax: Syntax,
    max_records: usize,
    at_end: bool,
    first_row: usize,
    cells: &mut Vec<Cell>,
    mut ragged: Option<&mut Vec<Ragged>>,
) -> KernelResult<Walked> {
    // Without a quote LF stands in for it.
    let needles = Needles([syntax.delimiter, b'\r', b'\n', syntax.quote.unwrap_or(b'\n')]);
    let mut walk = Walk { data, marks: Marks::new(data, needles), syntax, at: 0, at_end };
    let mut walked = Walked { records: 0, bytes: 0 };
    while walked.records < max_records {
        if syntax.width != Some(1) {
            walk.skip_empty_lines();
        }
        let (start, first_cell) = (walk.at, cells.len());
        if start >= data.len() {
            // A CR that may have an LF to come is left for the next walk.
            walked.bytes = start.min(data.len());
            break;
        }
        let row = first_row + walked.records;
        if !walk.record(cells).map_err(|()| KernelError::CsvUnclosed { row })? {
            cells.truncate(first_cell);
            walked.bytes = start;
            return if data.len() - start > syntax.max_record { Err(too_long(row, syntax)) } else { Ok(walked) };
        }
        let fields = cells.len() - first_cell;
        if let Some(expected) = syntax.width.filter(|width| *width != fields) {
            let Some(ragged) = ragged.as_deref_mut() else {
                return Err(KernelError::CsvRagged { row, fields, expected });
            };
            ragged.push(Ragged { record: walked.records, fields, bytes: start..walk.at.min(data.len()) });
            cells.resize(first_cell + expected, Cell::new(start, start, false, false));
        }
        if walk.at - start > syntax.max_record {
            return Err(too_long(row, syntax));
        }
        walked = Walked { records: walked.records + 1, bytes: walk.at };
    }
    Ok(walked)
}

fn too_long(row: usize, syntax: Syntax) -> KernelError {
    KernelError::CsvTooLong { row, max_bytes: syntax.max_record }
}

impl Walk<'_> {
    fn skip_empty_lines(&mut self) {
        while let Some(b'\r' | b'\n') = self.data.get(self.at) {
            self.marks.next();
            self.at += 1;
        }
    }

    /// Whether there was a whole record; an error when the text ends for good inside quotes.
    #[inline]
    fn record(&mut self, cells: &mut Vec<Cell>) -> Result<bool, ()> {
        loop {
            let end = if self.data.get(self.at).is_some_and(|byte| Some(*byte) == self.syntax.quote) {
                self.quoted(cells)
            } else {
                self.unquoted(cells)
            };
            match end {
                End::Cell => {}
                End::Record => return Ok(true),
                End::Text { in_quotes: true } if self.at_end => return Err(()),
                End::Text { .. } => return Ok(false),
            }
        }
    }

    #[inline]
    fn unquoted(&mut self, cells: &mut Vec<Cell>) -> End {
        let start = self.at;
        let (end, how) = self.cell_end();
        cells.push(Cell::new(start, end, false, false));
        how
    }

    #[inline]
    fn quoted(&mut self, cells: &mut Vec<Cell>) -> End {
        let start = self.at;
        self.marks.next();
        let mut doubled = false;
        let close = loop {
            let Some(at) = self.marks.find(|at| Some(self.data[*at]) == self.syntax.quote) else {
                return End::Text { in_quotes: true };
            };
            match self.data.get(at + 1) {
                Some(byte) if Some(*byte) == self.syntax.quote => {
                    self.marks.next();
                    doubled = true;
                }
                None if !self.at_end => return End::Text { in_quotes: true },
                _ => break at,
            }
        };
        let (end, how) = self.cell_end();
        let raw = doubled || end != close + 1;
        cells.push(if raw { Cell::new(start, end, true, true) } else { Cell::new(start + 1, close, true, false) });
        how
    }

    /// Goes behind the cell; gives its end and what ends it.
    #[inline]
    fn cell_end(&mut self) -> (usize, End) {
        while let Some(at) = self.marks.next() {
            let byte = self.data[at];
            if byte == self.syntax.delimiter {
                self.at = at + 1;
                return (at, End::Cell);
            }
            if byte == b'\n' {
                self.at = at + 1;
                return (at, End::Record);
            }
            if byte == b'\r' {
                return (at, self.carriage_return(at));
            }
        }
        self.at = self.data.len();
        (self.at, if self.at_end { End::Record } else { End::Text { in_quotes: false } })
    }

    fn carriage_return(&mut self, at: usize) -> End {
        self.at = at + 1;
        match self.data.get(self.at) {
            Some(b'\n') => {
                self.marks.next();
                self.at += 1;
                End::Record
            }
            None if !self.at_end => End::Text { in_quotes: false },
            _ => End::Record,
        }
    }
}
