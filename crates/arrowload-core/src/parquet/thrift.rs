//! Thrift's compact protocol, as far as Parquet's metadata needs it: a writer, and a reader that finds fields.
//!
//! The protocol: <https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>.

const TRUE: u8 = 1;
const FALSE: u8 = 2;
const I16: u8 = 4;
const I32: u8 = 5;
const I64: u8 = 6;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const STRUCT: u8 = 12;
const STOP: u8 = 0;
/// A list of more elements than this has its length apart.
const SHORT_LIST: usize = 14;

/// Appends one struct after the other to a buffer; fields are given in ascending order of their ids.
#[derive(Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
    /// The id of the last field of each struct that is open.
    last: Vec<i16>,
}

impl Writer {
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// A whole struct that stands alone.
    pub(super) fn root(&mut self, fields: impl FnOnce(&mut Self)) {
        self.last.push(0);
        fields(self);
        self.bytes.push(STOP);
        self.last.pop();
    }

    pub(super) fn i16(&mut self, id: i16, value: i16) {
        self.header(id, I16);
        self.varint(zigzag(value.into()));
    }

    pub(super) fn i32(&mut self, id: i16, value: i32) {
        self.header(id, I32);
        self.varint(zigzag(value.into()));
    }

    pub(super) fn i64(&mut self, id: i16, value: i64) {
        self.header(id, I64);
        self.varint(zigzag(value));
    }

    /// A number of rows or bytes, or a place in a file, of 64 bits.
    pub(super) fn size(&mut self, id: i16, value: usize) {
        self.i64(id, wide(value));
    }

    /// A number of 32 bits: of what a page, or an index of pages, has.
    pub(super) fn small_size(&mut self, id: i16, value: usize) {
        self.i32(id, i32::try_from(value).expect("a page has fewer than 2^31 rows and bytes"));
    }

    pub(super) fn bool(&mut self, id: i16, value: bool) {
        self.header(id, if value { TRUE } else { FALSE });
    }

    pub(super) fn binary(&mut self, id: i16, value: &[u8]) {
        self.header(id, BINARY);
        self.plain_binary(value);
    }

    pub(super) fn structure(&mut self, id: i16, fields: impl FnOnce(&mut Self)) {
        self.header(id, STRUCT);
        self.root(fields);
    }

    pub(super) fn structures<T>(
        &mut self,
        id: i16,
        values: impl ExactSizeIterator<Item = T>,
        mut fields: impl FnMut(&mut Self, T),
    ) {
        self.list(id, STRUCT, values.len());
        for value in values {
            self.root(|writer| fields(writer, value));
        }
    }

    pub(super) fn i32s(&mut self, id: i16, values: impl ExactSizeIterator<Item = i32>) {
        self.list(id, I32, values.len());
        values.for_each(|value| self.varint(zigzag(value.into())));
    }

    pub(super) fn sizes(&mut self, id: i16, values: impl ExactSizeIterator<Item = usize>) {
        self.list(id, I64, values.len());
        values.for_each(|value| self.varint(zigzag(wide(value))));
    }

    pub(super) fn bools(&mut self, id: i16, values: impl ExactSizeIterator<Item = bool>) {
        self.list(id, TRUE, values.len());
        self.bytes.extend(values.map(|value| if value { TRUE } else { FALSE }));
    }

    pub(super) fn binaries<'a>(&mut self, id: i16, values: impl ExactSizeIterator<Item = &'a [u8]>) {
        self.list(id, BINARY, values.len());
        values.for_each(|value| self.plain_binary(value));
    }

    /// A field that is a whole struct which was written before.
    pub(super) fn written(&mut self, id: i16, structure: &[u8]) {
        self.raw(id, STRUCT, structure);
    }

    /// A field whose value was read from elsewhere.
    pub(super) fn raw(&mut self, id: i16, kind: u8, value: &[u8]) {
        self.header(id, kind);
        self.bytes.extend_from_slice(value);
    }

    fn header(&mut self, id: i16, kind: u8) {
        let last = self.last.last_mut().expect("a field is within a struct");
        let step = u8::try_from(id - *last).expect("fields are given in ascending order");
        *last = id;
        self.bytes.push(step << 4 | kind);
    }

    fn list(&mut self, id: i16, kind: u8, length: usize) {
        self.header(id, LIST);
        match u8::try_from(length) {
            Ok(short) if length <= SHORT_LIST => self.bytes.push(short << 4 | kind),
            _ => {
                self.bytes.push(0xf0 | kind);
                self.varint(length as u64);
            }
        }
    }

    fn plain_binary(&mut self, value: &[u8]) {
        self.varint(value.len() as u64);
        self.bytes.extend_from_slice(value);
    }

    fn varint(&mut self, value: u64) {
        put_varint(&mut self.bytes, value);
    }
}

/// Append `value` as unsigned LEB128.
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

fn wide(value: usize) -> i64 {
    i64::try_from(value).expect("a file has fewer than 2^63 bytes")
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// A field as it was read: its id, its kind, and the bytes of its value.
pub(super) struct Field<'a> {
    pub(super) id: i16,
    pub(super) kind: u8,
    pub(super) value: &'a [u8],
}

impl<'a> Field<'a> {
    /// A number, where it is one.
    pub(super) fn number(&self) -> Option<i64> {
        let is_number = matches!(self.kind, I16 | I32 | I64);
        is_number.then(|| Reader { bytes: self.value }.varint()).flatten().map(unzigzag)
    }

    /// Text, where it is some.
    pub(super) fn binary(&self) -> Option<&'a [u8]> {
        let mut reader = Reader { bytes: self.value };
        (self.kind == BINARY).then(|| reader.varint().and_then(|length| reader.take(length))).flatten()
    }

    /// The fields of a struct, where it is one.
    pub(super) fn structure(&self) -> Option<Vec<Field<'a>>> {
        (self.kind == STRUCT).then(|| fields(self.value)).flatten()
    }

    /// The fields of each struct of a list, where it is one.
    pub(super) fn structures(&self) -> Option<Vec<Vec<Field<'a>>>> {
        let mut reader = Reader { bytes: self.value };
        let (kind, length) = (self.kind == LIST).then(|| reader.list()).flatten()?;
        (kind == STRUCT).then(|| (0..length).map(|_| reader.fields()).collect()).flatten()
    }
}

/// The fields of the struct that `bytes` begin with; None when they are no struct.
pub(super) fn fields(bytes: &[u8]) -> Option<Vec<Field<'_>>> {
    Reader { bytes }.fields()
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn fields(&mut self) -> Option<Vec<Field<'a>>> {
        let (mut found, mut id) = (Vec::new(), 0i16);
        loop {
            let header = self.byte()?;
            if header == STOP {
                return Some(found);
            }
            let (step, kind) = (header >> 4, header & 0xf);
            id = if step == 0 {
                i16::try_from(unzigzag(self.varint()?)).ok()?
            } else {
                id.checked_add(i16::from(step))?
            };
            let before = self.bytes;
            self.skip(kind)?;
            found.push(Field { id, kind, value: &before[..before.len() - self.bytes.len()] });
        }
    }

    /// Go on behind a value.
    fn skip(&mut self, kind: u8) -> Option<()> {
        match kind {
            TRUE | FALSE => {}
            3 => drop(self.byte()?),
            I16 | I32 | I64 => drop(self.varint()?),
            7 => drop(self.take(8)?),
            BINARY => {
                let length = self.varint()?;
                self.take(length)?;
            }
            LIST | 10 => {
                let (kind, length) = self.list()?;
                for _ in 0..length {
                    // A bool is its own kind only outside of lists.
                    self.skip(if kind == TRUE || kind == FALSE { 3 } else { kind })?;
                }
            }
            STRUCT => drop(self.fields()?),
            _ => return None,
        }
        Some(())
    }

    fn list(&mut self) -> Option<(u8, u64)> {
        let header = self.byte()?;
        let length = if header >> 4 == 0xf { self.varint()? } else { u64::from(header >> 4) };
        Some((header & 0xf, length))
    }

    fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(first)
    }

    fn take(&mut self, length: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(usize::try_from(length).ok()?)?;
        self.bytes = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}
