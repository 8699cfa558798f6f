//! Encoders of values that hold values, and of encodings that are looked through.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int16Type, Int32Type, Int64Type, RunEndIndexType};
use arrow_array::{Array, ArrayRef, OffsetSizeTrait, RunArray};
use arrow_buffer::ArrowNativeType;
use arrow_schema::DataType;

use crate::canonical as put;
use crate::column::{Encoder, nullable};
use crate::row_bytes::{append_count, encoder};

pub(crate) fn nested(array: &dyn Array) -> Option<Encoder<'_>> {
    match array.data_type() {
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            offset_list(array, list.value_offsets(), list.values())
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            offset_list(array, list.value_offsets(), list.values())
        }
        DataType::ListView(_) => {
            let list = array.as_list_view::<i32>();
            view_list(array, list.value_offsets(), list.value_sizes(), list.values())
        }
        DataType::LargeListView(_) => {
            let list = array.as_list_view::<i64>();
            view_list(array, list.value_offsets(), list.value_sizes(), list.values())
        }
        DataType::FixedSizeList(_, _) => fixed_size_list(array),
        DataType::Struct(_) => structure(array),
        DataType::Map(_, _) => map(array),
        DataType::Dictionary(_, _) => dictionary(array),
        DataType::RunEndEncoded(run_ends, _) => match run_ends.data_type() {
            DataType::Int16 => run_end::<Int16Type>(array),
            DataType::Int32 => run_end::<Int32Type>(array),
            _ => run_end::<Int64Type>(array),
        },
        _ => None,
    }
}

fn offset_list<'a, O: OffsetSizeTrait>(
    array: &'a dyn Array,
    offsets: &'a [O],
    values: &'a ArrayRef,
) -> Option<Encoder<'a>> {
    let value = encoder(values)?;
    Some(nullable(array, move |i, out| {
        put_list(out, &value, offsets[i].as_usize(), offsets[i + 1].as_usize() - offsets[i].as_usize());
    }))
}

fn view_list<'a, O: OffsetSizeTrait>(
    array: &'a dyn Array,
    offsets: &'a [O],
    sizes: &'a [O],
    values: &'a ArrayRef,
) -> Option<Encoder<'a>> {
    let value = encoder(values)?;
    Some(nullable(array, move |i, out| {
        put_list(out, &value, offsets[i].as_usize(), sizes[i].as_usize());
    }))
}

fn fixed_size_list(array: &dyn Array) -> Option<Encoder<'_>> {
    let list = array.as_fixed_size_list();
    let (value, size) = (encoder(list.values())?, list.value_length().as_usize());
    Some(nullable(array, move |i, out| {
        put_list(out, &value, i * size, size);
    }))
}

fn put_list(out: &mut Vec<u8>, value: &Encoder<'_>, start: usize, count: usize) {
    append_count(out, put::LIST, count);
    (start..start + count).for_each(|i| value(i, out));
}

fn structure(array: &dyn Array) -> Option<Encoder<'_>> {
    let fields: Vec<_> = array.as_struct().columns().iter().map(|field| encoder(field)).collect::<Option<_>>()?;
    Some(nullable(array, move |i, out| {
        append_count(out, put::STRUCT, fields.len());
        for field in &fields {
            field(i, out);
        }
    }))
}

fn map(array: &dyn Array) -> Option<Encoder<'_>> {
    let map = array.as_map();
    let (key, value, offsets) = (encoder(map.keys())?, encoder(map.values())?, map.value_offsets());
    Some(nullable(array, move |i, out| {
        let (start, end) = (offsets[i].as_usize(), offsets[i + 1].as_usize());
        append_count(out, put::MAP, end - start);
        for entry in start..end {
            key(entry, out);
            value(entry, out);
        }
    }))
}

fn dictionary(array: &dyn Array) -> Option<Encoder<'_>> {
    let dictionary = array.as_any_dictionary();
    let value = encoder(dictionary.values())?;
    // Without values every key is null; `normalized_keys` would panic.
    let keys = if dictionary.values().is_empty() { Vec::new() } else { dictionary.normalized_keys() };
    Some(nullable(array, move |i, out| value(keys[i], out)))
}

fn run_end<R: RunEndIndexType>(array: &dyn Array) -> Option<Encoder<'_>> {
    let runs: &RunArray<R> = array.as_run::<R>();
    let value = encoder(runs.values())?;
    Some(Box::new(move |i, out| {
        value(runs.get_physical_index(i), out);
    }))
}
