//! Whatever bytes come, the decoder ends, does not panic, and takes no more memory than a multiple of them.
//!
//! `cargo test` does this for a few seconds, `make fuzz` for as long as one likes.

mod copy;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrow_array::Array;
use arrowload_core::OnSpecial;
use arrowload_core::pg_copy::{CopyColumn, DecodeOptions, Decoder};

use copy::{Golden, column, goldens, messages, row};

/// A NULL of four bytes becomes a decimal256 of 32, and a growing vector is there twice.
const BYTES_PER_BYTE: usize = 64;
/// Places of a run, for each column.
const BYTES_AT_REST: usize = 64 * 1024;

/// Counts what is allocated.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is handed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller's contract is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's contract is the same.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn decode_all(columns: Vec<CopyColumn>, special: OnSpecial, stream: &[u8]) {
    let room = columns.len() * BYTES_AT_REST + stream.len() * BYTES_PER_BYTE;
    let before = NOW.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let options = DecodeOptions { special, infinity: special };
    let mut decoder = Decoder::try_new(columns, options).unwrap();
    if decoder.push(stream).is_ok() {
        let batch = decoder.take().unwrap();
        for array in batch.columns() {
            array.to_data().validate_full().unwrap();
        }
    }
    let taken = PEAK.load(Ordering::Relaxed) - before;
    assert!(taken <= room, "{taken} bytes for {} of input", stream.len());
}

/// A stream that a server could have sent, of two columns, with some bytes changed.
fn mutated(goldens: &[Golden], bytes: &[u8]) -> Option<(Vec<CopyColumn>, Vec<u8>)> {
    let (&[one, two, rows], changes) = bytes.split_first_chunk()?;
    let (one, two) = (&goldens[usize::from(one) % goldens.len()], &goldens[usize::from(two) % goldens.len()]);
    let whole = row(&[Some(&one.field), Some(&two.field)]);
    let mut stream = messages(&[vec![whole; usize::from(rows % 4)], vec![row(&[None, Some(&two.field)])]].concat());
    for change in changes.chunks_exact(3) {
        let place = usize::from(u16::from_be_bytes([change[0], change[1]])) % stream.len();
        stream[place] = change[2];
    }
    Some((vec![column("a", &one.sql), column("b", &two.sql)], stream))
}

// One test, since the allocator counts for all threads.
#[test]
fn any_bytes() {
    let goldens = goldens();
    bolero::check!().with_test_time(Duration::from_secs(5)).for_each(|bytes: &[u8]| {
        let special = if bytes.len().is_multiple_of(2) { OnSpecial::Null } else { OnSpecial::Error };
        if let Some((columns, stream)) = mutated(&goldens, bytes) {
            decode_all(columns, special, &stream);
        }
        decode_all(vec![column("a", "numeric(76,20)"), column("b", "text[]")], special, bytes);
    });
}
