//! COPY against a real server, whose connection string is in `ARROWLOAD_TEST_CONNINFO`: `make test-rust` starts one.

use std::env;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use arrowload_postgres::{
    Assemble, Config, Connection, CopyError, CopyIn, CopyOut, Error, ReadAhead, TransactionStatus,
};

fn connect() -> Connection {
    let conninfo = env::var("ARROWLOAD_TEST_CONNINFO").expect("`make test-rust` starts a server and says where");
    Connection::connect(&Config::parse(&conninfo).unwrap()).unwrap()
}

fn count(connection: &mut Connection, sql: &str) -> i64 {
    connection.query(sql).unwrap().rows[0][0].as_ref().unwrap().parse().unwrap()
}

fn sqlstate(error: &Error) -> &str {
    error.server().unwrap_or_else(|| panic!("{error:?}")).sqlstate()
}

/// The payloads of whole messages; each must be whole.
fn payloads(mut chunk: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while !chunk.is_empty() {
        assert_eq!(chunk[0], b'd');
        let length = u32::from_be_bytes(chunk[1..5].try_into().unwrap()) as usize;
        found.push(&chunk[5..=length]);
        chunk = &chunk[length + 1..];
    }
    found
}

fn drain(copy: &mut CopyOut<&mut Connection>) -> Result<(), Error> {
    while copy.next_chunk()?.is_some() {}
    Ok(())
}

#[test]
#[ignore = "needs a server"]
fn copy_out_gives_every_row_in_whole_messages() {
    let mut connection = connect();
    let mut copy = connection.copy_out("COPY (SELECT generate_series(1, 300000)) TO STDOUT").unwrap();
    let mut expected = 1;
    while let Some(chunk) = copy.next_chunk().unwrap() {
        for payload in payloads(chunk) {
            assert_eq!(payload, format!("{expected}\n").as_bytes());
            expected += 1;
        }
    }
    assert_eq!((expected, copy.rows()), (300_001, Some(300_000)));
    assert!(copy.next_chunk().unwrap().is_none());
    drop(copy);
    assert_eq!(count(&mut connection, "SELECT 5"), 5);
}

#[test]
#[ignore = "needs a server"]
fn a_field_of_many_megabytes_comes_whole() {
    let mut connection = connect();
    let mut copy = connection.copy_out("COPY (SELECT repeat('x', 200000000) UNION ALL SELECT 'y') TO STDOUT").unwrap();
    let mut lengths = Vec::new();
    while let Some(chunk) = copy.next_chunk().unwrap() {
        lengths.extend(payloads(chunk).iter().map(|payload| payload.len()));
    }
    assert_eq!(lengths, [200_000_001, 2]);
}

#[test]
#[ignore = "needs a server"]
fn a_copy_out_dropped_half_way_leaves_the_connection_usable() {
    let mut connection = connect();
    for take in 0..3 {
        let start = Instant::now();
        let mut copy =
            connection.copy_out("COPY (SELECT repeat('x', 2500), generate_series(1, 100000000)) TO STDOUT").unwrap();
        for _ in 0..take {
            assert!(copy.next_chunk().unwrap().is_some());
        }
        drop(copy);
        assert!(start.elapsed() < Duration::from_secs(9));
        assert_eq!(connection.transaction_status(), TransactionStatus::Idle);
        assert_eq!(count(&mut connection, "SELECT 5"), 5);
    }
}

#[test]
#[ignore = "needs a server"]
fn a_copy_out_that_falters_is_whole_and_what_follows_it_does_not_wait() {
    let mut connection = connect();
    let sql =
        "COPY (SELECT g, CASE WHEN g % 300000 = 0 THEN pg_sleep(0.05)::text END FROM generate_series(1, 1000000) g)
        TO STDOUT (FORMAT binary)";
    for taken in [usize::MAX, 100] {
        let mut copy = connection.copy_out(sql).unwrap();
        for _ in 0..taken {
            if copy.next_chunk().unwrap().is_none() {
                assert_eq!(copy.rows(), Some(1_000_000));
                break;
            }
        }
        drop(copy);
        let start = Instant::now();
        for _ in 0..200 {
            assert_eq!(count(&mut connection, "SELECT 5"), 5);
        }
        // An answer that was waited for as a piece of a COPY is would take 10 ms.
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    }
}

#[test]
#[ignore = "needs a server"]
fn an_error_within_a_copy_out_is_the_servers() {
    let mut connection = connect();
    let mut copy =
        connection.copy_out("COPY (SELECT 1 / (100000 - g) FROM generate_series(1, 200000) g) TO STDOUT").unwrap();
    let error = loop {
        match copy.next_chunk() {
            Ok(chunk) => assert!(chunk.is_some(), "the error was not noticed"),
            Err(error) => break error,
        }
    };
    assert_eq!(sqlstate(&error), "22012");
    assert!(copy.next_chunk().unwrap().is_none());
    drop(copy);
    assert_eq!(count(&mut connection, "SELECT 5"), 5);
}

#[test]
#[ignore = "needs a server"]
fn what_comes_out_goes_in_as_it_is() {
    let (mut from, mut to) = (connect(), connect());
    to.run("CREATE TEMP TABLE target (a int, b text)").unwrap();
    let mut out = from
        .copy_out("COPY (SELECT g, repeat('x', g % 3000) FROM generate_series(1, 50000) g) TO STDOUT (FORMAT binary)")
        .unwrap();
    let mut copy = to.copy_in("COPY target FROM STDIN (FORMAT binary)").unwrap();
    while let Some(chunk) = out.next_chunk().unwrap() {
        copy.send_framed(chunk).unwrap();
    }
    assert_eq!(copy.finish().unwrap(), 50_000);
    assert_eq!(count(&mut to, "SELECT count(*) FROM target WHERE b = repeat('x', a % 3000)"), 50_000);
}

#[test]
#[ignore = "needs a server"]
fn pieces_of_any_size_make_the_same_rows() {
    let mut connection = connect();
    connection.run("CREATE TEMP TABLE target (a int, b text)").unwrap();
    let rows: Vec<String> = (0..200_000).map(|n| format!("{n}\tb{n}\n")).collect();
    let data = rows.concat();
    for size in [1_000_003, 70_000, 999, 20_000_000] {
        let mut copy = connection.copy_in("COPY target FROM STDIN").unwrap();
        for piece in data.as_bytes().chunks(size) {
            copy.send(piece).unwrap();
        }
        assert_eq!(copy.finish().unwrap(), 200_000);
    }
    assert_eq!(count(&mut connection, "SELECT count(*) FROM target WHERE b = 'b' || a"), 800_000);
}

#[test]
#[ignore = "needs a server"]
fn a_refused_load_is_noticed_while_it_is_sent() {
    let mut connection = connect();
    connection.run("CREATE TEMP TABLE target (a int)").unwrap();
    let mut copy = connection.copy_in("COPY target FROM STDIN").unwrap();
    copy.send(b"no number\n").unwrap();
    let piece = "1\n".repeat(50_000);
    let (mut sent, error) = (
        0,
        loop {
            match copy.send(piece.as_bytes()) {
                Ok(()) => thread::sleep(Duration::from_millis(1)),
                Err(error) => break error,
            }
        },
    );
    sent += piece.len();
    assert!(sent < 100_000_000);
    assert_eq!(sqlstate(&error), "22P02");
    assert_eq!(error.server().unwrap().detail("where"), Some("COPY target, line 1, column a: \"no number\""));
    drop(copy);
    assert_eq!(count(&mut connection, "SELECT count(*) FROM target"), 0);
}

#[test]
#[ignore = "needs a server"]
fn a_copy_in_that_is_given_up_stores_nothing() {
    let mut connection = connect();
    connection.run("CREATE TEMP TABLE target (a int)").unwrap();
    let mut copy = connection.copy_in("COPY target FROM STDIN").unwrap();
    copy.send("1\n".repeat(100_000).as_bytes()).unwrap();
    drop(copy);
    let mut copy = connection.copy_in("COPY target FROM STDIN").unwrap();
    copy.send(b"2\n").unwrap();
    copy.fail("changed our mind").unwrap();
    assert_eq!(connection.transaction_status(), TransactionStatus::Idle);
    assert_eq!(count(&mut connection, "SELECT count(*) FROM target"), 0);
}

#[test]
#[ignore = "needs a server"]
fn statements_of_the_wrong_kind_are_said_so() {
    let mut connection = connect();
    connection.run("CREATE TEMP TABLE target (a int)").unwrap();
    for sql in ["SELECT 1", "COPY target FROM STDIN", "", "CREATE TEMP TABLE other (a int)"] {
        assert!(matches!(connection.copy_out(sql).err(), Some(Error::Usage(_))), "{sql}");
    }
    for sql in ["SELECT 1", "COPY target TO STDOUT", "", "DROP TABLE other"] {
        assert!(matches!(connection.copy_in(sql).err(), Some(Error::Usage(_))), "{sql}");
    }
    assert!(matches!(connection.run("SELECT '\0'").err(), Some(Error::Usage(_))));
    assert_eq!(count(&mut connection, "SELECT 5"), 5);
}

#[test]
#[ignore = "needs a server"]
fn an_interrupt_ends_a_copy_that_waits_and_one_that_flows() {
    let mut connection = connect();
    for sql in [
        "COPY (SELECT pg_sleep(60)) TO STDOUT",
        "COPY (SELECT repeat('x', 5000), generate_series(1, 100000000)) TO STDOUT",
    ] {
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        connection.set_interrupt(Some(Box::new(move || counter.fetch_add(1, Ordering::Relaxed) == 3)));
        // A server that has nothing to send yet keeps back the answer to the statement, too.
        let error = connection.copy_out(sql).and_then(|mut copy| drain(&mut copy)).unwrap_err();
        assert!(matches!(error, Error::Interrupted), "{error:?}");
        assert_eq!(connection.transaction_status(), TransactionStatus::Idle);
    }
    connection.set_interrupt(None);
    assert_eq!(count(&mut connection, "SELECT 5"), 5);
}

#[test]
#[ignore = "needs a server"]
fn an_interrupt_ends_a_copy_in_that_nobody_reads() {
    let (mut connection, mut locker) = (connect(), connect());
    locker.run("DROP TABLE IF EXISTS unread; CREATE TABLE unread (a int PRIMARY KEY)").unwrap();
    locker.run("BEGIN; INSERT INTO unread VALUES (1)").unwrap();
    let mut asked = 0;
    connection.set_interrupt(Some(Box::new(move || {
        asked += 1;
        asked > 5
    })));
    let mut copy = connection.copy_in("COPY unread FROM STDIN").unwrap();
    // The server waits for the other transaction, and takes no more than its buffers hold.
    let piece = "1\n".repeat(1_000_000);
    let error = loop {
        if let Err(error) = copy.send(piece.as_bytes()) {
            break error;
        }
    };
    assert!(matches!(error, Error::Interrupted), "{error:?}");
    drop(copy);
    connection.set_interrupt(None);
    assert_eq!(connection.transaction_status(), TransactionStatus::Idle);
    locker.run("ROLLBACK").unwrap();
    assert_eq!(count(&mut connection, "SELECT count(*) FROM unread"), 0);
}

#[test]
#[ignore = "needs a server"]
fn an_interrupt_ends_a_copy_in_that_flows() {
    let mut connection = connect();
    connection.run("CREATE TEMPORARY TABLE flowing (a text)").unwrap();
    let mut asked = 0;
    connection.set_interrupt(Some(Box::new(move || {
        asked += 1;
        asked > 3
    })));
    let mut copy = connection.copy_in("COPY flowing FROM STDIN").unwrap();
    // The server takes all at once, so that nobody ever waits.
    let piece = "x".repeat(999) + "\n";
    let error = (0..20_000_000).find_map(|_| copy.send(piece.as_bytes()).err()).expect("20 GB were taken");
    assert!(matches!(error, Error::Interrupted), "{error:?}");
    drop(copy);
    connection.set_interrupt(None);
    assert_eq!(connection.transaction_status(), TransactionStatus::Idle);
    assert_eq!(count(&mut connection, "SELECT count(*) FROM flowing"), 0);
}

struct Panicking;

impl Assemble for Panicking {
    type Item = ();

    fn push(&mut self, _messages: &[u8]) -> Result<Option<()>, CopyError> {
        panic!("on purpose")
    }

    fn finish(&mut self) -> Result<Option<()>, CopyError> {
        Ok(None)
    }
}

#[test]
#[ignore = "needs a server"]
fn a_panic_is_not_the_end_of_the_rows() {
    let connection = Arc::new(Mutex::new(Some(connect())));
    let mut rows = ReadAhead::start(connection, "COPY (SELECT 1) TO STDOUT".to_owned(), Panicking).unwrap();
    assert!(matches!(rows.next(), Some(Err(CopyError::Panicked))));
    assert!(rows.next().is_none());
}

#[test]
#[ignore = "needs a server"]
fn copies_may_own_their_connection() {
    let mut copy = CopyOut::start(Box::new(connect()), "COPY (SELECT 1) TO STDOUT").unwrap();
    assert_eq!(payloads(copy.next_chunk().unwrap().unwrap()), [b"1\n"]);
    let copy = CopyIn::start(Box::new(connect()), "COPY absent FROM STDIN");
    assert_eq!(sqlstate(&copy.err().unwrap()), "42P01");
}
