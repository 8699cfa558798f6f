//! What gathers the values of one column.

use arrow_array::ArrayRef;
use arrow_buffer::{NullBuffer, NullBufferBuilder};
use arrow_schema::{DataType, IntervalUnit, TimeUnit};

use super::array_sink::ArraySink;
use super::byte_sink::ByteSink;
use super::char_sink::CharSink;
use super::decoder::DecodeOptions;
use super::fixed_sink::{self, BoolSink, FixedSink, UuidSink};
use super::numeric_sink;
use super::wire::WireType;

/// How many bytes of a broken field an error shows.
const EXCERPT_BYTES: usize = 16;

/// Where a field lies in the bytes of a run; a negative length is NULL.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    pub(super) start: u32,
    pub(super) length: i32,
}

impl Place {
    pub(super) const NULL: Self = Self { start: 0, length: -1 };

    pub(super) fn is_null(self) -> bool {
        self.length < 0
    }

    /// The bytes of a field that is not NULL.
    pub(super) fn of(self, bytes: &[u8]) -> &[u8] {
        let start = self.start as usize;
        &bytes[start..start + usize::try_from(self.length).unwrap_or(0)]
    }

    /// The bytes of a field of exactly `N` bytes.
    #[inline]
    pub(super) fn fixed<const N: usize>(self, bytes: &[u8]) -> Option<[u8; N]> {
        if usize::try_from(self.length) != Ok(N) {
            return None;
        }
        bytes.get(self.start as usize..)?.first_chunk().copied()
    }
}

/// Why a field was refused.
#[derive(Debug)]
pub(super) struct Refusal {
    /// Among the places that were handed over.
    pub(super) index: usize,
    pub(super) value: String,
    pub(super) reason: String,
    /// The bytes are no value of the wire type; otherwise it is a value that the Arrow type does not have.
    pub(super) broken: bool,
}

impl Refusal {
    pub(super) fn broken(index: usize, field: &[u8], reason: impl Into<String>) -> Self {
        Self { index, value: hex(field), reason: reason.into(), broken: true }
    }

    pub(super) fn unfit(index: usize, value: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { index, value: value.into(), reason: reason.into(), broken: false }
    }

    /// A field of another length than the type has.
    pub(super) fn length(index: usize, field: &[u8], expected: usize) -> Self {
        Self::broken(index, field, format!("it has {} bytes on the wire, not {expected}", field.len()))
    }
}

fn hex(field: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::from("\\x");
    for byte in field.iter().take(EXCERPT_BYTES) {
        let _ = write!(text, "{byte:02x}"); // a String takes everything
    }
    if field.len() > EXCERPT_BYTES {
        text.push('…');
    }
    text
}

/// Gathers the values of one column, or of the elements of its arrays.
pub(super) trait Sink: Send {
    /// Add a value for each place. A value that is to become null gets the place [`Place::NULL`].
    ///
    /// The sink is unusable after a refusal. Each place lies within `bytes`.
    fn extend(&mut self, bytes: &[u8], places: &mut [Place]) -> Result<(), Refusal>;

    /// What the values take, in bytes.
    fn bytes(&self) -> usize;

    /// The values so far; the next ones begin a new array.
    fn take(&mut self) -> ArrayRef;
}

/// The sink for a pair of types; None for a pair that is not the same set of values.
pub(super) fn sink_for(wire: &WireType, data_type: &DataType, options: DecodeOptions) -> Option<Box<dyn Sink>> {
    let infinity = options.infinity;
    Some(match (wire, data_type) {
        (WireType::Bool, DataType::Boolean) => Box::new(BoolSink::default()),
        (WireType::Int2, DataType::Int16) => FixedSink::boxed(fixed_sink::Int2, data_type),
        (WireType::Int4, DataType::Int32) => FixedSink::boxed(fixed_sink::Int4, data_type),
        (WireType::Int8, DataType::Int64) => FixedSink::boxed(fixed_sink::Int8, data_type),
        (WireType::Oid, DataType::Int64) => FixedSink::boxed(fixed_sink::Oid, data_type),
        (WireType::Float4, DataType::Float32) => FixedSink::boxed(fixed_sink::Float4, data_type),
        (WireType::Float8, DataType::Float64) => FixedSink::boxed(fixed_sink::Float8, data_type),
        (WireType::Date, DataType::Date32) => FixedSink::boxed(fixed_sink::Date { infinity }, data_type),
        (WireType::Time, DataType::Time64(TimeUnit::Microsecond)) => FixedSink::boxed(fixed_sink::Time, data_type),
        (WireType::Timestamp, DataType::Timestamp(TimeUnit::Microsecond, None))
        | (WireType::Timestamptz, DataType::Timestamp(TimeUnit::Microsecond, Some(_))) => {
            FixedSink::boxed(fixed_sink::Timestamp { infinity }, data_type)
        }
        (WireType::Interval, DataType::Interval(IntervalUnit::MonthDayNano)) => {
            FixedSink::boxed(fixed_sink::Interval { infinity }, data_type)
        }
        (WireType::Uuid, DataType::FixedSizeBinary(16)) => Box::new(UuidSink::default()),
        (WireType::Text | WireType::Json, DataType::Utf8) => Box::new(ByteSink::<true, false>::new()),
        (WireType::Char, DataType::Utf8) => Box::new(CharSink::default()),
        (WireType::Jsonb, DataType::Utf8) => Box::new(ByteSink::<true, true>::new()),
        (WireType::Bytea, DataType::Binary) => Box::new(ByteSink::<false, false>::new()),
        (WireType::Numeric | WireType::FreeNumeric, DataType::Decimal128(..) | DataType::Decimal256(..)) => {
            numeric_sink::boxed(data_type, options.special)?
        }
        (WireType::Array { element, element_oid }, DataType::List(_)) => {
            Box::new(ArraySink::new(element, *element_oid, data_type, options)?)
        }
        _ => return None,
    })
}

/// The validity of values so far: no buffer until the first null.
pub(super) struct Nulls(NullBufferBuilder);

impl Default for Nulls {
    fn default() -> Self {
        Self(NullBufferBuilder::new(0))
    }
}

impl Nulls {
    /// Add what `places` say; `any` tells that one of them is NULL.
    pub(super) fn extend(&mut self, places: &[Place], any: bool) {
        if any {
            for place in places {
                self.0.append(!place.is_null());
            }
        } else {
            self.0.append_n_non_nulls(places.len());
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.as_slice().map_or(0, <[u8]>::len)
    }

    pub(super) fn take(&mut self) -> Option<NullBuffer> {
        self.0.finish()
    }
}

/// `values`, and an empty one in their place with room for about as many.
pub(super) fn renew<T>(values: &mut Vec<T>) -> Vec<T> {
    let room = values.len() + values.len() / 16;
    std::mem::replace(values, Vec::with_capacity(room))
}
