//! Lists of lists to arrays.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, GenericListArray, OffsetSizeTrait};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;

use super::fixed_source::write_null;
use super::sink::Refusal;
use super::source::{Slots, Source, source_for};
use super::wire::{MAX_DIMENSIONS, WireType};

/// Writes lists as arrays; each is put together when it is measured.
pub(super) struct ArraySource<'a> {
    element_oid: u32,
    /// From the outermost list inwards.
    levels: Vec<Level<'a>>,
    elements: Box<dyn Source + 'a>,
    /// Of the innermost values.
    element_nulls: Option<NullBuffer>,
    /// The arrays that were measured last, one after the other, and where each ends.
    arrays: Vec<u8>,
    ends: Vec<usize>,
    cursors: Vec<usize>,
    element_ends: Vec<usize>,
}

/// One level of lists.
enum Level<'a> {
    Small(&'a GenericListArray<i32>),
    Large(&'a GenericListArray<i64>),
}

impl<'a> Level<'a> {
    fn new(array: &'a dyn Array) -> Option<Self> {
        match array.data_type() {
            DataType::List(_) => Some(Self::Small(array.as_list())),
            DataType::LargeList(_) => Some(Self::Large(array.as_list())),
            _ => None,
        }
    }

    fn values(&self) -> &'a ArrayRef {
        match self {
            Self::Small(array) => array.values(),
            Self::Large(array) => array.values(),
        }
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Small(array) => array.is_null(row),
            Self::Large(array) => array.is_null(row),
        }
    }

    /// Where the elements of the lists `rows` lie.
    fn elements(&self, rows: &Range<usize>) -> Range<usize> {
        fn between<O: OffsetSizeTrait>(offsets: &[O], rows: &Range<usize>) -> Range<usize> {
            offsets[rows.start].as_usize()..offsets[rows.end].as_usize()
        }
        match self {
            Self::Small(array) => between(array.value_offsets(), rows),
            Self::Large(array) => between(array.value_offsets(), rows),
        }
    }

    /// The length that all lists of `rows` have; None when they differ, or one is NULL.
    fn common_length(&self, rows: &Range<usize>) -> Option<usize> {
        let length = |row: usize| self.elements(&(row..row + 1)).len();
        let first = length(rows.start);
        rows.clone().all(|row| !self.is_null(row) && length(row) == first).then_some(first)
    }
}

impl<'a> ArraySource<'a> {
    /// None when the elements, or the depth of the lists, have no such source.
    pub(super) fn new(element: &WireType, element_oid: u32, array: &'a dyn Array) -> Option<Self> {
        let (mut levels, mut inner) = (Vec::new(), array);
        while let Some(level) = Level::new(inner) {
            inner = level.values();
            levels.push(level);
        }
        if matches!(element, WireType::Array { .. }) || levels.len() > MAX_DIMENSIONS {
            return None;
        }
        Some(Self {
            element_oid,
            levels,
            elements: source_for(element, inner)?,
            element_nulls: inner.logical_nulls().filter(|nulls| nulls.null_count() > 0),
            arrays: Vec::new(),
            ends: Vec::new(),
            cursors: Vec::new(),
            element_ends: Vec::new(),
        })
    }

    /// The sizes of the dimensions of one row and where its elements lie; none for an empty list.
    fn shape(&self, row: usize) -> Option<(Vec<usize>, Range<usize>)> {
        let mut dimensions = Vec::with_capacity(self.levels.len());
        let mut lists = row..row + 1;
        for level in &self.levels {
            let size = level.common_length(&lists)?;
            lists = level.elements(&lists);
            if size == 0 {
                // An array has no empty dimension beside others: only the outermost list may be empty.
                return dimensions.is_empty().then_some((dimensions, 0..0));
            }
            dimensions.push(size);
        }
        Some((dimensions, lists))
    }

    /// Puts one array together.
    fn append(&mut self, row: usize) -> Result<(), Refusal> {
        let unfit = |reason| Refusal::unfit(0, "a list", reason);
        let (dimensions, elements) =
            self.shape(row).ok_or_else(|| unfit("the lists in it are not of one length, or are NULL or empty"))?;
        let has_null = self.element_nulls.as_ref().is_some_and(|nulls| elements.clone().any(|at| nulls.is_null(at)));
        let words = [u32::try_from(dimensions.len()).unwrap_or(0), u32::from(has_null), self.element_oid];
        self.arrays.extend_from_slice(words.map(u32::to_be_bytes).as_flattened());
        for size in dimensions {
            let size = i32::try_from(size).map_err(|_| unfit("it has more than 2^31 elements"))?;
            self.arrays.extend_from_slice([size, 1].map(i32::to_be_bytes).as_flattened());
        }
        self.append_elements(elements)
    }

    fn append_elements(&mut self, elements: Range<usize>) -> Result<(), Refusal> {
        // Each length becomes the end of its element, and the end of the one before is where it begins.
        self.element_ends.clear();
        self.element_ends.resize(elements.len(), 0);
        self.elements.measure(elements.clone(), &mut self.element_ends)?;
        self.cursors.clear();
        let mut at = self.arrays.len();
        for end in &mut self.element_ends {
            self.cursors.push(at);
            at += *end;
            *end = at;
        }
        self.arrays.resize(at, 0);
        let slots = Slots { rows: elements, cursors: &mut self.cursors, ends: &self.element_ends };
        self.elements.write(slots, &mut self.arrays)
    }
}

impl Source for ArraySource<'_> {
    fn measure(&mut self, rows: Range<usize>, lengths: &mut [usize]) -> Result<(), Refusal> {
        self.arrays.clear();
        self.ends.clear();
        for (index, (length, row)) in lengths.iter_mut().zip(rows).enumerate() {
            let start = self.arrays.len();
            if !self.levels[0].is_null(row) {
                self.append(row).map_err(|refusal| Refusal { index, ..refusal })?;
            }
            let size = self.arrays.len() - start;
            if i32::try_from(size).is_err() {
                return Err(Refusal::unfit(index, "a list", "it takes more than 2 GiB"));
            }
            *length += 4 + size;
            self.ends.push(self.arrays.len());
        }
        Ok(())
    }

    fn write(&mut self, slots: Slots<'_>, out: &mut [u8]) -> Result<(), Refusal> {
        let mut start = 0;
        for ((row, cursor), end) in slots.rows.zip(slots.cursors).zip(&self.ends) {
            if self.levels[0].is_null(row) {
                write_null(out, cursor);
                continue;
            }
            let array = &self.arrays[start..*end];
            start = *end;
            let length = u32::try_from(array.len()).unwrap_or(u32::MAX).to_be_bytes();
            out[*cursor..*cursor + 4].copy_from_slice(&length);
            out[*cursor + 4..*cursor + 4 + array.len()].copy_from_slice(array);
            *cursor += 4 + array.len();
        }
        Ok(())
    }
}
