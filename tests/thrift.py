"""Reads structs in Thrift's compact protocol, in which Parquet's metadata is written."""

from __future__ import annotations

from typing import Any


def read_struct(data: bytes, at: int = 0) -> tuple[dict[int, Any], int]:
    """The fields of the struct at `at` by their ids, and where it ends."""
    fields: dict[int, Any] = {}
    last = 0
    while header := data[at]:
        at += 1
        step, kind = header >> 4, header & 15
        if step == 0:
            last, at = _integer(data, at)
        else:
            last += step
        fields[last], at = (kind == 1, at) if kind in {1, 2} else _value(data, at, kind)
    return fields, at + 1


def _value(data: bytes, at: int, kind: int) -> tuple[Any, int]:
    match kind:
        case 1 | 2:
            return data[at] == 1, at + 1
        case 3:
            return data[at], at + 1
        case 4 | 5 | 6:
            return _integer(data, at)
        case 8:
            length, at = _varint(data, at)
            return data[at : at + length], at + length
        case 9:
            header = data[at]
            length, at = (header >> 4, at + 1) if header >> 4 < 15 else _varint(data, at + 1)
            values = []
            for _ in range(length):
                value, at = _value(data, at, header & 15)
                values.append(value)
            return values, at
        case 12:
            return read_struct(data, at)
    raise ValueError(f"no such kind: {kind}")


def _integer(data: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    return (value >> 1) ^ -(value & 1), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at
