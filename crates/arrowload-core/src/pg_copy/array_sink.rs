//! Arrays: dimensions, bounds and elements to lists of lists.

use std::sync::Arc;

use arrow_array::{ArrayRef, ListArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, FieldRef};

use super::decoder::DecodeOptions;
use super::sink::{Nulls, Place, Refusal, Sink, renew, sink_for};
use super::wire::{MAX_DIMENSIONS, WireType};

/// Bytes before the dimensions: their number, flags, element type.
const HEADER: usize = 12;
/// Bytes of a dimension: size, lower bound.
const DIMENSION: usize = 8;

/// Gathers arrays of as many dimensions as there are `levels`.
pub(super) struct ArraySink {
    element_oid: u32,
    /// From the outermost list inwards.
    levels: Vec<Level>,
    elements: Box<dyn Sink>,
    nulls: Nulls,
    /// Of the elements of one run, kept for its memory.
    places: Vec<Place>,
}

struct Level {
    field: FieldRef,
    /// One more than there are lists.
    offsets: Vec<i32>,
}

impl ArraySink {
    /// None when the elements, or the depth of the lists, have no such sink.
    pub(super) fn new(
        element: &WireType,
        element_oid: u32,
        data_type: &DataType,
        options: DecodeOptions,
    ) -> Option<Self> {
        let (mut levels, mut inner) = (Vec::new(), data_type);
        while let DataType::List(field) = inner {
            levels.push(Level { field: field.clone(), offsets: vec![0] });
            inner = field.data_type();
        }
        if matches!(element, WireType::Array { .. }) || levels.len() > MAX_DIMENSIONS {
            return None;
        }
        let elements = sink_for(element, inner, options)?;
        Some(Self { element_oid, levels, elements, nulls: Nulls::default(), places: Vec::new() })
    }

    /// Notes the lists and the places of the elements of one array.
    fn walk(&mut self, start: u32, field: &[u8]) -> Result<(), Fault> {
        let mut reader = Reader { field, at: 0 };
        let (dimensions, _flags, oid) = (reader.word()?, reader.word()?, reader.word()?);
        if oid != self.element_oid {
            return Err(Fault::Unfit(format!("its elements have type {oid}, not {}", self.element_oid)));
        }
        if dimensions == 0 {
            return if field.len() == HEADER { self.close() } else { Err(Fault::LeftOver) };
        }
        let depth = self.levels.len();
        if usize::try_from(dimensions) != Ok(depth) {
            return Err(Fault::Unfit(format!("it has {dimensions} dimensions, not {depth}")));
        }
        let room = field.len().saturating_sub(HEADER + DIMENSION * depth) / 4;
        let mut lists = 1usize;
        for level in &mut self.levels {
            let (size, bound) = (reader.word()? as usize, reader.word()?);
            if bound != 1 {
                return Err(Fault::Unfit(format!("its lower bound is {}, not 1", bound.cast_signed())));
            }
            // Each element takes four bytes, so no size can be greater; a dimension of none is sent as no dimension.
            let elements = lists.checked_mul(size).filter(|elements| (1..=room).contains(elements));
            level.extend(lists, size)?;
            lists = elements.ok_or(Fault::Broken("its dimensions are not those of its elements"))?;
        }
        for _ in 0..lists {
            let length = reader.word()?.cast_signed();
            let at = reader.at;
            reader.skip(length)?;
            let place = Place { start: start + u32::try_from(at).map_err(|_| Fault::Overrun)?, length };
            self.places.push(if length < 0 { Place::NULL } else { place });
        }
        if reader.at == field.len() { Ok(()) } else { Err(Fault::LeftOver) }
    }

    /// Adds an empty list.
    fn close(&mut self) -> Result<(), Fault> {
        self.levels[0].extend(1, 0)
    }

    fn refusal(index: usize, field: &[u8], fault: Fault) -> Refusal {
        match fault {
            Fault::Unfit(reason) => Refusal::unfit(index, "an array", reason),
            Fault::Broken(reason) => Refusal::broken(index, field, reason),
            Fault::Overrun => Refusal::broken(index, field, "its elements reach beyond its end"),
            Fault::LeftOver => Refusal::broken(index, field, "bytes follow its elements"),
        }
    }
}

impl Level {
    /// Adds `lists` lists of `size` each.
    fn extend(&mut self, lists: usize, size: usize) -> Result<(), Fault> {
        let mut end = self.offsets.last().copied().unwrap_or(0);
        let size = i32::try_from(size).map_err(|_| Fault::Overrun)?;
        for _ in 0..lists {
            end = end.checked_add(size).ok_or(Fault::Broken("the lists of one batch have more than 2^31 elements"))?;
            self.offsets.push(end);
        }
        Ok(())
    }
}

/// What is wrong with an array.
enum Fault {
    Unfit(String),
    Broken(&'static str),
    Overrun,
    LeftOver,
}

struct Reader<'a> {
    field: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn word(&mut self) -> Result<u32, Fault> {
        let word = self.field.get(self.at..).and_then(<[u8]>::first_chunk).ok_or(Fault::Overrun)?;
        self.at += 4;
        Ok(u32::from_be_bytes(*word))
    }

    /// Goes past a field of `length` bytes, -1 for NULL.
    fn skip(&mut self, length: i32) -> Result<(), Fault> {
        match usize::try_from(length) {
            Ok(length) if length <= self.field.len() - self.at => self.at += length,
            Err(_) if length == -1 => {}
            _ => return Err(Fault::Overrun),
        }
        Ok(())
    }
}

impl Sink for ArraySink {
    fn extend(&mut self, bytes: &[u8], places: &mut [Place]) -> Result<(), Refusal> {
        self.places.clear();
        let mut any_null = false;
        let first = self.levels[0].offsets.len();
        let mut ends = Vec::with_capacity(places.len());
        for (index, place) in places.iter().enumerate() {
            let outcome = if place.is_null() {
                any_null = true;
                self.close()
            } else {
                self.walk(place.start, place.of(bytes))
            };
            outcome
                .map_err(|fault| Self::refusal(index, if place.is_null() { &[] } else { place.of(bytes) }, fault))?;
            ends.push(self.places.len());
        }
        debug_assert_eq!(self.levels[0].offsets.len(), first + places.len());
        let mut element_places = std::mem::take(&mut self.places);
        let row_of = |element: usize| ends.partition_point(|end| *end <= element);
        self.elements.extend(bytes, &mut element_places).map_err(|mut refusal| {
            refusal.index = row_of(refusal.index);
            refusal
        })?;
        let nullable = self.levels.last().is_none_or(|level| level.field.is_nullable());
        if !nullable && let Some(element) = element_places.iter().position(|place| place.is_null()) {
            return Err(Refusal::unfit(row_of(element), "NULL", "its elements cannot be null"));
        }
        self.places = element_places;
        self.nulls.extend(places, any_null);
        Ok(())
    }

    fn bytes(&self) -> usize {
        let offsets: usize = self.levels.iter().map(|level| size_of_val(level.offsets.as_slice())).sum();
        offsets + self.elements.bytes() + self.nulls.bytes()
    }

    fn take(&mut self) -> ArrayRef {
        let mut values = self.elements.take();
        let mut nulls = self.nulls.take();
        let outermost = self.levels.len() - 1;
        for (height, level) in self.levels.iter_mut().rev().enumerate() {
            let offsets = OffsetBuffer::new(renew(&mut level.offsets).into());
            level.offsets.push(0);
            let nulls = if height == outermost { nulls.take() } else { None };
            values = Arc::new(ListArray::new(level.field.clone(), offsets, values, nulls));
        }
        values
    }
}
