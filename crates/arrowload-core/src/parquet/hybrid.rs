//! Parquet's hybrid of runs and packed bits, in which dictionary indices and definition levels are written.
//!
//! Source: <https://parquet.apache.org/docs/file-format/data-pages/encodings/#RLE>.

use crate::parquet::thrift::put_varint;

/// Packed values come in groups of so many.
const GROUP: usize = 8;
/// A run of whole groups is written as one where its values would else take so many bits.
const RUN_BITS: usize = 64;

/// The bits that every index of a dictionary of `length` values fits.
pub(super) fn bit_width(length: usize) -> u8 {
    let greatest = length.saturating_sub(1);
    u8::try_from(usize::BITS - greatest.leading_zeros()).expect("a word has fewer than 256 bits")
}

/// Append one run of `count` times `value`.
pub(super) fn put_run(out: &mut Vec<u8>, width: u8, value: u32, count: usize) {
    put_varint(out, (count as u64) << 1);
    out.extend_from_slice(&value.to_le_bytes()[..usize::from(width.div_ceil(8))]);
}

/// Append what says that `count` values follow, packed.
pub(super) fn put_packed_header(out: &mut Vec<u8>, count: usize) {
    put_varint(out, (count.div_ceil(GROUP) as u64) << 1 | 1);
}

/// Append `values`, each of at most `width` bits.
pub(super) fn put_hybrid(out: &mut Vec<u8>, width: u8, values: &[u32]) {
    if width == 0 {
        put_run(out, width, 0, values.len());
        return;
    }
    let enough = (RUN_BITS / usize::from(width)).div_ceil(GROUP).max(1);
    let (groups, _) = values.as_chunks::<GROUP>();
    let (mut packed, mut at) = (0, 0);
    while at < groups.len() {
        let Some(value) = constant(&groups[at]) else {
            at += 1;
            continue;
        };
        let run = groups[at..].iter().take_while(|group| constant(group) == Some(value)).count();
        if run >= enough {
            put_packed(out, width, &values[packed * GROUP..at * GROUP]);
            put_run(out, width, value, run * GROUP);
            packed = at + run;
        }
        at += run;
    }
    put_packed(out, width, &values[packed * GROUP..]);
}

/// The one value that a group has.
fn constant(group: &[u32; GROUP]) -> Option<u32> {
    let differences = group.iter().fold(0, |found, value| found | (value ^ group[0]));
    (differences == 0).then_some(group[0])
}

fn put_packed(out: &mut Vec<u8>, width: u8, values: &[u32]) {
    if values.is_empty() {
        return;
    }
    put_packed_header(out, values.len());
    let end = out.len() + values.len().div_ceil(GROUP) * usize::from(width);
    let (mut bits, mut held) = (0u64, 0);
    for value in values {
        bits |= u64::from(*value) << held;
        held += u32::from(width);
        if held >= u32::BITS {
            out.extend_from_slice(&bits.to_le_bytes()[..4]);
            bits >>= u32::BITS;
            held -= u32::BITS;
        }
    }
    out.extend_from_slice(&bits.to_le_bytes()[..held.div_ceil(8) as usize]);
    out.resize(end, 0);
}
