//! The messages of a COPY: header, rows and trailer, and where the fields of a run of rows lie.

use super::sink::Place;
use super::wire::SIGNATURE;

/// Rows of a run. A run is decoded column by column while it is in the cache.
pub(super) const RUN_ROWS: usize = 256;
/// A run ends with the row that brings it to this size.
const RUN_BYTES: usize = 128 * 1024;
/// Places of one column are this far apart, so that columns do not fall upon each other in the cache.
const STRIDE: usize = RUN_ROWS + 8;
/// Bytes of a message before its payload: the kind, the length.
const FRAME: usize = 5;
/// Bytes of the count of columns, which a row begins with.
const COUNT: usize = 2;
/// The flag for object identifiers, and those that a reader must know; there are none.
const CRITICAL_FLAGS: u32 = 0xffff_0000;

/// Why the stream is none.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) row: usize,
    pub(super) column: Option<usize>,
    pub(super) reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing was seen.
    Header,
    Rows,
    /// The trailer was seen.
    Done,
    /// Something was refused, and nothing more is taken.
    Refused,
}

/// Walks over messages and notes where fields lie.
pub(super) struct Walker {
    columns: usize,
    pub(super) stage: Stage,
    /// Rows noted since the beginning of the stream.
    pub(super) rows: usize,
    /// Column by column, `STRIDE` apart.
    places: Vec<Place>,
}

/// How far a walk has come in the messages at hand.
#[derive(Clone, Copy, Default)]
pub(super) struct Cursor {
    pub(super) at: usize,
    /// Where the message that `at` lies in ends.
    end: usize,
}

/// A run of rows.
pub(super) struct Run<'a> {
    pub(super) rows: usize,
    /// What places count from.
    pub(super) bytes: &'a [u8],
}

impl Walker {
    pub(super) fn new(columns: usize) -> Self {
        Self { columns, stage: Stage::Header, rows: 0, places: vec![Place::default(); columns * STRIDE] }
    }

    /// Where the fields of a column lie, of the run that was noted last.
    pub(super) fn places(&mut self, column: usize, rows: usize) -> &mut [Place] {
        &mut self.places[column * STRIDE..][..rows]
    }

    /// Notes the fields of the next rows, and moves `cursor` past them.
    pub(super) fn next_run<'a>(&mut self, messages: &'a [u8], cursor: &mut Cursor) -> Result<Run<'a>, Broken> {
        let bytes = &messages[cursor.at..];
        let (mut at, mut end, mut rows) = (0, cursor.end - cursor.at, 0);
        while at < RUN_BYTES && rows < RUN_ROWS {
            if at == end {
                if at == bytes.len() {
                    break;
                }
                end = at + self.message(&bytes[at..], rows)?;
                at += FRAME;
                if self.stage != Stage::Rows {
                    at += self.header(&bytes[at..end], rows)?;
                }
            } else if let Some(length) = self.row(&bytes[..end], at, rows)? {
                at += length;
                rows += 1;
            } else {
                self.stage = Stage::Done;
                at += COUNT;
                if at != end {
                    return Err(self.broken(rows, None, "bytes follow the trailer"));
                }
            }
        }
        self.rows += rows;
        *cursor = Cursor { at: cursor.at + at, end: cursor.at + end };
        Ok(Run { rows, bytes })
    }

    /// The length of the message that `bytes` begin with, with its frame.
    fn message(&self, bytes: &[u8], row: usize) -> Result<usize, Broken> {
        let Some(&[kind, a, b, c, d]) = bytes.first_chunk::<FRAME>() else {
            return Err(self.broken(row, None, "a message is cut off"));
        };
        if kind != b'd' {
            return Err(self.broken(row, None, format!("a message begins with byte {kind:#04x}, not with `d`")));
        }
        // The length counts itself, and not the byte before it.
        let length = u32::from_be_bytes([a, b, c, d]) as usize + 1;
        if length < FRAME || length > bytes.len() {
            return Err(self.broken(row, None, format!("a message says that it is {length} bytes long")));
        }
        Ok(length)
    }

    /// The length of the header, which the first message begins with.
    #[cold]
    fn header(&mut self, payload: &[u8], row: usize) -> Result<usize, Broken> {
        if self.stage == Stage::Done {
            return Err(self.broken(row, None, "a message follows the trailer"));
        }
        let words = payload.strip_prefix(SIGNATURE).and_then(<[u8]>::first_chunk::<8>);
        let Some(&[f0, f1, f2, f3, e0, e1, e2, e3]) = words else {
            return Err(self.broken(row, None, "it does not begin as COPY in binary does"));
        };
        let (flags, extension) = (u32::from_be_bytes([f0, f1, f2, f3]), u32::from_be_bytes([e0, e1, e2, e3]));
        if flags & CRITICAL_FLAGS != 0 {
            return Err(self.broken(row, None, format!("its flags are {flags:#010x}")));
        }
        let length = (SIGNATURE.len() + 8).saturating_add(extension as usize);
        if length > payload.len() {
            return Err(self.broken(row, None, "its header is cut off"));
        }
        self.stage = Stage::Rows;
        Ok(length)
    }

    /// Notes the fields of the row at `start`; its length, or None when it is the trailer.
    #[inline]
    fn row(&mut self, message: &[u8], start: usize, row: usize) -> Result<Option<usize>, Broken> {
        let Some(count) = message.get(start..).and_then(<[u8]>::first_chunk).copied().map(i16::from_be_bytes) else {
            return Err(self.broken(row, None, "a row is cut off"));
        };
        if usize::try_from(count) != Ok(self.columns) {
            return if count == -1 { Ok(None) } else { Err(self.wrong_count(row, count)) };
        }
        let mut at = start + COUNT;
        for column in 0..self.columns {
            let Some(length) = message.get(at..).and_then(<[u8]>::first_chunk).copied().map(i32::from_be_bytes) else {
                return Err(self.broken(row, Some(column), "the row is cut off"));
            };
            at += 4;
            // The run is bounded and a message is below 4 GiB with it, so this is exact.
            #[expect(clippy::cast_possible_truncation, reason = "a run begins less than RUN_BYTES before its last row")]
            let mut place = Place { start: at as u32, length };
            if length >= 0 {
                at += length.unsigned_abs() as usize;
                if at > message.len() {
                    return Err(self.broken(row, Some(column), format!("a field of {length} bytes is cut off")));
                }
            } else {
                if length != -1 {
                    return Err(self.broken(row, Some(column), format!("a field says that it is {length} bytes long")));
                }
                place = Place::NULL;
            }
            self.places[column * STRIDE + row] = place;
        }
        Ok(Some(at - start))
    }

    #[cold]
    fn wrong_count(&self, row: usize, count: i16) -> Broken {
        self.broken(row, None, format!("a row has {count} columns, not {}", self.columns))
    }

    #[cold]
    fn broken(&self, row: usize, column: Option<usize>, reason: impl Into<String>) -> Broken {
        Broken { row: self.rows + row, column, reason: reason.into() }
    }
}
