//! The queue: its bound, its order, its ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use arrow_array::builder::{Int64Builder, ListBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{
    Array, ArrayRef, Int32Array, Int64Array, RecordBatch, RecordBatchReader, StringArray, StringViewArray,
};
use arrow_schema::SchemaRef;
use arrowload_core::{BatchQueue, QueueReader, slice_bytes, without_large_parents};

const ROW_BYTES: usize = 8;

fn batch(values: std::ops::Range<i64>) -> RecordBatch {
    of(Arc::new(Int64Array::from_iter_values(values)))
}

fn of(column: ArrayRef) -> RecordBatch {
    RecordBatch::try_from_iter([("v", column)]).unwrap()
}

fn schema() -> SchemaRef {
    batch(0..0).schema()
}

fn reader(queue: &Arc<BatchQueue>) -> QueueReader {
    QueueReader::new(queue.clone(), Box::new(|poll| Ok(poll())))
}

fn values(reader: QueueReader) -> Vec<i64> {
    reader.flat_map(|batch| batch.unwrap().column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
}

#[test]
fn every_row_of_every_producer_comes_once_and_the_bound_holds() {
    let queue = Arc::new(BatchQueue::new(schema(), 4, 30 * ROW_BYTES));
    let (put, mut taken, mut seen) = (AtomicUsize::new(0), 0, Vec::new());
    thread::scope(|scope| {
        for producer in 0..4 {
            let (queue, put) = (&queue, &put);
            scope.spawn(move || {
                for start in (producer * 1000..(producer + 1) * 1000).step_by(10) {
                    assert!(queue.put(batch(start..start + 10)).unwrap());
                    put.fetch_add(1, Ordering::SeqCst);
                }
                queue.finish(None);
            });
        }
        for batch in reader(&queue) {
            taken += 1;
            // Three batches fill the queue.
            assert!(put.load(Ordering::SeqCst) <= taken + 3);
            seen.extend_from_slice(batch.unwrap().column(0).as_primitive::<Int64Type>().values());
        }
    });

    seen.sort_unstable();
    assert_eq!(seen, (0..4000).collect::<Vec<_>>());
}

#[test]
fn a_producer_waits_for_room() {
    let queue = Arc::new(BatchQueue::new(schema(), 1, ROW_BYTES));
    assert!(queue.put(batch(0..100)).unwrap());
    let producer = thread::spawn({
        let queue = queue.clone();
        move || queue.put(batch(0..1)).unwrap()
    });
    thread::sleep(Duration::from_millis(50));
    assert!(!producer.is_finished());

    assert!(queue.poll(Duration::ZERO).is_some());

    assert!(producer.join().unwrap());
}

#[test]
fn the_first_error_ends_the_stream_at_once_and_stops_the_others() {
    let queue = Arc::new(BatchQueue::new(schema(), 3, 1 << 20));
    queue.put(batch(0..1)).unwrap();
    queue.finish(Some("broken".to_owned()));
    queue.finish(Some("later".to_owned()));

    assert!(!queue.put(batch(0..1)).unwrap());
    assert!(reader(&queue).next().unwrap().unwrap_err().to_string().contains("broken"));
}

#[test]
fn a_consumer_that_goes_releases_the_producer_that_waits() {
    let queue = Arc::new(BatchQueue::new(schema(), 1, 1));
    let reader = reader(&queue);
    queue.put(batch(0..1)).unwrap();
    let producer = thread::spawn({
        let queue = queue.clone();
        move || queue.put(batch(0..1)).unwrap()
    });

    drop(reader);

    assert!(!producer.join().unwrap());
}

#[test]
fn what_is_cut_off_does_not_look_complete() {
    let queue = Arc::new(BatchQueue::new(schema(), 1, 1 << 20));
    let mut cut = reader(&queue);
    queue.put(batch(0..1)).unwrap();
    queue.close();
    assert!(cut.next().unwrap().is_err());

    let queue = Arc::new(BatchQueue::new(schema(), 1, 1 << 20));
    queue.put(batch(0..1)).unwrap();
    queue.finish(None);
    let mut whole = reader(&queue);
    assert!(whole.next().unwrap().is_ok());
    queue.close();
    assert!(whole.next().is_none());
}

#[test]
fn who_waits_may_give_up() {
    let queue = Arc::new(BatchQueue::new(schema(), 1, 1));
    let mut reader = QueueReader::new(queue.clone(), Box::new(|_| Err("interrupted".to_owned())));

    assert!(reader.next().unwrap().unwrap_err().to_string().contains("interrupted"));
    assert!(!queue.put(batch(0..1)).unwrap());
}

#[test]
fn a_batch_of_other_types_is_refused_and_the_schema_is_the_queues() {
    let queue = Arc::new(BatchQueue::new(schema(), 1, 1));

    assert!(queue.put(of(Arc::new(Int32Array::from(vec![1])))).is_err());
    assert!(queue.put(RecordBatch::new_empty(Arc::new(arrow_schema::Schema::empty()))).is_err());
    assert_eq!(reader(&queue).schema(), schema());
}

#[test]
fn a_slice_stands_for_its_own_bytes() {
    let mut lists = ListBuilder::new(Int64Builder::new());
    (0..100).for_each(|i| lists.append_value([Some(i), None]));
    let columns: [(ArrayRef, usize); 4] = [
        (Arc::new(Int64Array::from_iter_values(0..100)), 10 * 8),
        (Arc::new(StringArray::from(vec!["four"; 100])), 11 * 4 + 10 * 4),
        (Arc::new(StringViewArray::from(vec!["far more than twelve bytes"; 100])), 10 * 16 + 10 * 26),
        (Arc::new(lists.finish()), 11 * 4 + 20 * 8 + 3),
    ];
    for (column, bytes) in columns {
        assert_eq!(slice_bytes(&of(column.slice(50, 10))), bytes, "{}", column.data_type());
    }
}

#[test]
fn a_small_part_of_large_buffers_is_copied_out_of_them() {
    let long = "far more than twelve bytes";
    let columns: [ArrayRef; 3] = [
        Arc::new(Int64Array::from_iter_values(0..1_000_000)),
        Arc::new(StringArray::from(vec![long; 100_000])),
        Arc::new(StringViewArray::from(vec![long; 100_000])),
    ];
    for column in columns {
        let end = column.len();
        let (few, many) = (of(column.slice(end - 10, 10)), of(column.slice(end / 2, end / 2)));

        let copied = without_large_parents(few.clone());
        assert_eq!(copied, few);
        assert!(copied.get_array_memory_size() < 4096, "{}", column.data_type());
        let kept = without_large_parents(many.clone());
        assert_eq!(kept.get_array_memory_size(), many.get_array_memory_size());
    }
}

#[test]
fn order_is_kept() {
    let queue = Arc::new(BatchQueue::new(schema(), 1, 1 << 20));
    (0..5).for_each(|i| assert!(queue.put(batch(i..i + 1)).unwrap()));
    queue.finish(None);

    assert_eq!(values(reader(&queue)), [0, 1, 2, 3, 4]);
}
