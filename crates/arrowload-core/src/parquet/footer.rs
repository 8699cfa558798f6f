//! The footer: what an empty file of the same schema says, with row groups put into it.

use crate::parquet::thrift::{Field, Writer, fields};

const MAGIC: &[u8] = b"PAR1";
/// Fields of `FileMetaData` that differ from those of an empty file.
const NUM_ROWS: i16 = 3;
const ROW_GROUPS: i16 = 4;
const CREATED_BY: i16 = 6;
const SCHEMA: i16 = 2;
/// Fields of `LogicalType` whose values are ordered as `Order` says: string, decimal, date, time, timestamp, integer, json,
/// uuid. Of geometries there is no order.
const ORDERED: [i16; 8] = [1, 5, 6, 7, 8, 10, 12, 14];
const OURS: &str = concat!("arrowload version ", env!("CARGO_PKG_VERSION"));

/// A column as the schema in a footer has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leaf {
    pub(super) name: Vec<u8>,
    /// `Type` of parquet.thrift.
    pub(super) physical: i64,
    pub(super) length: Option<i64>,
    pub(super) is_nullable: bool,
}

impl Leaf {
    /// Its name, for people.
    pub(super) fn name_text(&self) -> String {
        String::from_utf8_lossy(&self.name).into_owned()
    }
}

/// The columns of an empty file; None when it is none, or has columns within columns.
pub(super) fn leaves(empty: &[u8]) -> Option<Vec<Leaf>> {
    let elements = file_metadata(empty)?.iter().find(|field| field.id == SCHEMA)?.structures()?;
    let (_root, columns) = elements.split_first()?;
    columns.iter().map(|column| leaf(column)).collect()
}

fn leaf(fields: &[Field<'_>]) -> Option<Leaf> {
    let field = |id| fields.iter().find(|field| field.id == id);
    if let Some(logical) = field(10)
        && !logical.structure()?.iter().all(|variant| ORDERED.contains(&variant.id))
    {
        return None;
    }
    Some(Leaf {
        physical: field(1)?.number()?,
        length: field(2).and_then(Field::number),
        is_nullable: match field(3)?.number()? {
            0 => false,
            1 => true,
            _ => return None,
        },
        name: field(4)?.binary()?.to_vec(),
    })
}

fn file_metadata(file: &[u8]) -> Option<Vec<Field<'_>>> {
    let (rest, length) = file.strip_suffix(MAGIC)?.split_last_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    fields(&rest[rest.len().checked_sub(length)?..])
}

/// The end of a file that has row groups, which `row_groups` writes, and is else like `empty`.
pub(super) fn file_end(empty: &[u8], rows: usize, row_groups: impl FnOnce(&mut Writer, i16)) -> Vec<u8> {
    let found = file_metadata(empty).expect("the columns were read from it");
    let mut row_groups = Some(row_groups);
    let mut writer = Writer::default();
    writer.root(|file| {
        for field in &found {
            match field.id {
                NUM_ROWS => file.size(NUM_ROWS, rows),
                ROW_GROUPS => row_groups.take().into_iter().for_each(|row_groups| row_groups(file, ROW_GROUPS)),
                CREATED_BY => file.binary(CREATED_BY, OURS.as_bytes()),
                id => file.raw(id, field.kind, field.value),
            }
        }
    });
    let mut end = writer.into_bytes();
    let length = u32::try_from(end.len()).expect("a footer has less than 4 GiB");
    end.extend_from_slice(&length.to_le_bytes());
    end.extend_from_slice(MAGIC);
    end
}
