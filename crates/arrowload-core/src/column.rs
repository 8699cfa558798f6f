//! One column of a block of rows: how much room its values need, and their bytes at the end of each row.

use std::ops::Range;

use arrow_array::Array;
use arrow_buffer::NullBuffer;
use arrow_buffer::bit_iterator::BitIterator;

use crate::canonical as put;

/// Appends the canonical bytes of the value at an index: the way of values within values.
pub(crate) type Encoder<'a> = Box<dyn Fn(usize, &mut Vec<u8>) + 'a>;

/// Bytes behind the end of a row that may be overwritten, so that values are stored in whole words.
pub(crate) const SLACK: usize = put::WIDEST;
/// Text is copied in pieces of so many bytes.
const PIECE: usize = 32;

/// A column that encodes many rows at once.
pub(crate) trait Column {
    /// Bytes that any value needs at most, besides what `measure` adds.
    fn fixed_bytes(&self) -> usize;

    /// Add to `sizes[n]` what the value of row `rows.start + n` needs besides `fixed_bytes`.
    ///
    /// Returns how many rows were measured: all, or fewer when they are large, but one at least.
    fn measure(&mut self, rows: Range<usize>, sizes: &mut [usize]) -> usize {
        let _ = sizes;
        rows.len()
    }

    /// Write the value of row `rows.start + n` at `ends[n]` of `out`, and move `ends[n]` behind it.
    ///
    /// `rows` were measured, and `out` has the room that was asked for and `SLACK` behind it.
    fn write(&self, rows: Range<usize>, ends: &mut [usize], out: &mut [u8]);
}

fn nulls_of(array: &dyn Array) -> Option<&NullBuffer> {
    array.nulls().filter(|nulls| nulls.null_count() > 0)
}

/// Values of at most `W` bytes.
pub(crate) struct Fixed<'a, V, P, const W: usize> {
    nulls: Option<&'a NullBuffer>,
    values: V,
    put: P,
}

impl<'a, V, P, const W: usize> Fixed<'a, V, P, W> {
    pub(crate) fn new(array: &'a dyn Array, values: V, put: P) -> Self {
        Self { nulls: nulls_of(array), values, put }
    }
}

impl<V, P, I, const W: usize> Column for Fixed<'_, V, P, W>
where
    V: Fn(Range<usize>) -> I,
    I: Iterator,
    P: Fn(&mut [u8; W], I::Item) -> usize,
{
    fn fixed_bytes(&self) -> usize {
        W
    }

    fn write(&self, rows: Range<usize>, ends: &mut [usize], out: &mut [u8]) {
        let values = (self.values)(rows.clone());
        let Some(nulls) = self.nulls else {
            for (end, value) in ends.iter_mut().zip(values) {
                *end += (self.put)(window(out, *end), value);
            }
            return;
        };
        let valid = BitIterator::new(nulls.validity(), nulls.offset() + rows.start, rows.len());
        for ((end, value), valid) in ends.iter_mut().zip(values).zip(valid) {
            // The value is written in any case: branches on nulls are guessed badly.
            let window: &mut [u8; W] = window(out, *end);
            let length = (self.put)(window, value);
            window[0] = if valid { window[0] } else { put::NULL };
            *end += if valid { length } else { 1 };
        }
    }
}

fn window<const W: usize>(out: &mut [u8], at: usize) -> &mut [u8; W] {
    out[at..at + W].first_chunk_mut().expect("the slice has W bytes")
}

/// Where the bytes of a text or binary value lie.
#[derive(Clone, Copy)]
pub(crate) struct Span<'a> {
    pub(crate) data: &'a [u8],
    pub(crate) start: usize,
    pub(crate) length: usize,
}

impl<'a> Span<'a> {
    pub(crate) fn whole(data: &'a [u8]) -> Self {
        Self { data, start: 0, length: data.len() }
    }

    pub(crate) fn bytes(self) -> &'a [u8] {
        &self.data[self.start..self.start + self.length]
    }
}

/// Text or binary values.
pub(crate) struct Bytes<'a, S> {
    nulls: Option<&'a NullBuffer>,
    tag: u8,
    span: S,
}

impl<'a, S> Bytes<'a, S> {
    pub(crate) fn new(array: &'a dyn Array, tag: u8, span: S) -> Self {
        Self { nulls: nulls_of(array), tag, span }
    }
}

impl<'a, S: Fn(usize) -> Span<'a>> Column for Bytes<'a, S> {
    fn fixed_bytes(&self) -> usize {
        put::COUNT_BYTES
    }

    fn measure(&mut self, rows: Range<usize>, sizes: &mut [usize]) -> usize {
        for (size, row) in sizes.iter_mut().zip(rows.clone()) {
            let valid = self.nulls.is_none_or(|nulls| nulls.is_valid(row));
            *size += if valid { (self.span)(row).length } else { 0 };
        }
        rows.len()
    }

    fn write(&self, rows: Range<usize>, ends: &mut [usize], out: &mut [u8]) {
        for (end, row) in ends.iter_mut().zip(rows) {
            if self.nulls.is_some_and(|nulls| nulls.is_null(row)) {
                out[*end] = put::NULL;
                *end += 1;
            } else {
                *end = put_span(out, *end, self.tag, (self.span)(row));
            }
        }
    }
}

fn put_span(out: &mut [u8], at: usize, tag: u8, span: Span<'_>) -> usize {
    let start = at + put::put_count(window(out, at), tag, span.length);
    let end = start + span.length;
    // One piece of constant length is copied without a call; what it brings too much is overwritten.
    match span.data.get(span.start..span.start + PIECE) {
        Some(piece) if span.length <= PIECE => window::<PIECE>(out, start).copy_from_slice(piece),
        _ => out[start..end].copy_from_slice(span.bytes()),
    }
    end
}

/// Values that are encoded one by one, into a buffer of their own, when they are measured.
pub(crate) struct OneByOne<'a> {
    encoder: Encoder<'a>,
    bytes: Vec<u8>,
    ends: Vec<usize>,
    max_bytes: usize,
}

impl<'a> OneByOne<'a> {
    /// A block ends early when its values have more than `max_bytes`.
    pub(crate) fn new(encoder: Encoder<'a>, max_bytes: usize) -> Self {
        Self { encoder, bytes: Vec::new(), ends: Vec::new(), max_bytes }
    }
}

impl Column for OneByOne<'_> {
    fn fixed_bytes(&self) -> usize {
        0
    }

    fn measure(&mut self, rows: Range<usize>, sizes: &mut [usize]) -> usize {
        self.bytes.clear();
        self.ends.clear();
        for (size, row) in sizes.iter_mut().zip(rows) {
            let start = self.bytes.len();
            if start > self.max_bytes {
                break;
            }
            (self.encoder)(row, &mut self.bytes);
            self.ends.push(self.bytes.len());
            *size += self.bytes.len() - start;
        }
        self.ends.len()
    }

    fn write(&self, _rows: Range<usize>, ends: &mut [usize], out: &mut [u8]) {
        let mut start = 0;
        for (end, encoded) in ends.iter_mut().zip(&self.ends) {
            let value = &self.bytes[start..*encoded];
            out[*end..*end + value.len()].copy_from_slice(value);
            *end += value.len();
            start = *encoded;
        }
    }
}

/// An encoder that writes NULL where `array` has one, and else what `put` appends.
pub(crate) fn nullable<'a>(array: &'a dyn Array, put: impl Fn(usize, &mut Vec<u8>) + 'a) -> Encoder<'a> {
    match nulls_of(array) {
        None => Box::new(put),
        Some(nulls) => Box::new(move |i, out| {
            if nulls.is_valid(i) {
                put(i, out);
            } else {
                out.push(put::NULL);
            }
        }),
    }
}
