//! Values as Parquet keeps them: how they are laid out plainly, and their order.

use std::cmp::Ordering;

/// How the bounds of a column compare, given as they are laid out plainly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Int32,
    UInt32,
    Int64,
    UInt64,
    Float32,
    Float64,
    /// Byte by byte.
    Bytes,
    /// Numbers in two's complement, the most significant byte first, all equally wide.
    BigEndian,
}

impl Order {
    pub(super) fn compare(self, left: &[u8], right: &[u8]) -> Ordering {
        match self {
            Self::Int32 => i32::from_le_bytes(array(left)).cmp(&i32::from_le_bytes(array(right))),
            Self::UInt32 => u32::from_le_bytes(array(left)).cmp(&u32::from_le_bytes(array(right))),
            Self::Int64 => i64::from_le_bytes(array(left)).cmp(&i64::from_le_bytes(array(right))),
            Self::UInt64 => u64::from_le_bytes(array(left)).cmp(&u64::from_le_bytes(array(right))),
            Self::Float32 => f32::from_le_bytes(array(left)).total_cmp(&f32::from_le_bytes(array(right))),
            Self::Float64 => f64::from_le_bytes(array(left)).total_cmp(&f64::from_le_bytes(array(right))),
            Self::Bytes => left.cmp(right),
            Self::BigEndian => {
                let sign = |bytes: &[u8]| bytes.first().map(|byte| byte.cast_signed());
                sign(left).cmp(&sign(right)).then_with(|| left.cmp(right))
            }
        }
    }
}

impl Order {
    /// What texts that are in order have in order too, equal ones equal: how they begin.
    pub(super) fn prefix(self, value: &[u8]) -> u64 {
        let prefix = value.first_chunk::<8>().map_or_else(
            || value.iter().rev().fold(0, |prefix, byte| prefix >> 8 | u64::from(*byte) << 56),
            |bytes| u64::from_be_bytes(*bytes),
        );
        if self == Self::BigEndian { prefix ^ 1 << 63 } else { prefix }
    }
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("bounds of one column are equally wide")
}

/// A value of fixed width.
pub(super) trait Native: Copy + PartialEq + 'static {
    /// What tells values apart that a reader can tell apart.
    fn bits(self) -> u64;

    /// Append `values`, laid out plainly.
    fn put(values: &[Self], out: &mut Vec<u8>);

    /// The least and the greatest of `values`, where they have an order.
    fn bounds(values: &[Self]) -> Option<(Self, Self)>;
}

macro_rules! integer {
    ($type:ty, $bits:expr) => {
        impl Native for $type {
            fn bits(self) -> u64 {
                $bits(self)
            }

            fn put(values: &[Self], out: &mut Vec<u8>) {
                put_words(values, Self::to_le_bytes, out);
            }

            fn bounds(values: &[Self]) -> Option<(Self, Self)> {
                let (mut least, mut greatest) = (*values.first()?, *values.first()?);
                for value in values {
                    least = least.min(*value);
                    greatest = greatest.max(*value);
                }
                Some((least, greatest))
            }
        }
    };
}

integer!(i32, |value: i32| u64::from(value.cast_unsigned()));
integer!(u32, u64::from);
integer!(i64, i64::cast_unsigned);
integer!(u64, |value| value);

macro_rules! float {
    ($type:ty) => {
        impl Native for $type {
            fn bits(self) -> u64 {
                self.to_bits().into()
            }

            fn put(values: &[Self], out: &mut Vec<u8>) {
                put_words(values, Self::to_le_bytes, out);
            }

            /// NaN has no place in the order, and a zero is as little as the least and as great as the greatest.
            fn bounds(values: &[Self]) -> Option<(Self, Self)> {
                let mut ordered = values.iter().copied().filter(|value| !value.is_nan());
                let first = ordered.next()?;
                let (mut least, mut greatest) = (first, first);
                for value in ordered {
                    least = if value < least { value } else { least };
                    greatest = if value > greatest { value } else { greatest };
                }
                Some((if least == 0.0 { -0.0 } else { least }, if greatest == 0.0 { 0.0 } else { greatest }))
            }
        }
    };
}

float!(f32);
float!(f64);

impl Native for bool {
    fn bits(self) -> u64 {
        self.into()
    }

    fn put(values: &[Self], out: &mut Vec<u8>) {
        let packed = |bits: &[bool]| bits.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
        out.extend(values.chunks(8).map(packed));
    }

    fn bounds(values: &[Self]) -> Option<(Self, Self)> {
        let (least, greatest) = (values.iter().all(|value| *value), values.iter().any(|value| *value));
        (!values.is_empty()).then_some((least, greatest))
    }
}

fn put_words<T: Copy, const N: usize>(values: &[T], bytes: impl Fn(T) -> [u8; N], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + values.len() * N, 0);
    let (words, _) = out[start..].as_chunks_mut::<N>();
    for (word, value) in words.iter_mut().zip(values) {
        *word = bytes(*value);
    }
}
