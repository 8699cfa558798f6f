//! A blocking Postgres client for moving data: control statements, and COPY that is read and written in large pieces.
//!
//! The protocol's messages, SCRAM and MD5 come from `postgres-protocol`, TLS from `rustls`. What is here is what
//! they leave open: libpq's connection strings and rules ([`Config`]), sockets that are waited on in short steps so
//! that a signal can end a wait ([`Interrupt`]), and COPY data that the caller walks where it was read
//! ([`CopyOut::next_chunk`]). A [`Connection`] is used by one thread at a time; a [`CancelHandle`] by any.
//!
//! Notices and notifications are read and dropped. Unix only.

mod authentication;
mod batches;
mod cancel;
mod config;
mod connect;
mod connection;
mod copy_in;
mod copy_out;
mod error;
mod messages;
mod query;
mod read_ahead;
mod read_buffer;
mod relay;
mod socket;
mod tls;
mod transport;
mod verifier;
mod write_rows;

pub use batches::Batches;
pub use cancel::CancelHandle;
pub use config::{ChannelBinding, Config, Host, SslMode, TargetSession};
pub use connection::{Connection, TransactionStatus};
pub use copy_in::CopyIn;
pub use copy_out::CopyOut;
pub use error::{Error, Result, ServerError};
pub use query::{Column, Outcome, Rows};
pub use read_ahead::{Assemble, CopyError, ReadAhead, SharedConnection};
pub use relay::{Relay, Relayed};
pub use transport::Interrupt;
pub use write_rows::{write_batches, write_relayed};
