//! The values of one column of a row group, page by page and without NULLs.

use std::ops::Range;

use arrow_array::{Array, ArrayRef};
use arrow_buffer::NullBuffer;

use crate::error::KernelResult;
use crate::parquet::dictionary::{BytesDictionary, Indexed, NativeDictionary};
use crate::parquet::physical::{Native, Order};

/// A page, and a dictionary, is closed when its values have so many bytes: as in parquet-cpp and parquet-java.
const PAGE_BYTES: usize = 1 << 20;
/// A page has at most so many rows, so that a reader of few rows has few to decode: as in parquet-cpp.
const PAGE_ROWS: usize = 20_000;
/// A bound that is longer says little, and is not written: `max_statistics_size` of parquet-cpp.
const MAX_BOUND_BYTES: usize = 4096;

/// The least and the greatest value, laid out plainly.
pub(super) type Bounds = (Vec<u8>, Vec<u8>);

/// What a column chunk is made of. Pages are taken one after the other; all else is said of the page taken last.
pub(super) trait Values {
    /// Take the values of the next rows; returns of how many, 0 at the end.
    fn next_page(&mut self) -> KernelResult<usize>;

    /// Whether a dictionary is tried.
    fn has_dictionary(&self) -> bool;

    /// How many values there are.
    fn count(&self) -> usize;

    /// The index of each value in the dictionary and how many values that has now; None when it has become too large,
    /// and then for every further page.
    fn indices(&self) -> Option<(&[u32], usize)>;

    /// Append the values.
    fn put_plain(&self, out: &mut Vec<u8>);

    /// The least and the greatest value, where there is one.
    fn bounds(&mut self) -> Option<Bounds>;

    /// Append the values of the dictionary; returns how many there are.
    fn put_dictionary(&self, out: &mut Vec<u8>) -> usize;
}

/// Goes through the arrays of a column.
pub(super) struct Cursor<'a> {
    arrays: &'a [ArrayRef],
    array: usize,
    row: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(arrays: &'a [ArrayRef]) -> Self {
        Self { arrays, array: 0, row: 0 }
    }

    /// The next rows of one array, at most `max_rows` and one at least; None at the end.
    pub(super) fn peek(&mut self, max_rows: usize) -> Option<(usize, Range<usize>)> {
        while self.row == self.arrays.get(self.array)?.len() {
            (self.array, self.row) = (self.array + 1, 0);
        }
        let rows = self.arrays[self.array].len() - self.row;
        Some((self.array, self.row..self.row + rows.min(max_rows)))
    }

    pub(super) fn advance(&mut self, rows: usize) {
        self.row += rows;
    }

    pub(super) fn nulls(&self, array: usize) -> Option<&'a NullBuffer> {
        self.arrays[array].nulls().filter(|nulls| nulls.null_count() > 0)
    }
}

/// Appends the values of some rows of an array, none of which is NULL.
pub(super) type Push<'a, T> = Box<dyn Fn(Range<usize>, &mut Vec<T>) -> KernelResult<()> + 'a>;

/// Values of fixed width.
pub(super) struct NativeValues<'a, T> {
    cursor: Cursor<'a>,
    pushes: Vec<Push<'a, T>>,
    page: Vec<T>,
    dictionary: Option<Indexed<NativeDictionary<T>>>,
}

impl<'a, T: Native> NativeValues<'a, T> {
    /// `pushes` has one for each of `arrays`.
    pub(super) fn new(arrays: &'a [ArrayRef], pushes: Vec<Push<'a, T>>, has_dictionary: bool) -> Self {
        let dictionary = has_dictionary.then(|| Indexed::new(NativeDictionary::new()));
        Self { cursor: Cursor::new(arrays), pushes, page: Vec::new(), dictionary }
    }
}

impl<T: Native> Values for NativeValues<'_, T> {
    fn next_page(&mut self) -> KernelResult<usize> {
        self.page.clear();
        let mut taken = 0;
        while taken < PAGE_ROWS
            && let Some((array, rows)) = self.cursor.peek(PAGE_ROWS - taken)
        {
            taken += rows.len();
            self.cursor.advance(rows.len());
            let push = &self.pushes[array];
            match self.cursor.nulls(array) {
                None => push(rows, &mut self.page)?,
                Some(nulls) => {
                    for (start, end) in nulls.slice(rows.start, rows.len()).valid_slices() {
                        push(rows.start + start..rows.start + end, &mut self.page)?;
                    }
                }
            }
        }
        if let Some(dictionary) = &mut self.dictionary {
            dictionary.index(&self.page, PAGE_BYTES);
        }
        Ok(taken)
    }

    fn has_dictionary(&self) -> bool {
        self.dictionary.is_some()
    }

    fn count(&self) -> usize {
        self.page.len()
    }

    fn indices(&self) -> Option<(&[u32], usize)> {
        let dictionary = self.dictionary.as_ref()?;
        Some((dictionary.indices()?, dictionary.values().len()))
    }

    fn put_plain(&self, out: &mut Vec<u8>) {
        T::put(&self.page, out);
    }

    fn bounds(&mut self) -> Option<Bounds> {
        let (least, greatest) = T::bounds(&self.page)?;
        let plain = |value| {
            let mut bytes = Vec::new();
            T::put(&[value], &mut bytes);
            bytes
        };
        Some((plain(least), plain(greatest)))
    }

    fn put_dictionary(&self, out: &mut Vec<u8>) -> usize {
        let values = self.dictionary.as_ref().map_or(&[][..], Indexed::values);
        T::put(values, out);
        values.len()
    }
}

/// Finds the value of a row.
pub(super) type Find<'a> = Box<dyn FindBytes<'a> + 'a>;

/// Appends values of rows, but for NULLs, until they have more than some bytes.
pub(super) trait FindBytes<'a> {
    /// Returns how many rows that were, and how many bytes.
    fn push(
        &self,
        rows: Range<usize>,
        nulls: Option<&NullBuffer>,
        max: usize,
        out: &mut Vec<&'a [u8]>,
    ) -> (usize, usize);
}

impl<'a, F: Fn(usize) -> &'a [u8]> FindBytes<'a> for F {
    fn push(
        &self,
        rows: Range<usize>,
        nulls: Option<&NullBuffer>,
        max: usize,
        out: &mut Vec<&'a [u8]>,
    ) -> (usize, usize) {
        let mut bytes = 0;
        for row in rows.clone() {
            if bytes > max {
                return (row - rows.start, bytes);
            }
            if nulls.is_none_or(|nulls| nulls.is_valid(row)) {
                let value = self(row);
                bytes += value.len();
                out.push(value);
            }
        }
        (rows.len(), bytes)
    }
}

/// Texts, or other values that are bytes.
pub(super) struct BytesValues<'a> {
    cursor: Cursor<'a>,
    finds: Vec<Find<'a>>,
    /// Each is written with its length.
    has_length: bool,
    order: Order,
    page: Vec<&'a [u8]>,
    page_bytes: usize,
    dictionary: Option<Indexed<BytesDictionary<'a>>>,
    seen: Vec<bool>,
}

impl<'a> BytesValues<'a> {
    /// `finds` has one for each of `arrays`.
    pub(super) fn new(
        arrays: &'a [ArrayRef],
        finds: Vec<Find<'a>>,
        has_length: bool,
        order: Order,
        has_dictionary: bool,
    ) -> Self {
        let dictionary = has_dictionary.then(|| Indexed::new(BytesDictionary::new()));
        Self {
            cursor: Cursor::new(arrays),
            finds,
            has_length,
            order,
            page: Vec::new(),
            page_bytes: 0,
            dictionary,
            seen: Vec::new(),
        }
    }

    fn put(&self, values: &[&[u8]], out: &mut Vec<u8>) {
        for value in values {
            if self.has_length {
                let length = u32::try_from(value.len()).unwrap_or(u32::MAX); // refused with its page, for its size
                out.extend_from_slice(&length.to_le_bytes());
            }
            out.extend_from_slice(value);
        }
    }

    fn least_and_greatest(&self, mut values: impl Iterator<Item = &'a [u8]>) -> Option<(&'a [u8], &'a [u8])> {
        let first = values.next()?;
        let (mut least, mut greatest) = (first, first);
        for value in values {
            // Most values are told from the bounds by how they begin.
            let begin = self.order.prefix(value);
            if begin <= self.order.prefix(least) && self.order.compare(value, least).is_lt() {
                least = value;
            } else if begin >= self.order.prefix(greatest) && self.order.compare(value, greatest).is_gt() {
                greatest = value;
            }
        }
        Some((least, greatest))
    }
}

impl Values for BytesValues<'_> {
    fn next_page(&mut self) -> KernelResult<usize> {
        self.page.clear();
        self.page_bytes = 0;
        let mut taken = 0;
        while taken < PAGE_ROWS
            && self.page_bytes <= PAGE_BYTES
            && let Some((array, rows)) = self.cursor.peek(PAGE_ROWS - taken)
        {
            let nulls = self.cursor.nulls(array);
            let max = PAGE_BYTES - self.page_bytes;
            let (rows, bytes) = self.finds[array].push(rows, nulls, max, &mut self.page);
            taken += rows;
            self.page_bytes += bytes;
            self.cursor.advance(rows);
        }
        if let Some(dictionary) = &mut self.dictionary {
            dictionary.index(&self.page, PAGE_BYTES);
        }
        Ok(taken)
    }

    fn has_dictionary(&self) -> bool {
        self.dictionary.is_some()
    }

    fn count(&self) -> usize {
        self.page.len()
    }

    fn indices(&self) -> Option<(&[u32], usize)> {
        let dictionary = self.dictionary.as_ref()?;
        Some((dictionary.indices()?, dictionary.values().len()))
    }

    fn put_plain(&self, out: &mut Vec<u8>) {
        out.reserve(self.page_bytes + self.page.len() * size_of::<u32>());
        self.put(&self.page, out);
    }

    fn bounds(&mut self) -> Option<Bounds> {
        let indexed = self.dictionary.as_ref().and_then(|dictionary| Some((dictionary, dictionary.indices()?)));
        let (least, greatest) = if let Some((dictionary, indices)) = indexed {
            // Each value that the page has is looked at once.
            self.seen.clear();
            self.seen.resize(dictionary.values().len(), false);
            for index in indices {
                self.seen[*index as usize] = true;
            }
            let seen = dictionary.values().iter().zip(&self.seen).filter(|(_, seen)| **seen);
            self.least_and_greatest(seen.map(|(value, _)| *value))
        } else {
            self.least_and_greatest(self.page.iter().copied())
        }?;
        (least.len().max(greatest.len()) <= MAX_BOUND_BYTES).then(|| (least.to_vec(), greatest.to_vec()))
    }

    fn put_dictionary(&self, out: &mut Vec<u8>) -> usize {
        let values = self.dictionary.as_ref().map_or(&[][..], Indexed::values);
        self.put(values, out);
        values.len()
    }
}
