//! Drain `COPY … TO STDOUT` to nowhere, to be timed against `psql`: `drain CONNINFO SQL`.

use std::env;
use std::error::Error;
use std::time::Instant;

use arrowload_postgres::{Config, Connection};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [conninfo, sql] = arguments.as_slice() else { return Err("usage: drain CONNINFO SQL".into()) };
    let mut connection = Connection::connect(&Config::parse(conninfo)?)?;
    let start = Instant::now();
    let (mut bytes, mut chunks) = (0, 0_usize);
    let mut copy = connection.copy_out(sql)?;
    while let Some(chunk) = copy.next_chunk()? {
        bytes += chunk.len();
        chunks += 1;
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{:?} rows, {bytes} bytes in {chunks} chunks, {seconds:.2} s", copy.rows());
    Ok(())
}
