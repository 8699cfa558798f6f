"""Kernels let other Python threads run while they compute."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from arrowload import kernels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROWS = 4_000_000


@pytest.fixture
def rare_switches() -> Iterator[None]:
    """Threads that hold the GIL keep it for a minute, so that only a release lets another one in."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(60)
    yield
    sys.setswitchinterval(interval)


def row_hash() -> Callable[[], object]:
    batch = pa.RecordBatch.from_arrays([pa.array(range(ROWS))] * 4, list("abcd"))
    return lambda: kernels.row_hash(batch)


def content_hash() -> Callable[[], object]:
    batch = pa.RecordBatch.from_arrays([pa.array(range(ROWS))] * 4, list("abcd"))
    return lambda: kernels.content_hash(batch)


def numeric_to_decimal() -> Callable[[], object]:
    texts = pa.array(range(ROWS)).cast(pa.string())
    return lambda: kernels.numeric_to_decimal(texts, 38, 4)


def parse_texts() -> Callable[[], object]:
    texts = pa.array(range(ROWS)).cast(pa.string())
    return lambda: kernels.parse_texts(texts, pa.int64())


@pytest.mark.parametrize("prepare", [row_hash, content_hash, numeric_to_decimal, parse_texts])
@pytest.mark.usefixtures("rare_switches")
def test_another_thread_works_during_a_call(prepare: Callable[[], Callable[[], object]]) -> None:
    """A second thread takes time stamps, some of them between start and end of the call."""
    call, stamps, stop = prepare(), [], threading.Event()

    def tick() -> None:
        while not stop.wait(0.0005):
            stamps.append(time.perf_counter())

    ticker = threading.Thread(target=tick)
    ticker.start()
    start = time.perf_counter()
    call()
    end = time.perf_counter()
    stop.set()
    ticker.join()

    assert any(start < stamp < end for stamp in stamps)
