"""Bytes made of other bytes: what a long run without a coverage-guided engine, and a brief one, try."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

_ODD: Final = (
    b"\0",
    b"\n",
    b"\r",
    b"\t",
    b'"',
    b"'",
    b"\\",
    b"\xff",
    b"\xc3",
    "\u2028".encode(),
    b"9" * 20,
    b"[" * 100,
)


def mutate(inputs: Sequence[bytes], tokens: Sequence[bytes], chance: random.Random) -> bytes:
    """One of `inputs` with a few changes: bytes altered, pieces taken out, doubled, moved, or from another input."""
    data = bytearray(chance.choice(inputs))
    for _ in range(chance.choice((1, 1, 2, 3, 5, 8))):
        start = chance.randint(0, len(data))
        end = min(len(data), start + chance.choice((0, 1, 1, 2, 4, 8, 32)))
        match chance.randrange(7):
            case 0 if data:
                data[start % len(data)] = chance.randrange(256)
            case 1 if data:
                data[start % len(data)] ^= 1 << chance.randrange(8)
            case 2:
                del data[start:end]
            case 3:
                piece, to = data[start:end], chance.randint(0, len(data))
                data[to:to] = piece * chance.choice((1, 1, 2, 50))
            case 4:
                other = chance.choice(inputs)
                at = chance.randint(0, len(other))
                data[start:end] = other[at : at + chance.choice((4, 16, 64))]
            case 5:
                data[start:end] = chance.choice(_ODD)
            case _:
                data[start:end] = chance.choice(tokens or _ODD)
    return bytes(data)


def altered(whole: bytes, changes: bytes) -> bytes:
    """`whole` with what `changes` says: each three bytes of it are a place, two of them, and the byte to put there.

    A place in the upper half of the range cuts there instead.
    """
    data = bytearray(whole)
    for at in range(0, len(changes) - 2, 3):
        place = int.from_bytes(changes[at : at + 2], "big")
        if place < 1 << 15:
            data[place % len(data)] = changes[at + 2]
        else:
            start = place % len(data)
            del data[start : start + 1 + changes[at + 2] % 8]
        if not data:
            break
    return bytes(data)
