"""A load plan: everything that a run will do, resolved, as plain data that serialises."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import pyarrow as pa

from arrowload.core.typing import Delivery, WriteMode
from arrowload.planning.capabilities import SourceFacts, TargetFacts, Window
from arrowload.planning.contract import Drift


class LoadPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a run will do; holds no secret.

    Attributes:
        recipe: Its name.
        source, window: What is read, how, and between which bounds.
        input_schema: Of the rows as they are read.
        steps: The transform steps, one line each.
        output_schema: Of the rows after the last step.
        target: Where and how they are stored; None for a recipe that is only read.
        write_mode, merge_keys: How they are applied.
        delivery, delivery_reason: The level that this recipe gets, and why.
        splits: What is read by itself, one line each; none when the window is empty or was not opened.
        readers: How many of them are read at once.
        relayed: Rows are passed on as they lie on the wire.
        batch_size, parallelism, max_memory: Rows, splits in flight, bytes.
        checks: What must hold before the load is published, one line each.
        commit_every: How much is committed at once; None for all of it.
        max_rejected: How many rows of a run may go to quarantine.
        drift: What differs between the rows and the target, and what becomes of it; only under a contract.
        notes: What a person should know, one sentence each.
    """

    recipe: str
    source: SourceFacts
    window: Window
    input_schema: pa.Schema
    steps: tuple[str, ...]
    output_schema: pa.Schema
    target: TargetFacts | None
    write_mode: WriteMode
    merge_keys: tuple[str, ...]
    delivery: Delivery
    delivery_reason: str
    batch_size: int
    parallelism: int | Literal["auto"]
    max_memory: int
    checks: tuple[str, ...] = ()
    commit_every: str | None = None
    max_rejected: int = 0
    splits: tuple[str, ...] = ()
    readers: int = 1
    relayed: bool = False
    drift: tuple[Drift, ...] = ()
    notes: tuple[str, ...] = ()

    def to_msgpack(self) -> bytes:
        """The plan as MessagePack; schemas travel as Arrow IPC bytes."""
        return msgspec.msgpack.encode(self, enc_hook=_encode_schema)

    @classmethod
    def from_msgpack(cls, data: bytes) -> LoadPlan:
        """The inverse of `to_msgpack`."""
        return msgspec.msgpack.decode(data, type=cls, dec_hook=_decode_schema)


def _encode_schema(value: Any) -> bytes:
    if isinstance(value, pa.Schema):
        return bytes(value.serialize())
    raise NotImplementedError(f"a plan holds no {type(value).__name__}")


def _decode_schema(kind: type, value: Any) -> Any:
    if kind is pa.Schema:
        return pa.ipc.read_schema(pa.py_buffer(value))
    raise NotImplementedError(f"a plan holds no {kind.__name__}")
