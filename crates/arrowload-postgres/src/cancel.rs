//! Cancelling what a connection is doing, over a connection of its own.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use postgres_protocol::message::frontend;

use crate::connect::{Endpoint, open};
use crate::error::{Error, Result};
use crate::messages::Channel;
use crate::transport::Patience;

/// How long a cancel request may take to reach the server.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Cancels the statement that its connection is running; any thread may.
#[derive(Clone)]
pub struct CancelHandle {
    target: Arc<Target>,
}

struct Target {
    endpoint: Endpoint,
    process_id: i32,
    secret_key: i32,
}

impl CancelHandle {
    pub(crate) fn new(endpoint: Endpoint, process_id: i32, secret_key: i32) -> Self {
        Self { target: Arc::new(Target { endpoint, process_id, secret_key }) }
    }

    /// The server's process, as in `pg_stat_activity.pid`.
    #[must_use]
    pub fn process_id(&self) -> i32 {
        self.target.process_id
    }

    /// Ask the server to cancel; encrypted when the connection is. Returns once the server has passed it on, which
    /// does not say that there was something to cancel.
    ///
    /// # Errors
    /// The server could not be reached within ten seconds.
    pub fn cancel(&self) -> Result<()> {
        let patience = Patience::new(None, Some(Instant::now() + TIMEOUT));
        let transport = open(&self.target.endpoint, patience)?;
        let mut channel = Channel::new(transport);
        let mut request = BytesMut::new();
        frontend::cancel_request(self.target.process_id, self.target.secret_key, &mut request);
        channel.write = request;
        channel.send()?;
        // The server says nothing and hangs up when it is done.
        match channel.transport.read(&mut [0; 1]) {
            Ok(0) | Err(Error::Lost(_)) => Ok(()),
            Ok(_) => Err(Error::Protocol("a cancel request was answered".to_owned())),
            Err(error) => Err(error),
        }
    }
}

impl fmt::Debug for CancelHandle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CancelHandle").field("process_id", &self.target.process_id).finish_non_exhaustive()
    }
}
