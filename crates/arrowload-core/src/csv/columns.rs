//! The cells of one column into an Arrow array of its type, or into bytes.

use std::sync::Arc;

use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Decimal256Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{ArrayRef, BinaryArray, BooleanArray, PrimitiveArray, StringArray};
use arrow_buffer::{BooleanBufferBuilder, Buffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer, i256};
use arrow_schema::{DataType, TimeUnit};

use super::parser::CsvFormat;
use super::records::Cell;
use super::{numbers, times};

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
        typed(data_type, exact).unwrap_or_else(Self::binary)
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

fn typed(data_type: &DataType, exact: bool) -> Option<Column> {
    Some(match data_type {
        DataType::Utf8 => Column(Box::new(Texts::new(true))),
        DataType::Boolean => Column(Box::new(Booleans::new(exact))),
        DataType::Int8 => signed::<Int8Type>(exact),
        DataType::Int16 => signed::<Int16Type>(exact),
        DataType::Int32 => signed::<Int32Type>(exact),
        DataType::Int64 => signed::<Int64Type>(exact),
        DataType::UInt8 => unsigned::<UInt8Type>(exact),
        DataType::UInt16 => unsigned::<UInt16Type>(exact),
        DataType::UInt32 => unsigned::<UInt32Type>(exact),
        DataType::UInt64 => unsigned::<UInt64Type>(exact),
        DataType::Float64 => values::<Float64Type>(data_type, move |text| numbers::float(text, exact)),
        DataType::Date32 => values::<Date32Type>(data_type, times::date),
        DataType::Decimal128(precision, scale) => {
            let (precision, scale) = (*precision, u8::try_from(*scale).ok()?);
            values::<Decimal128Type>(data_type, move |text| numbers::decimal(text, precision, scale, exact))
        }
        DataType::Decimal256(precision, scale) => {
            let (precision, scale) = (*precision, u8::try_from(*scale).ok()?);
            values::<Decimal256Type>(data_type, move |text| {
                numbers::decimal(text, precision, scale, exact).map(i256::from_i128)
            })
        }
        DataType::Timestamp(unit, zone) => {
            let (unit, zoned) = (*unit, zone.is_some());
            let parse = move |text: &[u8]| times::timestamp(text, unit, zoned);
            match unit {
                TimeUnit::Second => values::<TimestampSecondType>(data_type, parse),
                TimeUnit::Millisecond => values::<TimestampMillisecondType>(data_type, parse),
                TimeUnit::Microsecond => values::<TimestampMicrosecondType>(data_type, parse),
                TimeUnit::Nanosecond => values::<TimestampNanosecondType>(data_type, parse),
            }
        }
        _ => return None,
    })
}

fn signed<T: ArrowPrimitiveType<Native: TryFrom<i64>>>(exact: bool) -> Column {
    values::<T>(&T::DATA_TYPE, move |text| T::Native::try_from(numbers::signed(text, exact)?).ok())
}

fn unsigned<T: ArrowPrimitiveType<Native: TryFrom<u64>>>(exact: bool) -> Column {
    values::<T>(&T::DATA_TYPE, move |text| T::Native::try_from(numbers::unsigned(text, exact)?).ok())
}

fn values<T: ArrowPrimitiveType>(
    data_type: &DataType,
    parse: impl Fn(&[u8]) -> Option<T::Native> + Send + Sync + 'static,
) -> Column {
    let data_type = data_type.clone();
    Column(Box::new(Values::<T, _> {
        parse,
        data_type,
        gathered: Vec::new(),
        nulls: NullBufferBuilder::new(0),
        sure: true,
    }))
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

struct Booleans {
    exact: bool,
    values: BooleanBufferBuilder,
    nulls: NullBufferBuilder,
    sure: bool,
}

impl Booleans {
    fn new(exact: bool) -> Self {
        Self { exact, values: BooleanBufferBuilder::new(0), nulls: NullBufferBuilder::new(0), sure: true }
    }
}

impl Gather for Booleans {
    fn gather(&mut self, strip: &Strip<'_>) -> bool {
        self.sure = self.sure
            && strip.each(|text| {
                let value = match text.map(|text| boolean(text, self.exact)) {
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

/// `true` and `false` in any case; unless `exact`, the other words of Postgres too.
fn boolean(text: &[u8], exact: bool) -> Option<bool> {
    let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word.as_bytes()));
    match () {
        () if is(&["true"]) => Some(true),
        () if is(&["false"]) => Some(false),
        () if exact => None,
        () if is(&["t", "yes", "y", "on", "1"]) => Some(true),
        () if is(&["f", "no", "n", "off", "0"]) => Some(false),
        () => None,
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
