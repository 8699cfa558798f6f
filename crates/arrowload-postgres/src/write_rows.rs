//! Rows into a COPY: encoded in pieces that the server takes while the next one is made.

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use arrowload_core::pg_copy::Encoder;

use crate::connection::Connection;
use crate::copy_in::CopyIn;
use crate::read_ahead::CopyError;

/// Rows that are encoded at once; their columns are in the cache then.
const ROWS: usize = 1024;
/// Bytes that are sent at once: less than the system's socket buffers hold, so that the server is never waited for
/// while it has nothing to do.
const PIECE: usize = 256 * 1024;

/// Send `batches` through `sql`, a `COPY … FROM STDIN (FORMAT binary)`; the rows that the server counted.
///
/// # Errors
/// The server's, the stream's, or a value that the server would take for another; then nothing is stored, and the
/// connection can go on unless it was lost.
pub fn write_batches(
    connection: &mut Connection,
    sql: &str,
    encoder: &Encoder,
    batches: impl IntoIterator<Item = Result<RecordBatch, ArrowError>>,
) -> Result<u64, CopyError> {
    let mut copy = connection.copy_in(sql)?;
    let mut bytes = Vec::with_capacity(PIECE + PIECE / 2);
    let mut sent = 0;
    Encoder::header(&mut bytes);
    for batch in batches {
        let batch = batch?;
        for start in (0..batch.num_rows()).step_by(ROWS) {
            let rows = start..batch.num_rows().min(start + ROWS);
            encoder.encode(&batch, rows, &mut bytes).map_err(|error| error.after_rows(sent))?;
            send_from(&mut copy, &mut bytes, PIECE)?;
        }
        sent += batch.num_rows();
    }
    Encoder::trailer(&mut bytes);
    send_from(&mut copy, &mut bytes, 0)?;
    Ok(copy.finish()?)
}

/// Send rows that lie in `pieces` as they go over the wire, without header and trailer.
///
/// # Errors
/// As [`write_batches`].
pub fn write_relayed<B: AsRef<[u8]>>(
    connection: &mut Connection,
    sql: &str,
    pieces: impl IntoIterator<Item = Result<B, ArrowError>>,
) -> Result<u64, CopyError> {
    let mut copy = connection.copy_in(sql)?;
    let mut ends = Vec::new();
    Encoder::header(&mut ends);
    send_from(&mut copy, &mut ends, 0)?;
    for piece in pieces {
        for part in piece?.as_ref().chunks(PIECE) {
            copy.send(part)?;
        }
    }
    Encoder::trailer(&mut ends);
    send_from(&mut copy, &mut ends, 0)?;
    Ok(copy.finish()?)
}

/// Send `bytes` when they are at least `enough`.
fn send_from(copy: &mut CopyIn<&mut Connection>, bytes: &mut Vec<u8>, enough: usize) -> Result<(), CopyError> {
    if bytes.len() >= enough {
        copy.send(bytes)?;
        bytes.clear();
    }
    Ok(())
}
