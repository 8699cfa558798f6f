//! Postgres `COPY … (FORMAT binary)` to Arrow and back, exactly or not at all; bytes in, bytes out, no connection.
//!
//! [`Decoder`] takes the messages of `COPY … TO STDOUT` and makes record batches, [`Encoder`] makes the bytes of
//! `COPY … FROM STDIN`. Both are told how each column lies on the wire ([`WireType`]) and which Arrow type it has, and
//! refuse a pair that is not the same set of values. The layout is that of the server's manual (`COPY`, "Binary
//! Format") and of its `*send` and `*recv` functions.

mod array_sink;
mod array_source;
mod byte_sink;
mod byte_source;
mod char_sink;
mod decoder;
mod encoder;
mod fixed_sink;
mod fixed_source;
mod frame;
mod numeric_sink;
mod numeric_source;
mod numeric_value;
mod sink;
mod source;
mod wire;

pub use decoder::{DecodeOptions, Decoder};
pub use encoder::Encoder;
pub use wire::{CopyColumn, WireType};
