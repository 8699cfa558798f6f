//! A stream that is none is refused, with column and row where there are such, and nothing more is taken.

mod copy;

use std::sync::Arc;

use arrow_array::Array;
use arrow_schema::{DataType, Field};
use arrowload_core::pg_copy::{CopyColumn, DecodeOptions, Decoder, Encoder, WireType};
use arrowload_core::{KernelError, OnSpecial};

use copy::{column, decode, header, message, messages, row};

const INT: [u8; 4] = [0, 0, 0, 7];

fn decoded(sql: &str, stream: &[u8]) -> Result<usize, KernelError> {
    decode(vec![column("c", sql)], DecodeOptions::default(), stream).map(|batch| batch.num_rows())
}

/// One field of `sql`, behind two that are NULL.
fn field(sql: &str, field: &[u8]) -> Result<usize, KernelError> {
    decoded(sql, &messages(&[row(&[None]), row(&[None]), row(&[Some(field)])]))
}

#[test]
fn a_broken_stream_is_refused() {
    let good = row(&[Some(&INT)]);
    let first = [header(), good.clone()].concat();
    let end = message(&[0xff, 0xff]);
    let mut flagged = header();
    flagged[12] = 1;
    let mut cut = message(&first);
    cut.pop();
    let mut alien = message(&first);
    alien[0] = b'c';
    let mut short = message(&first);
    short[1..5].copy_from_slice(&3u32.to_be_bytes());
    let huge_extension = [&header()[..15], &[0xff; 4]].concat();
    for (stream, reason) in [
        (vec![], "without its trailer"),
        (message(&first), "without its trailer"),
        (message(&good), "does not begin"),
        (message(b"PGCOPY\n\xff\r\n"), "does not begin"),
        (message(&flagged), "flags"),
        (message(&huge_extension), "header is cut off"),
        (cut, "bytes long"),
        (alien, "not with `d`"),
        (short, "bytes long"),
        (vec![b'd', 0, 0], "cut off"),
        ([message(&first), message(&[0])].concat(), "a row is cut off"),
        ([message(&first), message(&row(&[]))].concat(), "0 columns"),
        ([message(&first), message(&row(&[None, None]))].concat(), "2 columns"),
        ([message(&first), message(&[0xff, 0xfe])].concat(), "-2 columns"),
        ([message(&first), message(&good[..4])].concat(), "column `c`: the row is cut off"),
        ([message(&first), message(&good[..8])].concat(), "column `c`: a field of 4 bytes is cut off"),
        ([message(&first), message(&[&good[..8], &good[8..]].concat()[..9])].concat(), "cut off"),
        ([message(&first), message(&[0, 1, 0x80, 0, 0, 0])].concat(), "-2147483648 bytes long"),
        ([message(&first), message(&[0, 1, 0xff, 0xff, 0xff, 0xfe])].concat(), "-2 bytes long"),
        ([message(&first), message(&[0xff, 0xff, 0])].concat(), "follow the trailer"),
        ([message(&first), end.clone(), end.clone()].concat(), "follows the trailer"),
        ([message(&first), message(&[good.as_slice(), &[9]].concat())].concat(), "a row is cut off"),
    ] {
        let error = decoded("int4", &stream).expect_err(reason);
        assert!(matches!(error, KernelError::CopyStream { .. }), "{error}");
        assert!(error.to_string().contains(reason), "{error}, not {reason}");
    }
    assert_eq!(decoded("int4", &[message(&first), end].concat()).unwrap(), 1);
}

#[test]
fn a_header_may_have_an_extension_and_a_message_many_rows() {
    let good = row(&[Some(&INT)]);
    let mut extended = header();
    extended[18] = 3;
    extended.extend_from_slice(b"ext");
    let rows = good.repeat(5000);
    let stream = message(&[extended.as_slice(), &rows, &[0xff, 0xff]].concat());
    assert_eq!(decoded("int4", &stream).unwrap(), 5000);
}

#[test]
fn a_field_that_is_no_value_is_refused_with_column_and_row() {
    let numeric = |words: &[u16]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<_>>();
    let array = |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<_>>();
    for (sql, bytes) in [
        ("bool", vec![2]),
        ("bool", vec![]),
        ("int2", vec![0; 4]),
        ("int4", vec![0; 8]),
        ("int8", vec![0; 4]),
        ("oid", vec![0; 5]),
        ("float4", vec![0; 8]),
        ("float8", vec![]),
        ("date", vec![0; 8]),
        ("time", vec![0; 12]),
        ("timestamp", vec![0; 7]),
        ("interval", vec![0; 12]),
        ("uuid", vec![0; 15]),
        ("\"char\"", vec![b'a', b'b']),
        ("text", vec![0xff]),
        ("text", vec![0xc3]),
        ("json", vec![b'"', 0xed, 0xa0, 0x80]),
        ("jsonb", vec![]),
        ("jsonb", b"\x02{}".to_vec()),
        ("numeric(15,2)", vec![]),
        ("numeric(15,2)", numeric(&[1, 0, 0, 2])),
        ("numeric(15,2)", numeric(&[1, 0, 0, 2, 1, 1])),
        ("numeric(15,2)", numeric(&[1, 0, 0, 2, 10_000])),
        ("numeric(15,2)", numeric(&[1, 0, 0, 2, 0xffff])),
        ("numeric(15,2)", numeric(&[1, 0, 0x8000, 2, 1])),
        ("numeric(15,2)", numeric(&[1, 0, 0, 0x4000, 1])),
        ("numeric(15,2)", numeric(&[0xffff, 0, 0, 2])),
        ("int4[]", vec![0; 11]),
        ("int4[]", array(&[0, 0, 23, 0])),
        ("int4[]", array(&[1, 0, 23, 0, 1])),
        ("int4[]", array(&[1, 0, 23, 0x7fff_ffff, 1])),
        ("int4[]", array(&[1, 0, 23, 0xffff_ffff, 1])),
        ("int4[]", array(&[1, 0, 23, 1, 1, 4])),
        ("int4[]", array(&[1, 0, 23, 1, 1, 3, 7])),
        ("int4[]", array(&[1, 0, 23, 1, 1, 0xffff_fffe])),
        ("int4[]", array(&[1, 0, 23, 1, 1, 4, 7, 7])),
        ("int4[]", array(&[1, 0, 23, 1, 1, 8, 7, 7])),
        ("int4[][]", array(&[2, 0, 23, 0x1_0000, 1, 0x1_0000, 1])),
    ] {
        let error = field(sql, &bytes).expect_err(sql);
        assert!(
            matches!(error, KernelError::CopyField { row: 2, ref column, .. } if column == "c"),
            "{sql} {bytes:?}: {error}"
        );
    }
}

#[test]
fn a_value_without_place_is_refused_with_column_and_row() {
    let numeric = |words: &[u16]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<_>>();
    let array = |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<_>>();
    for (sql, bytes, value) in [
        ("numeric(15,2)", numeric(&[1, 0xffff, 0, 3, 10]), "0.001"),
        ("numeric(15,2)", numeric(&[1, 3, 0, 0, 10]), "10000000000000"),
        ("numeric(15,2)", numeric(&[2, 0, 0x4000, 4, 12, 3456]), "-12.3456"),
        ("numeric(4,0)", numeric(&[1, 1, 0, 0, 1]), "10000"),
        ("numeric(4,0)", numeric(&[1, 0x7fff, 0, 0, 1]), "1 (131072 digits before the point)"),
        ("numeric(4,0)", numeric(&[1, 0x8000, 0, 0, 1]), "1e-131072"),
        ("int4[]", array(&[1, 0, 20, 1, 1, 4, 7]), "an array"),
        ("int4[]", array(&[1, 0, 23, 1, 0, 4, 7]), "an array"),
        ("int4[]", array(&[2, 0, 23, 1, 1, 1, 1, 4, 7]), "an array"),
    ] {
        let error = field(sql, &bytes).expect_err(sql);
        let expected = value;
        assert!(
            matches!(error, KernelError::CopyValue { row: 2, ref column, ref value, .. } if column == "c" && value == expected),
            "{sql} {bytes:?}: {error}"
        );
    }
}

#[test]
fn text_is_checked_value_by_value() {
    // Together these bytes are UTF-8, each for itself they are not.
    let stream = messages(&[row(&[Some(&[b'a', 0xc3])]), row(&[Some(&[0xa9])])]);
    let error = decoded("text", &stream).unwrap_err();
    assert!(matches!(error, KernelError::CopyField { row: 0, .. }), "{error}");
}

#[test]
fn numbers_are_read_whatever_zeros_they_are_sent_with() {
    let numeric = |words: &[u16]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<_>>();
    for (words, expected) in [
        (&[3, 1, 0, 2, 0, 7, 0][..], "7.00"),
        (&[4, 0, 0, 2, 7, 1000, 0, 0], "7.10"),
        (&[1, 5, 0, 0, 0], "0.00"),
        (&[0, 0, 0x4000, 0], "0.00"),
        (&[0, 0x7fff, 0, 0], "0.00"),
    ] {
        let stream = messages(&[row(&[Some(&numeric(words))])]);
        let batch = decode(vec![column("c", "numeric(15,2)")], DecodeOptions::default(), &stream).unwrap();
        assert_eq!(copy::render(batch.column(0), 0), expected, "{words:?}");
    }
}

#[test]
fn after_an_error_nothing_is_taken_or_given() {
    let mut decoder = Decoder::try_new(vec![column("c", "int4")], DecodeOptions::default()).unwrap();
    assert_eq!(decoder.push(&message(&[header(), row(&[Some(&INT)])].concat())).unwrap(), 1);
    decoder.push(&message(&row(&[Some(&[1])]))).unwrap_err();

    assert!(decoder.push(&message(&row(&[Some(&INT)]))).is_err());
    assert!(decoder.take().is_err());
    assert!(decoder.finish().is_err());
}

#[test]
fn batches_follow_each_other() {
    let columns = vec![column("a", "int4"), column("b", "text"), column("c", "int4[]"), column("d", "bool")];
    let one = row(&[Some(&INT), Some(b"x"), None, Some(&[1])]);
    let two = row(&[None, None, None, None]);
    let mut decoder = Decoder::try_new(columns, DecodeOptions::default()).unwrap();

    decoder.push(&message(&[header(), one.clone()].concat())).unwrap();
    assert_eq!(decoder.rows(), 1);
    assert!(decoder.bytes() > 0);
    let first = decoder.take().unwrap();
    decoder.push(&[message(&two), message(&one), message(&[0xff, 0xff])].concat()).unwrap();
    let second = decoder.take().unwrap();
    decoder.finish().unwrap();

    assert_eq!((first.num_rows(), second.num_rows(), decoder.rows()), (1, 2, 0));
    assert_eq!(first, second.slice(1, 1));
    assert!(second.columns().iter().all(|column| column.is_null(0)));
    assert_eq!(decoder.take().unwrap().num_rows(), 0);
}

#[test]
fn null_in_a_column_without_nulls_is_refused() {
    let mut fixed = column("c", "date");
    fixed.field = Arc::new(Field::new("c", DataType::Date32, false));
    let infinite = 0x7fff_ffffu32.to_be_bytes();
    let options = DecodeOptions { infinity: OnSpecial::Null, ..DecodeOptions::default() };
    for sent in [None, Some(infinite.as_slice())] {
        let error = decode(vec![fixed.clone()], options, &messages(&[row(&[sent])])).unwrap_err();
        assert!(matches!(error, KernelError::CopyValue { row: 0, .. }), "{error}");
    }
    let mut list = column("c", "int4[]");
    let element = Arc::new(Field::new_list_field(DataType::Int32, false));
    list.field = Arc::new(Field::new("c", DataType::List(element), true));
    let array = [1u32, 1, 23, 1, 1, u32::MAX].map(u32::to_be_bytes);
    let error = decode(vec![list], options, &messages(&[row(&[None]), row(&[Some(array.as_flattened())])]));
    assert!(matches!(error, Err(KernelError::CopyValue { row: 1, .. })));
}

#[test]
fn a_pair_that_is_not_the_same_set_of_values_is_refused() {
    let types = [DataType::Int32, DataType::Utf8, DataType::Float64, DataType::Date64, DataType::Decimal128(39, 0)];
    let wires = ["bool", "int2", "int8", "numeric", "date", "time", "timestamptz", "uuid", "int4[]"];
    for (wire, data_type) in wires.iter().flat_map(|wire| types.iter().map(move |data_type| (wire, data_type))) {
        let pair = CopyColumn {
            name: "c".into(),
            wire: WireType::from_name(wire, 23).unwrap(),
            field: Arc::new(Field::new("c", data_type.clone(), true)),
        };
        assert!(matches!(
            Decoder::try_new(vec![pair.clone()], DecodeOptions::default()),
            Err(KernelError::CopyPair { .. })
        ));
        if data_type != &DataType::Decimal128(39, 0) {
            assert!(matches!(Encoder::try_new(vec![pair]), Err(KernelError::CopyPair { .. })));
        }
    }
}
