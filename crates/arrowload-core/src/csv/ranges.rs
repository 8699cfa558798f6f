//! Cuts a file where records start, so that its parts can be read apart.

use memchr::memchr_iter;

use super::parser::BYTE_ORDER_MARK;

/// Finds, in text that is fed piece by piece, the first record that starts at or after each of some positions.
///
/// Only quotes are looked at up to there: outside quotes one counts where a cell starts, inside them one that is not
/// doubled ends them.
#[derive(Debug)]
pub struct CsvRanges {
    delimiter: u8,
    quote: Option<u8>,
    targets: Vec<u64>,
    cuts: Vec<u64>,
    /// Bytes seen, and how many of the first are those of a byte order mark.
    at: u64,
    marked: usize,
    last: u8,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Outside,
    Inside,
    /// Behind a quote inside quotes, which the next byte tells the meaning of.
    Closing,
}

impl CsvRanges {
    /// A search from the start of a file for `targets`, which ascend and lie behind a byte order mark.
    #[must_use]
    pub fn new(delimiter: u8, quote: Option<u8>, targets: Vec<u64>) -> Self {
        Self { delimiter, quote, targets, cuts: Vec::new(), at: 0, marked: 0, last: b'\n', state: State::Outside }
    }

    /// Takes in the text that follows; whether more is needed.
    pub fn feed(&mut self, text: &[u8]) -> bool {
        let mut rest = self.behind_mark(text);
        while let Some(target) = self.targets.get(self.cuts.len()).copied() {
            if rest.is_empty() {
                return true;
            }
            let skipped = usize::try_from(target.saturating_sub(self.at)).unwrap_or(usize::MAX).min(rest.len());
            self.follow(&rest[..skipped]);
            rest = &rest[skipped..];
            if self.at < target {
                return true;
            }
            rest = &rest[self.seek(rest)..];
        }
        false
    }

    /// Where the records start; positions that no record starts after are left out.
    #[must_use]
    pub fn cuts(&self) -> &[u64] {
        &self.cuts
    }

    /// What of `text` is no byte order mark; a cell starts behind one.
    fn behind_mark<'a>(&mut self, text: &'a [u8]) -> &'a [u8] {
        let seen = usize::try_from(self.at).unwrap_or(usize::MAX);
        let Some(mark) = BYTE_ORDER_MARK.get(seen..).filter(|_| seen == self.marked) else { return text };
        let length = mark.iter().zip(text).take_while(|(mark, byte)| mark == byte).count();
        self.marked += length;
        self.at += length as u64;
        if (1..BYTE_ORDER_MARK.len()).contains(&self.marked) {
            self.last = BYTE_ORDER_MARK[self.marked - 1];
        } else {
            self.last = b'\n';
        }
        &text[length..]
    }

    /// Keeps track of quotes over `text`.
    fn follow(&mut self, text: &[u8]) {
        if text.is_empty() {
            return;
        }
        if let Some(quote) = self.quote {
            if self.state == State::Closing && text[0] != quote {
                self.state = State::Outside;
            }
            let mut behind = None;
            for at in memchr_iter(quote, text) {
                if self.state == State::Closing && behind != Some(at) && at > 0 {
                    self.state = State::Outside;
                }
                let before = if at == 0 { self.last } else { text[at - 1] };
                self.state = self.after_quote(before);
                behind = Some(at + 1);
            }
            if self.state == State::Closing && behind != Some(text.len()) {
                self.state = State::Outside;
            }
        }
        self.at += text.len() as u64;
        self.last = text[text.len() - 1];
    }

    fn after_quote(&self, before: u8) -> State {
        match self.state {
            State::Inside => State::Closing,
            State::Closing => State::Inside,
            State::Outside if before == self.delimiter || matches!(before, b'\r' | b'\n') => State::Inside,
            State::Outside => State::Outside,
        }
    }

    /// Follows `text` to the start of a record, or to its end; gives how far.
    fn seek(&mut self, text: &[u8]) -> usize {
        for (at, byte) in text.iter().enumerate() {
            // Behind a CR or LF that is in no quotes; an LF may belong to the CR before it.
            let starts = matches!(self.last, b'\r' | b'\n') && !matches!(byte, b'\r' | b'\n');
            if starts && self.state == State::Outside {
                self.cuts.push(self.at);
                return at;
            }
            self.follow(std::slice::from_ref(byte));
        }
        text.len()
    }
}
