//! The cells of one column into an Arrow array of its type, or into bytes.

use std::sync::Arc;

use arrow_array::types::ArrowPrimitiveType;
use arrow_array::{ArrayRef, BinaryArray, BooleanArray, PrimitiveArray, StringArray};
use arrow_buffer::{BooleanBufferBuilder, Buffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::DataType;

use super::parser::CsvFormat;
use super::records::Cell;
use crate::texts::{RuleVisitor, visit_rule};

/// The cells of one column in a run of records.
pub(super) struct Strip<'a> {
    data: &'a [u8],
    cells: &'a [Cell],
    width: usize,
    format: &'a CsvFormat,
}

impl<'a> Strip<'a> {
    /// Column `index` of the records of `width` cells each that lie in `cells` row by row.
    pub(super) fn new(data: &'a [u8], cells: &'a [Cell], index: usize, width: usize, format: &'a CsvFormat) -> Self {
        Self { data, cells: cells.get(index..).unwrap_or_default(), width, format }
    }

    /// Hands each text to `take`, `None` for NULL, until it answers false.
    #[inline]
    fn each(&self, mut take: impl FnMut(Option<&[u8]>) -> bool) -> bool {
        self.cells.iter().step_by(self.width).all(|cell| {
            let text = cell.text(self.data, self.format.quote);
            let null = !cell.is_quoted() && self.format.null_values.iter().any(|null| **null == *text);
            take(if null { None } else { Some(&text) })
        })
    }
}

/// Gathers the values of one column, batch by batch.
pub(super) struct Column(Box<dyn Gather + Send + Sync>);

trait Gather {
    /// Whether every text was surely a value.
    fn gather(&mut self, strip: &Strip<'_>) -> bool;

    /// What was gathered since the last call; `None` when a text was not surely a value.
    fn finish(&mut self) -> Option<ArrayRef>;
}

impl Column {
    /// A column of `data_type`, as bytes when that type has no rule here; `exact` as `CsvParser::new` says.
    pub(super) fn new(data_type: &DataType, exact: bool) -> Self {
        match data_type {
            DataType::Utf8 => Self(Box::new(Texts::new(true))),
            _ => visit_rule(data_type, exact, Typed(data_type)).unwrap_or_else(Self::binary),
        }
    }

    /// A column of bytes.
    pub(super) fn binary() -> Self {
        Self(Box::new(Texts::new(false)))
    }

    pub(super) fn append(&mut self, strip: &Strip<'_>) {
        self.0.gather(strip);
    }

    /// The values since the last call; `None` when one was not surely of the type.
    pub(super) fn finish(&mut self) -> Option<ArrayRef> {
        self.0.finish()
    }
}

/// Makes a column of the type whose rule it is handed.
struct Typed<'a>(&'a DataType);

impl RuleVisitor for Typed<'_> {
    type Output = Column;

    fn values<T: ArrowPrimitiveType>(
        self,
        parse: impl Fn(&[u8]) -> Option<T::Native> + Send + Sync + 'static,
    ) -> Column {
        let (gathered, nulls) = (Vec::new(), NullBufferBuilder::new(0));
        Column(Box::new(Values::<T, _> { parse, data_type: self.0.clone(), gathered, nulls, sure: true }))
    }

    fn booleans(self, parse: impl Fn(&[u8]) -> Option<bool> + Send + Sync + 'static) -> Column {
        let (values, nulls) = (BooleanBufferBuilder::new(0), NullBufferBuilder::new(0));
        Column(Box::new(Booleans { parse, values, nulls, sure: true }))
    }
}

struct Values<T: ArrowPrimitiveType, P> {
    parse: P,
    data_type: DataType,
    gathered: Vec<T::Native>,
    nulls: NullBufferBuilder,
    sure: bool,
}

impl<T: ArrowPrimitiveType, P: Fn(&[u8]) -> Option<T::Native>> Gather for Values<T, P> {
    fn gather(&mut self, strip: &Strip<'_>) -> bool {
        self.sure = self.sure
            && strip.each(|text| {
                let Some(text) = text else {
                    self.nulls.append_null();
                    self.gathered.push(T::Native::default());
                    return true;
                };
                let Some(value) = (self.parse)(text) else { return false };
                self.nulls.append_non_null();
                self.gathered.push(value);
                true
            });
        self.sure
    }

    fn finish(&mut self) -> Option<ArrayRef> {
        let room = self.gathered.len();
        let values = std::mem::replace(&mut self.gathered, Vec::with_capacity(room));
        let nulls = self.nulls.finish();
        if !std::mem::replace(&mut self.sure, true) {
            return None;
        }
        let array = PrimitiveArray::<T>::try_new(values.into(), nulls).ok()?;
        Some(Arc::new(array.with_data_type(self.data_type.clone())))
    }
}

struct Booleans<P> {
    parse: P,
    values: BooleanBufferBuilder,
    nulls: NullBufferBuilder,
    sure: bool,
}

impl<P: Fn(&[u8]) -> Option<bool>> Gather for Booleans<P> {
    fn gather(&mut self, strip: &Strip<'_>) -> bool {
        self.sure = self.sure
            && strip.each(|text| {
                let value = match text.map(&self.parse) {
                    Some(None) => return false,
                    Some(Some(value)) => {
                        self.nulls.append_non_null();
                        value
                    }
                    None => {
                        self.nulls.append_null();
                        false
                    }
                };
                self.values.append(value);
                true
            });
        self.sure
    }

    fn finish(&mut self) -> Option<ArrayRef> {
        let (values, nulls) = (self.values.finish(), self.nulls.finish());
        std::mem::replace(&mut self.sure, true).then(|| Arc::new(BooleanArray::new(values, nulls)) as ArrayRef)
    }
}

/// Text; as UTF-8 when it is that and is asked for, else as bytes.
struct Texts {
    utf8: bool,
    values: Vec<u8>,
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl Texts {
    fn new(utf8: bool) -> Self {
        Self { utf8, values: Vec::new(), offsets: vec![0], nulls: NullBufferBuilder::new(0) }
    }
}

impl Gather for Texts {
    fn gather(&mut self, strip: &Strip<'_>) -> bool {
        strip.each(|text| {
            match text {
                Some(text) => {
                    self.values.extend_from_slice(text);
                    self.nulls.append_non_null();
                }
                None => self.nulls.append_null(),
            }
            #[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "a parser holds < 2 GiB")]
            self.offsets.push(self.values.len() as i32);
            true
        })
    }

    fn finish(&mut self) -> Option<ArrayRef> {
        let (room, rows) = (self.values.len(), self.offsets.len());
        let values = Buffer::from_vec(std::mem::replace(&mut self.values, Vec::with_capacity(room)));
        let offsets = std::mem::replace(&mut self.offsets, Vec::with_capacity(rows));
        self.offsets.push(0);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        let nulls = self.nulls.finish();
        if self.utf8
            && let Ok(texts) = StringArray::try_new(offsets.clone(), values.clone(), nulls.clone())
        {
            return Some(Arc::new(texts));
        }
        Some(Arc::new(BinaryArray::new(offsets, values, nulls)))
    }
}
