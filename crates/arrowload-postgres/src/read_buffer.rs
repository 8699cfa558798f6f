//! Bytes from the server, read in large pieces and looked at in place.

use crate::error::{Error, Result};

/// Holds what one read brings: a fraction of a second-level cache, and few enough calls of the kernel.
pub(crate) const START_CAPACITY: usize = 256 * 1024;
/// A server puts a message together in a buffer of at most 1 GiB less 2 bytes (`MaxAllocSize`); its length counts itself.
const LONGEST_MESSAGE: usize = 0x4000_0002;
/// A buffer that one long message made larger than this is given back when it is empty.
const KEPT_CAPACITY: usize = 4 * 1024 * 1024;
const HEADER: usize = 5;

/// The first message of the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) tag: u8,
    /// Header and payload, in bytes.
    pub(crate) total: usize,
}

/// A buffer with one gap before and one behind what is still to be looked at.
pub(crate) struct ReadBuffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl ReadBuffer {
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0; START_CAPACITY], start: 0, end: 0 }
    }

    /// What was read and not yet consumed.
    pub(crate) fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Drop the first `count` bytes.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start += count;
        debug_assert!(self.start <= self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.bytes.len() > KEPT_CAPACITY {
                self.bytes = vec![0; START_CAPACITY];
            }
        }
    }

    /// The message at `offset` of what is filled, when the whole of it is there.
    pub(crate) fn whole_frame(&self, offset: usize) -> Result<Option<Frame>> {
        let rest = &self.filled()[offset..];
        Ok(frame(rest)?.filter(|frame| frame.total <= rest.len()))
    }

    /// Space behind what is filled, at least one byte; the buffer grows when its first message needs that.
    pub(crate) fn space(&mut self) -> Result<&mut [u8]> {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.bytes.len() {
            // Growing as the bytes come, a length that is a lie costs no memory.
            let wanted = frame(self.filled())?.map_or(0, |frame| frame.total);
            let length = (2 * self.bytes.len()).min(wanted).max(self.bytes.len() + START_CAPACITY);
            self.bytes.resize(length, 0);
        }
        Ok(&mut self.bytes[self.end..])
    }

    /// `count` bytes were written into `space`.
    pub(crate) fn filled_by(&mut self, count: usize) {
        self.end += count;
        debug_assert!(self.end <= self.bytes.len());
    }
}

/// The header at the start of `bytes`, when it is there whole.
fn frame(bytes: &[u8]) -> Result<Option<Frame>> {
    let Some(&[tag, a, b, c, d]) = bytes.first_chunk::<HEADER>() else { return Ok(None) };
    let length = i32::from_be_bytes([a, b, c, d]);
    match usize::try_from(length) {
        Ok(length) if (4..=LONGEST_MESSAGE).contains(&length) => Ok(Some(Frame { tag, total: length + 1 })),
        _ => Err(Error::Protocol(format!("a message of kind `{}` has the length {length}", tag.escape_ascii()))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(tag: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len() + 4).unwrap();
        [&[tag], &length.to_be_bytes()[..], payload].concat()
    }

    fn fill(buffer: &mut ReadBuffer, bytes: &[u8]) -> usize {
        let space = buffer.space().unwrap();
        let count = bytes.len().min(space.len());
        space[..count].copy_from_slice(&bytes[..count]);
        buffer.filled_by(count);
        count
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn messages_come_out_as_they_went_in_however_reads_cut_them(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3_000), 1..20),
            cuts in prop::collection::vec(1_usize..2_000, 1..50),
        ) {
            let sent: Vec<Vec<u8>> = payloads.iter().map(|payload| message(b'd', payload)).collect();
            let wire = sent.concat();
            let mut buffer = ReadBuffer::new();
            let mut received = Vec::new();
            let (mut at, mut cuts) = (0, cuts.iter().cycle());
            while received.len() < sent.len() {
                while let Some(frame) = buffer.whole_frame(0).unwrap() {
                    received.push(buffer.filled()[..frame.total].to_vec());
                    buffer.consume(frame.total);
                }
                let end = wire.len().min(at + cuts.next().unwrap());
                at += fill(&mut buffer, &wire[at..end]);
            }
            prop_assert_eq!(received, sent);
        }
    }

    #[test]
    fn a_message_longer_than_the_buffer_makes_it_grow_and_then_shrink() {
        let wire = message(b'd', &vec![7; 6 * 1024 * 1024]);
        let mut buffer = ReadBuffer::new();
        let mut at = 0;
        while at < wire.len() {
            assert_eq!(buffer.whole_frame(0).unwrap(), None);
            at += fill(&mut buffer, &wire[at..]);
        }
        assert_eq!(buffer.filled(), wire);
        buffer.consume(wire.len());
        assert_eq!(buffer.bytes.len(), START_CAPACITY);
    }

    #[test]
    fn lengths_that_no_message_has_are_refused() {
        for length in [i32::MIN, -1, 0, 3, 0x4000_0003, i32::MAX] {
            let mut buffer = ReadBuffer::new();
            fill(&mut buffer, &[b"d", &length.to_be_bytes()[..]].concat());
            assert!(matches!(buffer.whole_frame(0), Err(Error::Protocol(_))), "{length}");
        }
    }
}
