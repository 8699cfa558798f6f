//! How much memory the values of an array stand for, and an array that holds on to no more than that.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, OffsetSizeTrait, RecordBatch, make_array};
use arrow_buffer::ArrowNativeType;
use arrow_data::transform::MutableArrayData;
use arrow_schema::DataType;

/// Buffers may reach over so many times the bytes of the values.
const MAX_REACH: usize = 16;
/// Buffers of fewer bytes are not worth a copy.
const SMALL: usize = 1 << 20;

/// Bytes of the values of `batch`: of a slice its own, whatever the buffers below it hold.
#[must_use]
pub fn slice_bytes(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(|column| bytes_of(column)).sum()
}

fn bytes_of(array: &dyn Array) -> usize {
    let nulls = array.nulls().map_or(0, |_| array.len().div_ceil(8));
    nulls
        + match array.data_type() {
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                bytes_of_list(list.value_offsets(), list.values())
            }
            DataType::LargeList(_) => {
                let list = array.as_list::<i64>();
                bytes_of_list(list.value_offsets(), list.values())
            }
            DataType::Map(_, _) => {
                let map = array.as_map();
                let (start, end) = range(map.value_offsets());
                size_of_val(map.value_offsets()) + bytes_of(&map.entries().slice(start, end - start))
            }
            DataType::Struct(_) => array.as_struct().columns().iter().map(|field| bytes_of(field)).sum(),
            DataType::FixedSizeList(_, _) => bytes_of(array.as_fixed_size_list().values()),
            DataType::Dictionary(_, _) => {
                let dictionary = array.as_any_dictionary();
                bytes_of(dictionary.keys()) + bytes_of(dictionary.values())
            }
            DataType::Utf8View => {
                let views = array.as_string_view();
                size_of_val(views.views().as_ref()) + views.total_buffer_bytes_used()
            }
            DataType::BinaryView => {
                let views = array.as_binary_view();
                size_of_val(views.views().as_ref()) + views.total_buffer_bytes_used()
            }
            _ => bytes_of_plain(array) - nulls,
        }
}

/// Also of what is rare: list views and runs, which count the whole of their values.
fn bytes_of_plain(array: &dyn Array) -> usize {
    array.to_data().get_slice_memory_size().unwrap_or_else(|_| array.get_buffer_memory_size())
}

fn bytes_of_list<O: OffsetSizeTrait>(offsets: &[O], values: &ArrayRef) -> usize {
    let (start, end) = range(offsets);
    size_of_val(offsets) + bytes_of(&values.slice(start, end - start))
}

fn range<O: ArrowNativeType>(offsets: &[O]) -> (usize, usize) {
    (offsets[0].as_usize(), offsets[offsets.len() - 1].as_usize())
}

/// `batch`, with each column copied that would hold on to far more memory than its values need.
///
/// What counts is what an array shows: the buffers up to the last value of a slice, for a view all of its buffers.
#[must_use]
pub fn without_large_parents(batch: RecordBatch) -> RecordBatch {
    if batch.columns().iter().all(|column| !is_far_reaching(column)) {
        return batch;
    }
    let columns = batch.columns().iter();
    let columns = columns.map(|column| if is_far_reaching(column) { copied(column) } else { column.clone() }).collect();
    let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(batch.schema(), columns, &options).unwrap_or(batch)
}

fn is_far_reaching(array: &dyn Array) -> bool {
    let reach = array.get_buffer_memory_size();
    reach > SMALL && reach / MAX_REACH > bytes_of(array)
}

fn copied(array: &ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::Utf8View => std::sync::Arc::new(array.as_string_view().gc()),
        DataType::BinaryView => std::sync::Arc::new(array.as_binary_view().gc()),
        _ => {
            let data = array.to_data();
            let mut copy = MutableArrayData::new(vec![&data], false, data.len());
            copy.try_extend(0, 0, data.len()).map_or_else(|_| array.clone(), |()| make_array(copy.freeze()))
        }
    }
}
