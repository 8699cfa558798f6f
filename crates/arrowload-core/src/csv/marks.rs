//! The bytes that may end a cell or a quote: found 64 at a time, given one by one.

const LANES: usize = 64;

/// Delimiter, quote, CR and LF: what the search looks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Needles(pub(super) [u8; 4]);

/// Positions of the needles in `data`, ascending.
pub(super) struct Marks<'a> {
    data: &'a [u8],
    needles: Needles,
    block: usize,
    found: u64,
}

impl<'a> Marks<'a> {
    pub(super) fn new(data: &'a [u8], needles: Needles) -> Self {
        let mut marks = Self { data, needles, block: 0, found: 0 };
        marks.search();
        marks
    }

    fn search(&mut self) {
        let rest = &self.data[self.block..];
        self.found = if let Some(lanes) = rest.first_chunk::<LANES>() {
            find(lanes, self.needles)
        } else {
            let mut lanes = [0; LANES];
            lanes[..rest.len()].copy_from_slice(rest);
            // What was padded is no part of the data, though it may equal a needle.
            find(&lanes, self.needles) & ((1 << rest.len()) - 1)
        };
    }
}

impl Iterator for Marks<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.found == 0 {
            if self.data.len() - self.block <= LANES {
                return None;
            }
            self.block += LANES;
            self.search();
        }
        let lane = self.found.trailing_zeros();
        self.found &= self.found - 1;
        Some(self.block + lane as usize)
    }
}

/// Bit `i` is set when lane `i` is one of the needles.
#[cfg(target_arch = "x86_64")]
#[inline]
fn find(lanes: &[u8; LANES], needles: Needles) -> u64 {
    // SAFETY: every x86-64 processor has SSE2.
    unsafe { find_sse2(lanes, needles) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
#[inline]
fn find_sse2(lanes: &[u8; LANES], Needles(needles): Needles) -> u64 {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8};

    let [a, b, c, d] = needles.map(|needle| _mm_set1_epi8(needle.cast_signed()));
    let (sixteens, _) = lanes.as_chunks::<16>();
    let mut found = 0;
    for bytes in sixteens.iter().rev() {
        let both = i128::from_le_bytes(*bytes);
        #[expect(clippy::cast_possible_truncation, reason = "the two halves of 16 bytes")]
        let bytes = _mm_set_epi64x((both >> 64) as i64, both as i64);
        let first = _mm_or_si128(_mm_cmpeq_epi8(bytes, a), _mm_cmpeq_epi8(bytes, b));
        let second = _mm_or_si128(_mm_cmpeq_epi8(bytes, c), _mm_cmpeq_epi8(bytes, d));
        let mask = _mm_movemask_epi8(_mm_or_si128(first, second));
        found = found << 16 | u64::from(mask.cast_unsigned());
    }
    found
}

/// Bit `i` is set when lane `i` is one of the needles.
#[cfg(not(target_arch = "x86_64"))]
fn find(lanes: &[u8; LANES], needles: Needles) -> u64 {
    find_portably(lanes, needles)
}

#[cfg(any(test, not(target_arch = "x86_64")))]
fn find_portably(lanes: &[u8; LANES], Needles(needles): Needles) -> u64 {
    lanes.iter().rev().fold(0, |found, byte| found << 1 | u64::from(needles.contains(byte)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NEEDLES: Needles = Needles(*b",\"\r\n");

    proptest! {
        #[test]
        fn every_needle_is_found_once(data in proptest::collection::vec(prop_oneof![Just(b','), Just(b'"'), Just(b'\n'), Just(0), any::<u8>()], 0..300)) {
            let expected: Vec<usize> = (0..data.len()).filter(|i| NEEDLES.0.contains(&data[*i])).collect();
            prop_assert_eq!(Marks::new(&data, NEEDLES).collect::<Vec<_>>(), expected);
        }

        #[test]
        fn both_searches_agree(lanes in proptest::array::uniform32(any::<u8>()), needle in any::<u8>()) {
            let mut all = [0; LANES];
            all[..32].copy_from_slice(&lanes);
            all[32..].copy_from_slice(&lanes);
            let needles = Needles([needle, lanes[0], 0, 255]);
            prop_assert_eq!(find(&all, needles), find_portably(&all, needles));
        }
    }
}
