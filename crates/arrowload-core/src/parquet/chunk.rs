//! One column of a row group: its pages, and what the footer and the page index say of them.

use std::cmp::Ordering;

use arrow_buffer::BooleanBufferBuilder;

use crate::error::{KernelError, KernelResult};
use crate::parquet::codec::Codec;
use crate::parquet::footer::Leaf;
use crate::parquet::hybrid::{bit_width, put_hybrid, put_packed_header, put_run};
use crate::parquet::physical::Order;
use crate::parquet::rules::Column;
use crate::parquet::thrift::Writer;
use crate::parquet::values::{Bounds, Cursor, Values};

/// Numbers of parquet.thrift.
pub(super) const PLAIN: i32 = 0;
pub(super) const RLE: i32 = 3;
pub(super) const RLE_DICTIONARY: i32 = 8;
/// The length of a page with its header has 31 bits, and a header some ten bytes.
const MAX_PAGE_BYTES: usize = (1 << 31) - (1 << 10);
const DATA_PAGE: i32 = 0;
const DICTIONARY_PAGE: i32 = 2;
const UNORDERED: i32 = 0;
const ASCENDING: i32 = 1;
const DESCENDING: i32 = 2;

/// What encoding needs room for, from chunk to chunk.
pub(super) struct Scratch {
    pub(super) codec: Codec,
    /// The data pages of a column with a dictionary, until the dictionary's page is written before them.
    pages: Vec<u8>,
    /// A page before it is compressed.
    body: Vec<u8>,
}

impl Scratch {
    pub(super) fn new(codec: Codec) -> Self {
        Self { codec, pages: Vec::new(), body: Vec::new() }
    }

    /// Give back memory that only unusually large values needed.
    pub(super) fn trim(&mut self, kept_bytes: usize) {
        self.codec.trim(kept_bytes);
        for buffer in [&mut self.pages, &mut self.body] {
            buffer.clear();
            buffer.shrink_to(kept_bytes);
        }
    }
}

/// A column chunk that is encoded.
pub(super) struct Chunk {
    pub(super) bytes: usize,
    /// How much of it is the dictionary's page, which comes first.
    pub(super) dictionary_bytes: usize,
    /// How much it would be without a codec, headers included.
    pub(super) uncompressed_bytes: usize,
    pub(super) rows: usize,
    pub(super) nulls: usize,
    pub(super) bounds: Option<Bounds>,
    pages: Vec<Page>,
}

/// A data page.
struct Page {
    /// Its first byte, from the end of the dictionary's page.
    start: usize,
    bytes: usize,
    first_row: usize,
    values: usize,
    nulls: usize,
    encoding: i32,
    bounds: Option<Bounds>,
}

impl Chunk {
    /// Append `values`, which are those of `column`, to `out`.
    pub(super) fn encode(
        column: Column<'_>,
        values: &mut dyn Values,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> KernelResult<Self> {
        let Scratch { codec, pages: data, body } = scratch;
        let leaf = &column.rule.leaf;
        data.clear();
        let start = out.len();
        let bytes = if values.has_dictionary() { &mut *data } else { &mut *out };
        let base = bytes.len();
        let mut sink = Sink { leaf, codec, bytes, uncompressed_bytes: 0 };
        let mut levels = leaf.is_nullable.then(|| Cursor::new(column.arrays));
        let (mut pages, mut first_row) = (Vec::new(), 0);
        loop {
            let rows = values.next_page()?;
            if rows == 0 {
                break;
            }
            body.clear();
            if let Some(cursor) = &mut levels {
                put_levels(body, cursor, rows, values.count());
            }
            let encoding = put_values(body, values);
            let start = sink.bytes.len() - base;
            sink.put(body, DATA_PAGE, |header| {
                header.structure(5, |page| {
                    page.small_size(1, rows);
                    page.i32(2, encoding);
                    page.i32(3, RLE);
                    page.i32(4, RLE);
                });
            })?;
            let bytes = sink.bytes.len() - base - start;
            let (present, bounds) = (values.count(), values.bounds());
            let nulls = rows - present;
            pages.push(Page { start, bytes, first_row, values: present, nulls, encoding, bounds });
            first_row += rows;
        }
        let mut uncompressed_bytes = sink.uncompressed_bytes;
        let mut dictionary_bytes = 0;
        if pages.iter().any(|page| page.encoding == RLE_DICTIONARY) {
            body.clear();
            let length = values.put_dictionary(body);
            let mut sink = Sink { leaf, codec, bytes: out, uncompressed_bytes };
            sink.put(body, DICTIONARY_PAGE, |header| {
                header.structure(7, |page| {
                    page.small_size(1, length);
                    page.i32(2, PLAIN);
                });
            })?;
            uncompressed_bytes = sink.uncompressed_bytes;
            dictionary_bytes = out.len() - start;
        }
        out.extend_from_slice(data);
        Ok(Self {
            bytes: out.len() - start,
            dictionary_bytes,
            uncompressed_bytes,
            rows: first_row,
            nulls: pages.iter().map(|page| page.nulls).sum(),
            bounds: bounds_of_all(&pages, column.rule.order),
            pages,
        })
    }

    /// Kind of page, encoding, and how many there are.
    pub(super) fn encodings(&self) -> Vec<(i32, i32, usize)> {
        let data = [PLAIN, RLE_DICTIONARY].map(|encoding| {
            let pages = self.pages.iter().filter(|page| page.encoding == encoding).count();
            (DATA_PAGE, encoding, pages)
        });
        let dictionary = (DICTIONARY_PAGE, PLAIN, usize::from(self.dictionary_bytes > 0));
        std::iter::once(dictionary).chain(data).filter(|(_, _, pages)| *pages > 0).collect()
    }

    /// The `OffsetIndex` of a chunk that begins at `offset` of the file.
    pub(super) fn offset_index(&self, offset: usize) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.root(|index| {
            index.structures(1, self.pages.iter(), |location, page| {
                location.size(1, offset + self.dictionary_bytes + page.start);
                location.small_size(2, page.bytes);
                location.size(3, page.first_row);
            });
        });
        writer.into_bytes()
    }

    /// The `ColumnIndex`; None when the bounds of a page are not known, as then there can be none.
    pub(super) fn column_index(&self, order: Order) -> Option<Vec<u8>> {
        if self.pages.iter().any(|page| page.values > 0 && page.bounds.is_none()) {
            return None;
        }
        let bound =
            |side: fn(&Bounds) -> &[u8]| self.pages.iter().map(move |page| page.bounds.as_ref().map_or(&[][..], side));
        let mut writer = Writer::default();
        writer.root(|index| {
            index.bools(1, self.pages.iter().map(|page| page.values == 0));
            index.binaries(2, bound(|bounds| &bounds.0));
            index.binaries(3, bound(|bounds| &bounds.1));
            index.i32(4, self.boundary_order(order));
            index.sizes(5, self.pages.iter().map(|page| page.nulls));
        });
        Some(writer.into_bytes())
    }

    fn boundary_order(&self, order: Order) -> i32 {
        let bounds: Vec<_> = self.pages.iter().filter_map(|page| page.bounds.as_ref()).collect();
        let all = |wrong: Ordering| {
            bounds.windows(2).all(|pair| {
                order.compare(&pair[0].0, &pair[1].0) != wrong && order.compare(&pair[0].1, &pair[1].1) != wrong
            })
        };
        if all(Ordering::Greater) {
            ASCENDING
        } else if all(Ordering::Less) {
            DESCENDING
        } else {
            UNORDERED
        }
    }
}

/// None when the bounds of no page are known, or those of a page whose values can have some are not.
fn bounds_of_all(pages: &[Page], order: Order) -> Option<Bounds> {
    let is_float = matches!(order, Order::Float32 | Order::Float64);
    if !is_float && pages.iter().any(|page| page.values > 0 && page.bounds.is_none()) {
        return None;
    }
    let all = pages.iter().filter_map(|page| page.bounds.as_ref());
    let found = all.fold(None, |found: Option<(&[u8], &[u8])>, (least, greatest)| match found {
        None => Some((least, greatest)),
        Some((lowest, highest)) => Some((
            if order.compare(least, lowest).is_lt() { least } else { lowest },
            if order.compare(greatest, highest).is_gt() { greatest } else { highest },
        )),
    });
    found.map(|(least, greatest)| (least.to_vec(), greatest.to_vec()))
}

/// Append which of the next `rows` are not NULL, `present` of them.
fn put_levels(body: &mut Vec<u8>, cursor: &mut Cursor<'_>, rows: usize, present: usize) {
    let start = body.len();
    body.extend_from_slice(&[0; size_of::<u32>()]);
    let mut bits = (present != 0 && present != rows).then(|| BooleanBufferBuilder::new(rows));
    let mut left = rows;
    while left > 0 {
        let (array, range) = cursor.peek(left).expect("there are as many levels as values");
        if let Some(bits) = &mut bits {
            match cursor.nulls(array) {
                Some(nulls) => bits.append_buffer(nulls.slice(range.start, range.len()).inner()),
                None => bits.append_n(range.len(), true),
            }
        }
        cursor.advance(range.len());
        left -= range.len();
    }
    match bits {
        None => put_run(body, 1, u32::from(present > 0), rows),
        Some(bits) => {
            put_packed_header(body, rows);
            body.extend_from_slice(bits.as_slice());
        }
    }
    let length = u32::try_from(body.len() - start - size_of::<u32>()).expect("a page has fewer than 2^31 rows");
    body[start..start + size_of::<u32>()].copy_from_slice(&length.to_le_bytes());
}

/// Append the values of a page; returns how they are encoded.
fn put_values(body: &mut Vec<u8>, values: &mut dyn Values) -> i32 {
    if let Some((indices, length)) = values.indices() {
        let width = bit_width(length);
        body.push(width);
        put_hybrid(body, width, indices);
        return RLE_DICTIONARY;
    }
    values.put_plain(body);
    PLAIN
}

/// Where pages go.
struct Sink<'a> {
    leaf: &'a Leaf,
    codec: &'a mut Codec,
    bytes: &'a mut Vec<u8>,
    uncompressed_bytes: usize,
}

impl Sink<'_> {
    fn put(&mut self, body: &[u8], kind: i32, rest: impl FnOnce(&mut Writer)) -> KernelResult<()> {
        let compressed = self.codec.compress(body)?;
        if body.len().max(compressed.len()) > MAX_PAGE_BYTES {
            return Err(KernelError::PageTooLarge { column: self.leaf.name_text(), bytes: body.len() });
        }
        let mut writer = Writer::default();
        writer.root(|header| {
            header.i32(1, kind);
            header.small_size(2, body.len());
            header.small_size(3, compressed.len());
            header.i32(4, crc32fast::hash(compressed).cast_signed());
            rest(header);
        });
        let header = writer.into_bytes();
        self.uncompressed_bytes += header.len() + body.len();
        self.bytes.extend_from_slice(&header);
        self.bytes.extend_from_slice(compressed);
        Ok(())
    }
}
