//! How each Arrow type is kept: the physical type, the order, and where the values are.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, ByteArrayType, ByteViewType, Date32Type, Decimal32Type, Decimal64Type, Decimal128Type,
    Decimal256Type, DecimalType, DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType,
    DurationSecondType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, Time32MillisecondType,
    Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, GenericByteArray, GenericByteViewArray};
use arrow_buffer::ArrowNativeType;
use arrow_data::{ByteView, MAX_INLINE_VIEW_LEN};
use arrow_schema::{DataType, TimeUnit};

use crate::error::{KernelError, KernelResult};
use crate::parquet::footer::Leaf;
use crate::parquet::physical::{Native, Order};
use crate::parquet::values::{BytesValues, Find, NativeValues, Push, Values};

/// `Type` of parquet.thrift.
const BOOLEAN: i64 = 0;
const INT32: i64 = 1;
const INT64: i64 = 2;
const FLOAT: i64 = 4;
const DOUBLE: i64 = 5;
const BYTE_ARRAY: i64 = 6;
const FIXED_LEN_BYTE_ARRAY: i64 = 7;
/// Digits of the decimals that are kept in 32 and in 64 bits: LogicalTypes.md of parquet-format.
const INT32_DIGITS: u8 = 9;
const INT64_DIGITS: u8 = 18;

/// How a column of a file is kept.
pub(super) struct ColumnRule {
    pub(super) data_type: DataType,
    /// What the footer says of it.
    pub(super) leaf: Leaf,
    pub(super) order: Order,
    /// Whether its values are worth a dictionary.
    pub(super) has_dictionary: bool,
}

/// A column of a row group: its arrays, all of the type that the rule says.
#[derive(Clone, Copy)]
pub(super) struct Column<'a> {
    pub(super) rule: &'a ColumnRule,
    pub(super) arrays: &'a [ArrayRef],
}

type BoxedValues<'a> = Box<dyn Values + 'a>;

/// The order of the values of a type, and of the physical type that they must be kept in; None for those that are left
/// to others.
pub(super) fn order(data_type: &DataType, leaf: &Leaf) -> Option<Order> {
    use TimeUnit::{Microsecond, Millisecond, Nanosecond};
    let (physical, order) = match data_type {
        DataType::Boolean => (BOOLEAN, Order::Bytes),
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Date32 | DataType::Time32(Millisecond) => {
            (INT32, Order::Int32)
        }
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => (INT32, Order::UInt32),
        DataType::Int64
        | DataType::Duration(_)
        | DataType::Time64(_)
        | DataType::Timestamp(Millisecond | Microsecond | Nanosecond, _) => (INT64, Order::Int64),
        DataType::UInt64 => (INT64, Order::UInt64),
        DataType::Float32 => (FLOAT, Order::Float32),
        DataType::Float64 => (DOUBLE, Order::Float64),
        DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView => (BYTE_ARRAY, Order::Bytes),
        DataType::FixedSizeBinary(width) => {
            return (leaf.physical == FIXED_LEN_BYTE_ARRAY && leaf.length == Some((*width).into()))
                .then_some(Order::Bytes);
        }
        DataType::Decimal32(digits, _) | DataType::Decimal64(digits, _) | DataType::Decimal128(digits, _) => {
            if *digits <= INT32_DIGITS {
                (INT32, Order::Int32)
            } else if *digits <= INT64_DIGITS {
                (INT64, Order::Int64)
            } else {
                (FIXED_LEN_BYTE_ARRAY, Order::BigEndian)
            }
        }
        DataType::Decimal256(_, _) => (FIXED_LEN_BYTE_ARRAY, Order::BigEndian),
        _ => return None,
    };
    let fits = order != Order::BigEndian || (1..=most_bytes(data_type)).contains(&width(leaf));
    (leaf.physical == physical && fits).then_some(order)
}

fn most_bytes(data_type: &DataType) -> usize {
    data_type.primitive_width().unwrap_or_default()
}

/// Give `visit` the values of a column.
pub(super) fn with_values<R>(
    column: Column<'_>,
    visit: impl FnOnce(&mut dyn Values) -> KernelResult<R>,
) -> KernelResult<R> {
    let Column { rule, arrays } = column;
    if rule.order == Order::BigEndian {
        let wide = arrays.iter().map(|array| big_endian(array.as_ref(), &rule.leaf));
        let wide = wide.collect::<KernelResult<Vec<_>>>()?;
        let width = width(&rule.leaf);
        let finds = wide.iter().map(|values| -> Find<'_> { Box::new(move |row| &values[row * width..][..width]) });
        return visit(&mut BytesValues::new(arrays, finds.collect(), false, rule.order, rule.has_dictionary));
    }
    visit(&mut *values(column))
}

fn values(column: Column<'_>) -> BoxedValues<'_> {
    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
    match &column.rule.data_type {
        DataType::Boolean => booleans(column),
        DataType::Int8 => primitive::<Int8Type, i32>(column, i32::from),
        DataType::Int16 => primitive::<Int16Type, i32>(column, i32::from),
        DataType::Int32 => primitive::<Int32Type, i32>(column, |value| value),
        DataType::Date32 => primitive::<Date32Type, i32>(column, |value| value),
        DataType::Time32(_) => primitive::<Time32MillisecondType, i32>(column, |value| value),
        DataType::UInt8 => primitive::<UInt8Type, u32>(column, u32::from),
        DataType::UInt16 => primitive::<UInt16Type, u32>(column, u32::from),
        DataType::UInt32 => primitive::<UInt32Type, u32>(column, |value| value),
        DataType::Int64 => primitive::<Int64Type, i64>(column, |value| value),
        DataType::UInt64 => primitive::<UInt64Type, u64>(column, |value| value),
        DataType::Float32 => primitive::<Float32Type, f32>(column, |value| value),
        DataType::Float64 => primitive::<Float64Type, f64>(column, |value| value),
        DataType::Time64(Microsecond) => primitive::<Time64MicrosecondType, i64>(column, |value| value),
        DataType::Time64(_) => primitive::<Time64NanosecondType, i64>(column, |value| value),
        DataType::Timestamp(Millisecond, _) => primitive::<TimestampMillisecondType, i64>(column, |value| value),
        DataType::Timestamp(Microsecond, _) => primitive::<TimestampMicrosecondType, i64>(column, |value| value),
        DataType::Timestamp(_, _) => primitive::<TimestampNanosecondType, i64>(column, |value| value),
        DataType::Duration(Second) => primitive::<DurationSecondType, i64>(column, |value| value),
        DataType::Duration(Millisecond) => primitive::<DurationMillisecondType, i64>(column, |value| value),
        DataType::Duration(Microsecond) => primitive::<DurationMicrosecondType, i64>(column, |value| value),
        DataType::Duration(Nanosecond) => primitive::<DurationNanosecondType, i64>(column, |value| value),
        DataType::Decimal32(_, _) => decimal::<Decimal32Type>(column),
        DataType::Decimal64(_, _) => decimal::<Decimal64Type>(column),
        DataType::Decimal128(_, _) => decimal::<Decimal128Type>(column),
        _ => bytes(column),
    }
}

fn booleans(column: Column<'_>) -> BoxedValues<'_> {
    let pushes = column.arrays.iter().map(|array| -> Push<'_, bool> {
        let values = array.as_boolean().values();
        Box::new(move |rows, out| {
            out.extend(values.slice(rows.start, rows.len()).iter());
            Ok(())
        })
    });
    // Of a dictionary of two values nothing is gained over bits.
    Box::new(NativeValues::new(column.arrays, pushes.collect(), false))
}

fn primitive<'a, A: ArrowPrimitiveType, T: Native>(
    column: Column<'a>,
    kept: impl Fn(A::Native) -> T + Copy + 'a,
) -> BoxedValues<'a> {
    let pushes = column.arrays.iter().map(|array| -> Push<'a, T> {
        let values: &'a [A::Native] = array.as_primitive::<A>().values();
        Box::new(move |rows, out| {
            out.extend(values[rows].iter().map(|value| kept(*value)));
            Ok(())
        })
    });
    Box::new(NativeValues::new(column.arrays, pushes.collect(), column.rule.has_dictionary))
}

/// Decimals that are kept in 32 or 64 bits.
fn decimal<D: DecimalType<Native: TryInto<i32> + TryInto<i64>>>(column: Column<'_>) -> BoxedValues<'_> {
    match column.rule.order {
        Order::Int32 => narrowed::<D, i32>(column),
        _ => narrowed::<D, i64>(column),
    }
}

fn narrowed<'a, D: DecimalType<Native: TryInto<T>>, T: Native + Default>(column: Column<'a>) -> BoxedValues<'a> {
    let pushes = column.arrays.iter().map(|array| -> Push<'a, T> {
        let values: &'a [D::Native] = array.as_primitive::<D>().values();
        let (leaf, data_type) = (&column.rule.leaf, array.data_type());
        Box::new(move |rows, out| {
            let mut fits = true;
            out.extend(values[rows.clone()].iter().map(|value| {
                let kept = (*value).try_into();
                fits &= kept.is_ok();
                kept.unwrap_or_default()
            }));
            if fits { Ok(()) } else { Err(too_large::<D>(&values[rows.clone()], rows.start, leaf, data_type)) }
        })
    });
    Box::new(NativeValues::new(column.arrays, pushes.collect(), column.rule.has_dictionary))
}

fn too_large<D: DecimalType>(values: &[D::Native], first: usize, leaf: &Leaf, data_type: &DataType) -> KernelError {
    let (precision, scale) = match data_type {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => (*precision, *scale),
        _ => unreachable!("it is asked of decimals"),
    };
    let fits = |value: &D::Native| D::validate_decimal_precision(*value, precision, scale).is_ok();
    let at = values.iter().position(|value| !fits(value)).unwrap_or_default();
    let value = D::format_decimal(values[at], 76, scale);
    KernelError::DecimalTooLarge { column: leaf.name_text(), row: first + at, value, precision, scale }
}

fn width(leaf: &Leaf) -> usize {
    leaf.length.and_then(|length| usize::try_from(length).ok()).unwrap_or_default()
}

/// The values of an array of decimals, each as wide as the footer says; of a NULL anything.
fn big_endian(array: &dyn Array, leaf: &Leaf) -> KernelResult<Vec<u8>> {
    if let DataType::Decimal256(_, _) = array.data_type() {
        return widths::<Decimal256Type, 32>(array, arrow_buffer::i256::to_be_bytes, leaf);
    }
    widths::<Decimal128Type, 16>(array, i128::to_be_bytes, leaf)
}

fn widths<D: DecimalType, const N: usize>(
    array: &dyn Array,
    bytes: fn(D::Native) -> [u8; N],
    leaf: &Leaf,
) -> KernelResult<Vec<u8>> {
    let width = width(leaf);
    let decimals = array.as_primitive::<D>();
    let mut out = Vec::with_capacity(decimals.len() * width);
    for (row, value) in decimals.values().iter().enumerate() {
        let wide = bytes(*value);
        let (sign, kept) = wide.split_at(N - width);
        let filling = if kept[0] < 0x80 { 0 } else { 0xff };
        if sign.iter().any(|byte| *byte != filling) && array.is_valid(row) {
            return Err(too_large::<D>(&decimals.values()[row..=row], row, leaf, array.data_type()));
        }
        out.extend_from_slice(kept);
    }
    Ok(out)
}

/// Texts, and bytes of any or of one width.
fn bytes(column: Column<'_>) -> BoxedValues<'_> {
    let finds = column.arrays.iter().map(|array| -> Find<'_> {
        match array.data_type() {
            DataType::Utf8 => of_offsets(array.as_string::<i32>()),
            DataType::LargeUtf8 => of_offsets(array.as_string::<i64>()),
            DataType::Binary => of_offsets(array.as_binary::<i32>()),
            DataType::LargeBinary => of_offsets(array.as_binary::<i64>()),
            DataType::Utf8View => of_views(array.as_string_view()),
            DataType::BinaryView => of_views(array.as_binary_view()),
            _ => {
                let values = array.as_fixed_size_binary();
                Box::new(|row| values.value(row))
            }
        }
    });
    let has_length = column.rule.leaf.physical == BYTE_ARRAY;
    Box::new(BytesValues::new(
        column.arrays,
        finds.collect(),
        has_length,
        column.rule.order,
        column.rule.has_dictionary,
    ))
}

/// As bytes, whatever they are: that text is UTF-8 is its producer's promise, and nothing here depends on it.
fn of_offsets<T: ByteArrayType>(array: &GenericByteArray<T>) -> Find<'_> {
    let (offsets, data): (&[T::Offset], _) = (array.value_offsets(), array.value_data());
    let at = move |index: usize| ArrowNativeType::as_usize(offsets[index]);
    Box::new(move |row| &data[at(row)..at(row + 1)])
}

fn of_views<T: ByteViewType + ?Sized>(array: &GenericByteViewArray<T>) -> Find<'_> {
    let (views, inline) = (array.views(), array.views().inner().as_slice());
    Box::new(move |row| {
        let view = ByteView::from(views[row]);
        if view.length <= MAX_INLINE_VIEW_LEN {
            let start = row * size_of::<u128>() + size_of::<u32>();
            &inline[start..start + view.length as usize]
        } else {
            let start = view.offset as usize;
            &array.data_buffers()[view.buffer_index as usize][start..start + view.length as usize]
        }
    })
}
