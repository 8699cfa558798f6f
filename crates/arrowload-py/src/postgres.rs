//! A Postgres session as a Python object; the GIL is released whenever the server is waited for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use arrowload_postgres::{
    CancelHandle, Config, Connection, CopyError, Error, Interrupt, Rows, SharedConnection, TransactionStatus,
};
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};

pyo3::import_exception!(arrowload.io.postgres, PostgresError);

/// The exception that a signal's handler raised while the GIL was away.
type Raised = Arc<Mutex<Option<PyErr>>>;

#[pyclass(module = "arrowload._rust", frozen)]
pub(crate) struct PostgresConnection {
    /// None once it is closed.
    connection: SharedConnection,
    cancel: CancelHandle,
    raised: Raised,
}

#[pymethods]
impl PostgresConnection {
    #[new]
    fn new(py: Python<'_>, conninfo: &str) -> PyResult<Self> {
        let raised = Raised::default();
        let interrupt = interrupt(Arc::clone(&raised));
        let connected = py.detach(|| Connection::connect_interruptible(&Config::parse(conninfo)?, interrupt));
        let connection = connected.map_err(|error| to_py(py, &error, false, &raised))?;
        Ok(Self { cancel: connection.cancel_handle(), connection: Arc::new(Mutex::new(Some(connection))), raised })
    }

    fn execute<'py>(&self, py: Python<'py>, sql: &str) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let rows = self.with(py, |connection| connection.query(sql))?;
        python_rows(py, &rows)
    }

    fn run(&self, py: Python<'_>, sql: &str) -> PyResult<i64> {
        let outcome = self.with(py, |connection| connection.run(sql))?;
        Ok(outcome.rows().and_then(|rows| i64::try_from(rows).ok()).unwrap_or(-1))
    }

    fn describe(&self, py: Python<'_>, sql: &str) -> PyResult<Vec<(String, u32, i32)>> {
        let columns = self.with(py, |connection| connection.describe(sql))?;
        Ok(columns.into_iter().map(|column| (column.name, column.oid, column.typmod)).collect())
    }

    fn parameter(&self, py: Python<'_>, name: &str) -> PyResult<Option<String>> {
        self.with(py, |connection| Ok(connection.parameter(name).map(ToOwned::to_owned)))
    }

    /// Does not wait for a call that another thread has under way: `active` then.
    #[getter]
    fn transaction_status(&self) -> &'static str {
        match self.connection.try_lock() {
            Ok(connection) => status(connection.as_ref()),
            Err(TryLockError::Poisoned(poisoned)) => status(poisoned.into_inner().as_ref()),
            Err(TryLockError::WouldBlock) => "active",
        }
    }

    #[getter]
    fn is_open(&self) -> bool {
        match self.connection.try_lock() {
            Ok(connection) => connection.is_some(),
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner().is_some(),
            Err(TryLockError::WouldBlock) => true,
        }
    }

    fn cancel(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.cancel.cancel()).map_err(|error| to_py(py, &error, false, &self.raised))
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| drop(self.lock().take()));
    }
}

impl PostgresConnection {
    /// Call `action` with the connection and without the GIL; waits for a call that another thread has under way.
    pub(crate) fn with<T: Send>(
        &self,
        py: Python<'_>,
        action: impl FnOnce(&mut Connection) -> Result<T, Error> + Send,
    ) -> PyResult<T> {
        let (result, lost) = py.detach(|| match self.lock().as_mut() {
            None => (Err(Error::Usage("the connection is closed".to_owned())), false),
            Some(connection) => {
                let result = action(connection);
                (result, connection.transaction_status() == TransactionStatus::Lost)
            }
        });
        result.map_err(|error| to_py(py, &error, lost, &self.raised))
    }

    /// As [`Self::with`], for a COPY that this thread feeds.
    pub(crate) fn copying<T: Send>(
        &self,
        py: Python<'_>,
        action: impl FnOnce(&mut Connection) -> Result<T, CopyError> + Send,
    ) -> PyResult<T> {
        let result = py.detach(|| match self.lock().as_mut() {
            None => Err(CopyError::Connection(Error::Usage("the connection is closed".to_owned()))),
            Some(connection) => action(connection),
        });
        result.map_err(|failure| self.failed(py, failure))
    }

    /// The connection, for a thread that reads ahead.
    pub(crate) fn shared(&self) -> SharedConnection {
        Arc::clone(&self.connection)
    }

    /// The exception for a COPY that failed.
    pub(crate) fn failed(&self, py: Python<'_>, failure: CopyError) -> PyErr {
        match failure {
            CopyError::Connection(error) => {
                let lost = py.detach(|| {
                    self.lock().as_ref().is_some_and(|open| open.transaction_status() == TransactionStatus::Lost)
                });
                to_py(py, &error, lost, &self.raised)
            }
            other => crate::copy_streams::kernel_or_stream(py, other),
        }
    }

    /// A thread that panicked left a connection that says itself whether it can go on.
    fn lock(&self) -> MutexGuard<'_, Option<Connection>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn status(connection: Option<&Connection>) -> &'static str {
    match connection.map(Connection::transaction_status) {
        None => "closed",
        Some(TransactionStatus::Idle) => "idle",
        Some(TransactionStatus::InTransaction) => "in_transaction",
        Some(TransactionStatus::Failed) => "failed",
        Some(TransactionStatus::Lost) => "lost",
    }
}

/// Lets Python run the handlers of signals; only its main thread has any.
fn interrupt(raised: Raised) -> Interrupt {
    Box::new(move || {
        Python::attach(|py| match py.check_signals() {
            Ok(()) => false,
            Err(error) => {
                *raised.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                true
            }
        })
    })
}

/// The exception for `error`; what a signal's handler raised for a call that it interrupted.
pub(crate) fn to_py(py: Python<'_>, error: &Error, lost: bool, raised: &Raised) -> PyErr {
    if matches!(error, Error::Interrupted) {
        let taken = raised.lock().unwrap_or_else(PoisonError::into_inner).take();
        return taken.unwrap_or_else(|| PyKeyboardInterrupt::new_err(()));
    }
    exception(py, error, lost).unwrap_or_else(|failure| failure)
}

fn exception(py: Python<'_>, error: &Error, lost: bool) -> PyResult<PyErr> {
    let details = PyDict::new(py);
    for (name, value) in error.server().into_iter().flat_map(arrowload_postgres::ServerError::details) {
        details.set_item(name, value)?;
    }
    let keywords = PyDict::new(py);
    keywords.set_item("sqlstate", error.server().map(arrowload_postgres::ServerError::sqlstate))?;
    keywords.set_item("details", details)?;
    keywords.set_item("lost", lost)?;
    keywords.set_item("kind", error.kind())?;
    let class = py.get_type::<PostgresError>();
    Ok(PyErr::from_value(class.call((error.to_string(),), Some(&keywords))?))
}

fn python_rows<'py>(py: Python<'py>, rows: &Rows) -> PyResult<Vec<Bound<'py, PyTuple>>> {
    let oids: Vec<u32> = rows.columns.iter().map(|column| column.oid).collect();
    let row = |values: &Vec<Option<String>>| {
        let values: PyResult<Vec<_>> =
            values.iter().zip(&oids).map(|(value, oid)| python_value(py, *oid, value.as_deref())).collect();
        PyTuple::new(py, values?)
    };
    rows.rows.iter().map(row).collect()
}

/// The server's text of a type as the Python value of that type; of every type but these as text.
fn python_value<'py>(py: Python<'py>, oid: u32, text: Option<&str>) -> PyResult<Bound<'py, PyAny>> {
    let Some(text) = text else { return Ok(py.None().into_bound(py)) };
    match oid {
        BOOL => Ok((text == "t").into_pyobject(py)?.to_owned().into_any()),
        INT2 | INT4 | INT8 | OID => match text.parse::<i64>() {
            Ok(number) => Ok(number.into_pyobject(py)?.into_any()),
            Err(_) => Err(unreadable(py, "an integer")),
        },
        FLOAT4 => match text.parse::<f32>() {
            Ok(number) => Ok(f64::from(number).into_pyobject(py)?.into_any()),
            Err(_) => Err(unreadable(py, "a float")),
        },
        FLOAT8 => match text.parse::<f64>() {
            Ok(number) => Ok(number.into_pyobject(py)?.into_any()),
            Err(_) => Err(unreadable(py, "a float")),
        },
        BYTEA => match bytea(text) {
            Some(bytes) => Ok(PyBytes::new(py, &bytes).into_any()),
            None => Err(unreadable(py, "bytea")),
        },
        _ => Ok(text.into_pyobject(py)?.into_any()),
    }
}

// https://github.com/postgres/postgres/blob/master/src/include/catalog/pg_type.dat
const BOOL: u32 = 16;
const BYTEA: u32 = 17;
const INT8: u32 = 20;
const INT2: u32 = 21;
const INT4: u32 = 23;
const OID: u32 = 26;
const FLOAT4: u32 = 700;
const FLOAT8: u32 = 701;

fn unreadable(py: Python<'_>, what: &str) -> PyErr {
    let error = Error::Usage(format!("the server's text of {what} cannot be read"));
    to_py(py, &error, false, &Raised::default())
}

/// The bytes of `\x…` (`bytea_output = hex`) or of the older `escape` format.
fn bytea(text: &str) -> Option<Vec<u8>> {
    match text.strip_prefix("\\x") {
        Some(digits) => hex(digits.as_bytes()),
        None => unescape(text.as_bytes()),
    }
}

fn hex(digits: &[u8]) -> Option<Vec<u8>> {
    let value = |digit: u8| char::from(digit).to_digit(16);
    let pairs = digits.chunks(2);
    pairs
        .map(|pair| match *pair {
            [high, low] => u8::try_from(value(high)? * 16 + value(low)?).ok(),
            _ => None,
        })
        .collect()
}

fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        rest = match (first, tail) {
            (b'\\', [b'\\', tail @ ..]) => {
                bytes.push(b'\\');
                tail
            }
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..]) => {
                bytes.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                tail
            }
            (b'\\', _) => return None,
            _ => {
                bytes.push(*first);
                tail
            }
        };
    }
    Some(bytes)
}
