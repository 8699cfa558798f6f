//! Values of one length: numbers, dates, times, intervals, uuids, booleans.

use std::sync::Arc;

use arrow_array::types::{
    Date32Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, IntervalMonthDayNanoType,
    Time64MicrosecondType, TimestampMicrosecondType,
};
use arrow_array::{ArrayRef, ArrowPrimitiveType, BooleanArray, FixedSizeBinaryArray, PrimitiveArray};
use arrow_buffer::{BooleanBufferBuilder, Buffer, IntervalMonthDayNano};
use arrow_schema::DataType;

use super::sink::{Nulls, Place, Refusal, Sink, renew};
use super::wire::{EPOCH_DAYS, EPOCH_MICROSECONDS, MICROSECONDS_PER_DAY};
use crate::numeric::OnSpecial;

/// What a field of the right length turned out to be.
pub(super) enum Answer<T> {
    Value(T),
    Null,
    /// A value that the Arrow type does not have: its text, and why.
    Unfit(String, &'static str),
}

/// How `N` bytes become one value.
pub(super) trait Fixed<const N: usize>: Send + 'static {
    type Arrow: ArrowPrimitiveType;

    fn read(&self, field: [u8; N]) -> Answer<<Self::Arrow as ArrowPrimitiveType>::Native>;
}

/// Gathers values of `N` bytes.
pub(super) struct FixedSink<const N: usize, F: Fixed<N>> {
    kind: F,
    data_type: DataType,
    values: Vec<<F::Arrow as ArrowPrimitiveType>::Native>,
    nulls: Nulls,
}

impl<const N: usize, F: Fixed<N>> FixedSink<N, F> {
    pub(super) fn boxed(kind: F, data_type: &DataType) -> Box<dyn Sink> {
        Box::new(Self { kind, data_type: data_type.clone(), values: Vec::new(), nulls: Nulls::default() })
    }
}

impl<const N: usize, F: Fixed<N>> Sink for FixedSink<N, F> {
    fn extend(&mut self, bytes: &[u8], places: &mut [Place]) -> Result<(), Refusal> {
        let before = self.values.len();
        self.values.resize(before + places.len(), Default::default());
        let mut any_null = false;
        for (index, (place, slot)) in places.iter_mut().zip(&mut self.values[before..]).enumerate() {
            let Some(field) = place.fixed::<N>(bytes) else {
                if place.is_null() {
                    any_null = true;
                    continue;
                }
                return Err(Refusal::length(index, place.of(bytes), N));
            };
            match self.kind.read(field) {
                Answer::Value(value) => *slot = value,
                Answer::Null => {
                    *place = Place::NULL;
                    any_null = true;
                }
                Answer::Unfit(value, reason) => return Err(Refusal::unfit(index, value, reason)),
            }
        }
        self.nulls.extend(places, any_null);
        Ok(())
    }

    fn bytes(&self) -> usize {
        size_of_val(self.values.as_slice()) + self.nulls.bytes()
    }

    fn take(&mut self) -> ArrayRef {
        let array = PrimitiveArray::<F::Arrow>::new(renew(&mut self.values).into(), self.nulls.take());
        Arc::new(array.with_data_type(self.data_type.clone()))
    }
}

macro_rules! number {
    ($name:ident, $arrow:ty, $native:ty, $width:literal) => {
        pub(super) struct $name;

        impl Fixed<$width> for $name {
            type Arrow = $arrow;

            #[inline]
            fn read(&self, field: [u8; $width]) -> Answer<$native> {
                Answer::Value(<$native>::from_be_bytes(field))
            }
        }
    };
}

number!(Int2, Int16Type, i16, 2);
number!(Int4, Int32Type, i32, 4);
number!(Int8, Int64Type, i64, 8);
number!(Float4, Float32Type, f32, 4);
number!(Float8, Float64Type, f64, 8);

pub(super) struct Oid;

impl Fixed<4> for Oid {
    type Arrow = Int64Type;

    #[inline]
    fn read(&self, field: [u8; 4]) -> Answer<i64> {
        Answer::Value(u32::from_be_bytes(field).into())
    }
}

pub(super) struct Date {
    pub(super) infinity: OnSpecial,
}

impl Fixed<4> for Date {
    type Arrow = Date32Type;

    #[inline]
    fn read(&self, field: [u8; 4]) -> Answer<i32> {
        let days = i32::from_be_bytes(field);
        match days.checked_add(EPOCH_DAYS) {
            Some(since_1970) if days != i32::MIN => Answer::Value(since_1970),
            _ if days == i32::MAX || days == i32::MIN => infinite(self.infinity, days < 0),
            _ => Answer::Unfit(format!("{days} days after 2000-01-01"), "date32 ends before"),
        }
    }
}

pub(super) struct Time;

impl Fixed<8> for Time {
    type Arrow = Time64MicrosecondType;

    #[inline]
    fn read(&self, field: [u8; 8]) -> Answer<i64> {
        match i64::from_be_bytes(field) {
            time @ 0..MICROSECONDS_PER_DAY => Answer::Value(time),
            MICROSECONDS_PER_DAY => Answer::Unfit("24:00:00".into(), "time64 ends before 24:00:00"),
            time => Answer::Unfit(format!("{time} microseconds"), "it is no time of day"),
        }
    }
}

pub(super) struct Timestamp {
    pub(super) infinity: OnSpecial,
}

impl Fixed<8> for Timestamp {
    type Arrow = TimestampMicrosecondType;

    #[inline]
    fn read(&self, field: [u8; 8]) -> Answer<i64> {
        let time = i64::from_be_bytes(field);
        match time.checked_add(EPOCH_MICROSECONDS) {
            Some(since_1970) if time != i64::MIN => Answer::Value(since_1970),
            _ if time == i64::MAX || time == i64::MIN => infinite(self.infinity, time < 0),
            _ => Answer::Unfit("a time after the year 294246".into(), "timestamp[us] ends before"),
        }
    }
}

pub(super) struct Interval {
    pub(super) infinity: OnSpecial,
}

impl Fixed<16> for Interval {
    type Arrow = IntervalMonthDayNanoType;

    #[inline]
    fn read(&self, field: [u8; 16]) -> Answer<IntervalMonthDayNano> {
        let raw = u128::from_be_bytes(field);
        #[expect(clippy::cast_possible_truncation, reason = "the three parts of 16 bytes")]
        let (time, days, months) = ((raw >> 64) as i64, (raw >> 32) as i32, raw as i32);
        match (time, days, months) {
            (i64::MAX, i32::MAX, i32::MAX) => infinite(self.infinity, false),
            (i64::MIN, i32::MIN, i32::MIN) => infinite(self.infinity, true),
            _ => match time.checked_mul(1000) {
                Some(nanoseconds) => Answer::Value(IntervalMonthDayNano::new(months, days, nanoseconds)),
                None => Answer::Unfit(
                    format!("{months} months {days} days {time} microseconds"),
                    "its nanoseconds do not fit 64 bits",
                ),
            },
        }
    }
}

#[cold]
fn infinite<T>(infinity: OnSpecial, negative: bool) -> Answer<T> {
    match infinity {
        OnSpecial::Null => Answer::Null,
        OnSpecial::Error => {
            let value = if negative { "-infinity" } else { "infinity" };
            Answer::Unfit(value.into(), "Arrow has no infinite times")
        }
    }
}

/// Gathers booleans.
pub(super) struct BoolSink {
    values: BooleanBufferBuilder,
    nulls: Nulls,
}

impl Default for BoolSink {
    fn default() -> Self {
        Self { values: BooleanBufferBuilder::new(0), nulls: Nulls::default() }
    }
}

impl Sink for BoolSink {
    fn extend(&mut self, bytes: &[u8], places: &mut [Place]) -> Result<(), Refusal> {
        let mut any_null = false;
        for (index, place) in places.iter().enumerate() {
            match place.fixed::<1>(bytes) {
                Some([value @ (0 | 1)]) => self.values.append(value == 1),
                None if place.is_null() => {
                    any_null = true;
                    self.values.append(false);
                }
                Some(field) => return Err(Refusal::broken(index, &field, "it is no boolean")),
                None => return Err(Refusal::length(index, place.of(bytes), 1)),
            }
        }
        self.nulls.extend(places, any_null);
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.values.as_slice().len() + self.nulls.bytes()
    }

    fn take(&mut self) -> ArrayRef {
        let room = self.values.len();
        let values = self.values.finish();
        self.values = BooleanBufferBuilder::new(room);
        Arc::new(BooleanArray::new(values, self.nulls.take()))
    }
}

/// Gathers uuids.
#[derive(Default)]
pub(super) struct UuidSink {
    values: Vec<[u8; 16]>,
    nulls: Nulls,
}

impl Sink for UuidSink {
    fn extend(&mut self, bytes: &[u8], places: &mut [Place]) -> Result<(), Refusal> {
        let before = self.values.len();
        self.values.resize(before + places.len(), [0; 16]);
        let mut any_null = false;
        for (index, (place, slot)) in places.iter().zip(&mut self.values[before..]).enumerate() {
            match place.fixed(bytes) {
                Some(field) => *slot = field,
                None if place.is_null() => any_null = true,
                None => return Err(Refusal::length(index, place.of(bytes), 16)),
            }
        }
        self.nulls.extend(places, any_null);
        Ok(())
    }

    fn bytes(&self) -> usize {
        size_of_val(self.values.as_slice()) + self.nulls.bytes()
    }

    fn take(&mut self) -> ArrayRef {
        let values = Buffer::from_vec(renew(&mut self.values).into_flattened());
        Arc::new(FixedSizeBinaryArray::new(16, values, self.nulls.take()))
    }
}
