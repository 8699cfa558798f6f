//! How values lie on the wire.

use std::fmt;

use arrow_schema::FieldRef;

use crate::error::KernelError;

/// What a COPY stream in binary begins with.
pub(super) const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
/// The server counts days and microseconds from 2000-01-01, Arrow from 1970-01-01.
pub(super) const EPOCH_DAYS: i32 = 10_957;
/// The same in microseconds.
pub(super) const EPOCH_MICROSECONDS: i64 = 946_684_800_000_000;
/// A day, which a time of day may reach and Arrow's may not.
pub(super) const MICROSECONDS_PER_DAY: i64 = 86_400_000_000;
/// The server's `MAXDIM`.
pub(super) const MAX_DIMENSIONS: usize = 6;
/// The version of `jsonb` on the wire.
pub(super) const JSONB_VERSION: u8 = 1;

/// How a value lies on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WireType {
    /// `bool`
    Bool,
    /// `int2`
    Int2,
    /// `int4`
    Int4,
    /// `int8`
    Int8,
    /// `oid`, unsigned
    Oid,
    /// `float4`
    Float4,
    /// `float8`
    Float8,
    /// `numeric`, with or without modifier; written with as many decimals as its Arrow type has
    Numeric,
    /// `numeric` without modifier, which keeps as many decimals as it is sent: written with those that a value needs
    FreeNumeric,
    /// `text` and all that is sent as text: `varchar`, `bpchar`, `name`, enums; in UTF-8, the client's encoding
    Text,
    /// `"char"`, one byte: its text is empty for 0, and `\\ooo` from 128 on
    Char,
    /// `bytea`
    Bytea,
    /// `date`
    Date,
    /// `time`
    Time,
    /// `timestamp`
    Timestamp,
    /// `timestamptz`
    Timestamptz,
    /// `interval`
    Interval,
    /// `uuid`
    Uuid,
    /// `json`
    Json,
    /// `jsonb`
    Jsonb,
    /// An array; its number of dimensions is the depth of the Arrow list type.
    Array {
        /// How its elements lie on the wire; never an array.
        element: Box<WireType>,
        /// `pg_type.oid` of the elements: the stream names it in each value, and a server refuses another.
        element_oid: u32,
    },
}

impl WireType {
    /// The type that [`fmt::Display`] writes so: `int4`, `numeric[]`, `"char"`; None for any other name.
    ///
    /// `element_oid` is that of the elements, and has no meaning for a type that is no array.
    #[must_use]
    pub fn from_name(name: &str, element_oid: u32) -> Option<Self> {
        if let Some(element) = name.strip_suffix("[]") {
            let element = Self::from_name(element, 0).filter(|element| !matches!(element, Self::Array { .. }))?;
            return Some(Self::Array { element: Box::new(element), element_oid });
        }
        Some(match name {
            "bool" => Self::Bool,
            "int2" => Self::Int2,
            "int4" => Self::Int4,
            "int8" => Self::Int8,
            "oid" => Self::Oid,
            "float4" => Self::Float4,
            "float8" => Self::Float8,
            "numeric" => Self::Numeric,
            "numeric without modifier" => Self::FreeNumeric,
            "text" => Self::Text,
            "\"char\"" => Self::Char,
            "bytea" => Self::Bytea,
            "date" => Self::Date,
            "time" => Self::Time,
            "timestamp" => Self::Timestamp,
            "timestamptz" => Self::Timestamptz,
            "interval" => Self::Interval,
            "uuid" => Self::Uuid,
            "json" => Self::Json,
            "jsonb" => Self::Jsonb,
            _ => return None,
        })
    }
}

impl fmt::Display for WireType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Bool => "bool",
            Self::Int2 => "int2",
            Self::Int4 => "int4",
            Self::Int8 => "int8",
            Self::Oid => "oid",
            Self::Float4 => "float4",
            Self::Float8 => "float8",
            Self::Numeric => "numeric",
            Self::FreeNumeric => "numeric without modifier",
            Self::Text => "text",
            Self::Char => "\"char\"",
            Self::Bytea => "bytea",
            Self::Date => "date",
            Self::Time => "time",
            Self::Timestamp => "timestamp",
            Self::Timestamptz => "timestamptz",
            Self::Interval => "interval",
            Self::Uuid => "uuid",
            Self::Json => "json",
            Self::Jsonb => "jsonb",
            Self::Array { element, .. } => return write!(f, "{element}[]"),
        };
        f.write_str(name)
    }
}

/// A column of the stream.
#[derive(Clone, Debug)]
pub struct CopyColumn {
    /// Its name, for errors.
    pub name: String,
    /// How its values lie on the wire.
    pub wire: WireType,
    /// The Arrow field, with the metadata of its extension type.
    pub field: FieldRef,
}

impl CopyColumn {
    /// The error for a pair of types that is not the same set of values.
    pub(super) fn unsupported(&self) -> KernelError {
        KernelError::CopyPair {
            column: self.name.clone(),
            wire: self.wire.to_string(),
            data_type: self.field.data_type().clone(),
        }
    }
}
