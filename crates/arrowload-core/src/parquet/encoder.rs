//! Row groups, one after the other, and the footer.

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::Schema;

use crate::error::{KernelError, KernelResult};
use crate::parquet::chunk::{Chunk, RLE, Scratch};
use crate::parquet::codec::Codec;
use crate::parquet::footer::{file_end, leaves};
use crate::parquet::rules::{Column, ColumnRule, order, with_values};
use crate::parquet::thrift::Writer;

const MAGIC: &[u8] = b"PAR1";
/// What buffers keep from column to column: more than most columns of a row group need.
const KEPT_BYTES: usize = 4 << 20;

/// What pages are compressed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Nothing.
    Uncompressed,
    /// Zstandard.
    Zstd,
}

/// Encodes a file.
pub struct ParquetEncoder {
    columns: Vec<ColumnRule>,
    scratch: Scratch,
    /// The column encoded last.
    out: Vec<u8>,
    /// A file of the same schema without rows.
    empty: Vec<u8>,
    /// Bytes of the file that were handed out.
    offset: usize,
    groups: Vec<Group>,
}

/// What the footer says of a row group.
struct Group {
    offset: usize,
    rows: usize,
    bytes: usize,
    uncompressed_bytes: usize,
    columns: Vec<ChunkFacts>,
}

/// What the footer says of a column chunk, and its part of the page index.
struct ChunkFacts {
    metadata: Vec<u8>,
    column_index: Option<Index>,
    offset_index: Index,
}

/// A part of the page index, which lies before the footer.
struct Index {
    bytes: Vec<u8>,
    /// Where in the file, once that is known.
    offset: usize,
}

impl ParquetEncoder {
    /// Begin a file of columns of `schema`; None when one of them, or what `empty` says of it, is unknown here.
    ///
    /// `empty` is a whole file of that schema without row groups; `dictionaries` says of each column whether its values
    /// are worth a dictionary.
    ///
    /// # Errors
    ///
    /// [`KernelError::Arrow`] when there is no memory for the codec.
    ///
    /// # Panics
    ///
    /// Unless there are as many `dictionaries` as columns.
    pub fn try_new(
        schema: &Schema,
        empty: Vec<u8>,
        dictionaries: &[bool],
        compression: Compression,
    ) -> KernelResult<Option<Self>> {
        assert_eq!(schema.fields().len(), dictionaries.len(), "each column has a dictionary or none");
        let Some(leaves) = leaves(&empty).filter(|leaves| leaves.len() == schema.fields().len()) else {
            return Ok(None);
        };
        let columns = schema.fields().iter().zip(leaves).zip(dictionaries).map(|((field, leaf), has_dictionary)| {
            let is_it = field.name().as_bytes() == leaf.name && field.is_nullable() == leaf.is_nullable;
            let order = order(field.data_type(), &leaf).filter(|_| is_it)?;
            Some(ColumnRule { data_type: field.data_type().clone(), leaf, order, has_dictionary: *has_dictionary })
        });
        let Some(columns) = columns.collect() else { return Ok(None) };
        let codec = match compression {
            Compression::Uncompressed => Codec::Uncompressed,
            Compression::Zstd => Codec::zstd()?,
        };
        let scratch = Scratch::new(codec);
        Ok(Some(Self { columns, scratch, out: Vec::new(), empty, offset: 0, groups: Vec::new() }))
    }

    /// Begin a row group of `batches`, which have the columns of the file.
    ///
    /// # Errors
    ///
    /// [`KernelError::OtherType`] for a column of another type than the file has.
    ///
    /// # Panics
    ///
    /// When the batches have fewer columns than the file.
    pub fn start_group<'a>(&'a mut self, batches: &'a [RecordBatch]) -> KernelResult<RowGroup<'a>> {
        for batch in batches {
            for (rule, array) in self.columns.iter().zip(batch.columns()) {
                if *array.data_type() != rule.data_type {
                    let (data_type, expected) = (array.data_type().clone(), rule.data_type.clone());
                    return Err(KernelError::OtherType { column: rule.leaf.name_text(), data_type, expected });
                }
            }
        }
        let rows = batches.iter().map(RecordBatch::num_rows).sum();
        let offset = self.offset.max(MAGIC.len());
        let columns = Vec::with_capacity(self.columns.len());
        let group = Group { offset, rows, bytes: 0, uncompressed_bytes: 0, columns };
        Ok(RowGroup { encoder: self, batches, group })
    }

    /// End the file; returns its last bytes.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        let mut out = if self.offset == 0 { MAGIC.to_vec() } else { Vec::new() };
        for chunk in self.groups.iter_mut().flat_map(|group| &mut group.columns) {
            if let Some(index) = &mut chunk.column_index {
                index.put(&mut out, self.offset);
            }
        }
        for chunk in self.groups.iter_mut().flat_map(|group| &mut group.columns) {
            chunk.offset_index.put(&mut out, self.offset);
        }
        let rows = self.groups.iter().map(|group| group.rows).sum();
        let end = file_end(&self.empty, rows, |file, id| {
            file.structures(id, self.groups.iter().enumerate(), |writer, (ordinal, group)| {
                writer.structures(1, group.columns.iter(), put_chunk);
                writer.size(2, group.uncompressed_bytes);
                writer.size(3, group.rows);
                writer.size(5, group.offset);
                writer.size(6, group.bytes);
                // It may be left out, and has no more bits.
                if let Ok(ordinal) = i16::try_from(ordinal) {
                    writer.i16(7, ordinal);
                }
            });
        });
        out.extend_from_slice(&end);
        out
    }
}

/// A row group in the making: its columns are encoded one after the other.
pub struct RowGroup<'a> {
    encoder: &'a mut ParquetEncoder,
    batches: &'a [RecordBatch],
    group: Group,
}

impl RowGroup<'_> {
    /// Encode the next column; returns the bytes that follow in the file, None when all are encoded.
    ///
    /// # Errors
    ///
    /// [`KernelError::DecimalTooLarge`] for a decimal that what its type is kept in has no room for;
    /// [`KernelError::PageTooLarge`] for a value of about 2 GiB; [`KernelError::NullInRequired`].
    pub fn next_column(&mut self) -> KernelResult<Option<&[u8]>> {
        let position = self.group.columns.len();
        let Self { encoder, batches, group } = self;
        let Some(rule) = encoder.columns.get(position) else { return Ok(None) };
        encoder.out.clear();
        encoder.out.shrink_to(KEPT_BYTES);
        encoder.scratch.trim(KEPT_BYTES);
        let arrays: Vec<ArrayRef> = batches.iter().map(|batch| batch.column(position).clone()).collect();
        if encoder.offset == 0 {
            encoder.out.extend_from_slice(MAGIC);
            encoder.offset = MAGIC.len();
        }
        let chunk = rule.encode(&arrays, &mut encoder.scratch, &mut encoder.out)?;
        group.columns.push(rule.facts(&chunk, encoder.offset, encoder.scratch.codec.id()));
        encoder.offset += chunk.bytes;
        group.bytes += chunk.bytes;
        group.uncompressed_bytes += chunk.uncompressed_bytes;
        Ok(Some(&encoder.out))
    }

    /// End the row group, all columns of which were encoded.
    pub fn finish(self) {
        self.encoder.groups.push(self.group);
    }
}

impl Index {
    /// Append it to what follows `offset`.
    fn put(&mut self, out: &mut Vec<u8>, offset: usize) {
        self.offset = offset + out.len();
        out.extend_from_slice(&self.bytes);
    }
}

impl ColumnRule {
    fn encode(&self, arrays: &[ArrayRef], scratch: &mut Scratch, out: &mut Vec<u8>) -> KernelResult<Chunk> {
        if !self.leaf.is_nullable && arrays.iter().any(|array| array.null_count() > 0) {
            return Err(KernelError::NullInRequired { column: self.leaf.name_text() });
        }
        let column = Column { rule: self, arrays };
        with_values(column, |values| Chunk::encode(column, values, scratch, out))
    }

    /// What is said of a chunk that begins at `offset`.
    fn facts(&self, chunk: &Chunk, offset: usize, codec: i32) -> ChunkFacts {
        let encodings = chunk.encodings();
        let mut used: Vec<i32> = encodings.iter().map(|(_, encoding, _)| *encoding).collect();
        used.push(RLE);
        used.sort_unstable();
        used.dedup();
        let mut writer = Writer::default();
        writer.root(|metadata| {
            metadata.i32(1, i32::try_from(self.leaf.physical).expect("a type has a small number"));
            metadata.i32s(2, used.into_iter());
            metadata.binaries(3, std::iter::once(self.leaf.name.as_slice()));
            metadata.i32(4, codec);
            metadata.size(5, chunk.rows);
            metadata.size(6, chunk.uncompressed_bytes);
            metadata.size(7, chunk.bytes);
            metadata.size(9, offset + chunk.dictionary_bytes);
            if chunk.dictionary_bytes > 0 {
                metadata.size(11, offset);
            }
            metadata.structure(12, |statistics| {
                statistics.size(3, chunk.nulls);
                if let Some((least, greatest)) = &chunk.bounds {
                    statistics.binary(5, greatest);
                    statistics.binary(6, least);
                    statistics.bool(7, true);
                    statistics.bool(8, true);
                }
            });
            metadata.structures(13, encodings.into_iter(), |writer, (kind, encoding, pages)| {
                writer.i32(1, kind);
                writer.i32(2, encoding);
                writer.small_size(3, pages);
            });
        });
        ChunkFacts {
            metadata: writer.into_bytes(),
            column_index: chunk.column_index(self.order).map(|bytes| Index { bytes, offset: 0 }),
            offset_index: Index { bytes: chunk.offset_index(offset), offset: 0 },
        }
    }
}

fn put_chunk(writer: &mut Writer, chunk: &ChunkFacts) {
    writer.size(2, 0);
    writer.written(3, &chunk.metadata);
    writer.size(4, chunk.offset_index.offset);
    writer.small_size(5, chunk.offset_index.bytes.len());
    if let Some(index) = &chunk.column_index {
        writer.size(6, index.offset);
        writer.small_size(7, index.bytes.len());
    }
}
