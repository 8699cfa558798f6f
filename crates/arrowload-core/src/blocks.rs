//! The canonical bytes of rows: a block of rows at a time, one column after the other.

use arrow_array::RecordBatch;

use crate::column::{Column, SLACK};
use crate::error::{KernelError, KernelResult};
use crate::row_bytes::column;

/// Rows of a block: enough that a column's loop pays, few enough that their bytes stay in the cache.
const BLOCK_ROWS: usize = 256;
/// Bytes of a block, unless a single row is larger.
pub(crate) const BLOCK_BYTES: usize = 1 << 18;

/// Encodes the rows of a batch.
pub(crate) struct RowEncoder<'a> {
    columns: Vec<Box<dyn Column + 'a>>,
    /// Bytes that every row needs, whatever is measured.
    fixed_bytes: usize,
    rows: usize,
}

impl<'a> RowEncoder<'a> {
    pub(crate) fn try_new(batch: &'a RecordBatch) -> KernelResult<Self> {
        let fields = batch.schema_ref().fields();
        let columns = fields.iter().zip(batch.columns()).map(|(field, array)| {
            column(array).ok_or_else(|| KernelError::UnsupportedColumn {
                column: field.name().clone(),
                data_type: array.data_type().clone(),
            })
        });
        let columns = columns.collect::<KernelResult<Vec<_>>>()?;
        let fixed_bytes = columns.iter().map(|column| column.fixed_bytes()).sum::<usize>() + SLACK;
        Ok(Self { columns, fixed_bytes, rows: batch.num_rows() })
    }

    /// Give `visit` the bytes of each row, in order.
    pub(crate) fn for_each(mut self, mut visit: impl FnMut(&[u8])) {
        let mut block = Block::default();
        let (mut first, mut wanted) = (0, BLOCK_ROWS);
        while first < self.rows {
            let fitted = self.encode(&mut block, first, wanted.min(self.rows - first));
            block.rows().for_each(&mut visit);
            first += fitted;
            // Large rows are measured in vain no more often than they are written.
            wanted = (2 * fitted).min(BLOCK_ROWS);
        }
    }

    /// Encode up to `wanted` rows, but one at least; returns how many.
    fn encode(&mut self, block: &mut Block, first: usize, wanted: usize) -> usize {
        block.sizes.clear();
        block.sizes.resize(wanted, self.fixed_bytes);
        let mut rows = wanted;
        for column in &mut self.columns {
            rows = column.measure(first..first + rows, &mut block.sizes[..rows]);
        }
        let rows = block.lay_out(rows);
        for column in &self.columns {
            column.write(first..first + rows, &mut block.ends, &mut block.bytes);
        }
        rows
    }
}

/// The bytes of some rows; row n has those from `starts[n]` to `ends[n]`.
#[derive(Default)]
struct Block {
    sizes: Vec<usize>,
    starts: Vec<usize>,
    ends: Vec<usize>,
    bytes: Vec<u8>,
}

impl Block {
    /// Make room for the rows that fit, of the first `rows` that were measured; returns how many.
    fn lay_out(&mut self, rows: usize) -> usize {
        self.starts.clear();
        let mut total = 0;
        for size in &self.sizes[..rows] {
            if total > 0 && total + size > BLOCK_BYTES {
                break;
            }
            self.starts.push(total);
            total += size;
        }
        self.ends.clone_from(&self.starts);
        if self.bytes.len() < total {
            self.bytes.resize(total, 0);
        }
        self.starts.len()
    }

    fn rows(&self) -> impl Iterator<Item = &[u8]> {
        self.starts.iter().zip(&self.ends).map(|(start, end)| &self.bytes[*start..*end])
    }
}
