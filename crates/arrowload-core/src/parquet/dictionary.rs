//! Dictionaries: each distinct value once, and for each row which one it has.

use xxhash_rust::xxh3::xxh3_64;

use crate::parquet::physical::Native;

const FIRST_SLOTS: usize = 1 << 10;
/// How many values are found by their distance from one: as many as fit the second cache.
const NEAR: u64 = 1 << 15;
/// No index.
const FREE: u32 = u32::MAX;
/// An odd number whose bits are as good as random: 2^64 divided by the golden ratio.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

/// Finds the index of a value by its hash.
struct Slots {
    slots: Vec<u32>,
    used: usize,
}

impl Slots {
    fn new() -> Self {
        Self { slots: vec![FREE; FIRST_SLOTS], used: 0 }
    }

    /// The index that is under `hash` and that `is_it`, or the slot that is free for it.
    fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Result<u32, usize> {
        let mask = self.slots.len() - 1;
        // The upper bits of a product depend on all bits of its factors.
        let mut slot = usize::try_from(hash >> 32).expect("32 bits fit") & mask;
        loop {
            match self.slots[slot] {
                FREE => return Err(slot),
                index if is_it(index) => return Ok(index),
                _ => slot = (slot + 1) & mask,
            }
        }
    }

    /// Put `index` into a free slot; `hash_of` tells the hashes of the others, when they must move.
    fn take(&mut self, slot: usize, index: u32, hash_of: impl Fn(u32) -> u64) {
        self.slots[slot] = index;
        self.used += 1;
        if self.used * 2 > self.slots.len() {
            let larger = vec![FREE; self.slots.len() * 4];
            for index in std::mem::replace(&mut self.slots, larger) {
                if index != FREE {
                    let free = self.find(hash_of(index), |_| false).expect_err("nothing is found that is not there");
                    self.slots[free] = index;
                }
            }
        }
    }
}

/// Distinct values in the order in which they came.
pub(super) trait Dictionary {
    type Value;

    fn values(&self) -> &[Self::Value];

    /// What the values take, laid out plainly.
    fn plain_bytes(&self) -> usize;

    /// Put the index of each of `values` into `indices`.
    fn intern(&mut self, values: &[Self::Value], indices: &mut Vec<u32>);

    /// Forget all values but the first so many; no more are added after that.
    fn truncate(&mut self, length: usize);
}

/// A dictionary until it has outgrown a page, and the indices of the last page of values.
pub(super) struct Indexed<D> {
    dictionary: D,
    is_given_up: bool,
    indices: Vec<u32>,
}

impl<D: Dictionary> Indexed<D> {
    pub(super) fn new(dictionary: D) -> Self {
        Self { dictionary, is_given_up: false, indices: Vec::new() }
    }

    pub(super) fn values(&self) -> &[D::Value] {
        self.dictionary.values()
    }

    /// Index a page of values, whose new ones are forgotten when the dictionary gets larger than `max_bytes` by them.
    pub(super) fn index(&mut self, page: &[D::Value], max_bytes: usize) {
        if self.is_given_up {
            return;
        }
        let before = self.values().len();
        self.indices.clear();
        self.dictionary.intern(page, &mut self.indices);
        if self.dictionary.plain_bytes() > max_bytes {
            self.dictionary.truncate(before);
            self.is_given_up = true;
        }
    }

    /// The index of each value of the page; None once the dictionary was given up.
    pub(super) fn indices(&self) -> Option<&[u32]> {
        (!self.is_given_up).then_some(&self.indices)
    }
}

/// A dictionary of values of fixed width.
///
/// Most integers and dates lie close together: those near the first value are found by their distance from it.
pub(super) struct NativeDictionary<T> {
    values: Vec<T>,
    /// The bits of what `near` begins with.
    base: u64,
    near: Vec<u32>,
    far: Slots,
}

impl<T: Native> NativeDictionary<T> {
    pub(super) fn new() -> Self {
        Self { values: Vec::new(), base: 0, near: Vec::new(), far: Slots::new() }
    }

    fn far_index(values: &mut Vec<T>, far: &mut Slots, value: T, bits: u64) -> u32 {
        match far.find(mixed(bits), |index| values[index as usize].bits() == bits) {
            Ok(index) => index,
            Err(slot) => {
                let index = next_index(values.len());
                values.push(value);
                far.take(slot, index, |index| mixed(values[index as usize].bits()));
                index
            }
        }
    }
}

impl<T: Native> Dictionary for NativeDictionary<T> {
    type Value = T;

    fn values(&self) -> &[T] {
        &self.values
    }

    fn plain_bytes(&self) -> usize {
        size_of_val(self.values.as_slice())
    }

    fn truncate(&mut self, length: usize) {
        self.values.truncate(length);
    }

    fn intern(&mut self, values: &[T], indices: &mut Vec<u32>) {
        if let Some(first) = values.first()
            && self.near.is_empty()
        {
            self.base = first.bits().wrapping_sub(NEAR / 2);
            self.near = vec![FREE; usize::try_from(NEAR).expect("it is small")];
        }
        indices.extend(values.iter().map(|value| {
            let bits = value.bits();
            let distance = bits.wrapping_sub(self.base);
            match usize::try_from(distance).ok().and_then(|distance| self.near.get_mut(distance)) {
                Some(slot) => {
                    if *slot == FREE {
                        *slot = next_index(self.values.len());
                        self.values.push(*value);
                    }
                    *slot
                }
                None => Self::far_index(&mut self.values, &mut self.far, *value, bits),
            }
        }));
    }
}

fn next_index(length: usize) -> u32 {
    u32::try_from(length).expect("a dictionary page has fewer values")
}

/// The halves of the product with `MIX`, one over the other.
fn mixed(bits: u64) -> u64 {
    let product = u128::from(bits ^ MIX) * u128::from(MIX);
    u64::try_from((product >> 64) ^ (product & u128::from(u64::MAX))).expect("both are halves")
}

/// A dictionary of texts.
pub(super) struct BytesDictionary<'a> {
    values: Vec<&'a [u8]>,
    slots: Slots,
    /// The lengths of all values together.
    bytes: usize,
}

impl<'a> BytesDictionary<'a> {
    pub(super) fn new() -> Self {
        Self { values: Vec::new(), slots: Slots::new(), bytes: 0 }
    }

    fn index(&mut self, value: &'a [u8]) -> u32 {
        let values = &self.values;
        match self.slots.find(hashed(value), |index| is_same(values[index as usize], value)) {
            Ok(index) => index,
            Err(slot) => {
                let index = next_index(values.len());
                self.values.push(value);
                self.bytes += value.len();
                let values = &self.values;
                self.slots.take(slot, index, |index| hashed(values[index as usize]));
                index
            }
        }
    }
}

impl<'a> Dictionary for BytesDictionary<'a> {
    type Value = &'a [u8];

    fn values(&self) -> &[&'a [u8]] {
        &self.values
    }

    /// Each value with its length.
    fn plain_bytes(&self) -> usize {
        self.bytes + self.values.len() * size_of::<u32>()
    }

    fn intern(&mut self, values: &[&'a [u8]], indices: &mut Vec<u32>) {
        let Some(first) = values.first() else { return };
        let mut last = (*first, self.index(first));
        for value in values {
            if !is_same(value, last.0) {
                last = (value, self.index(value));
            }
            indices.push(last.1);
        }
    }

    fn truncate(&mut self, length: usize) {
        self.values.truncate(length);
    }
}

/// As `==`, which would be a call.
#[inline]
fn is_same(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    match (left.first_chunk::<8>(), left.last_chunk::<8>(), right.first_chunk::<8>(), right.last_chunk::<8>()) {
        (Some(first), Some(last), Some(other_first), Some(other_last)) => {
            first == other_first && last == other_last && (left.len() <= 16 || left == right)
        }
        _ => left.iter().zip(right).all(|(left, right)| left == right),
    }
}

#[inline]
fn hashed(value: &[u8]) -> u64 {
    xxh3_64(value)
}
