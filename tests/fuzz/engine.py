"""Tries a function with any bytes: briefly as a test, and by `python -m tests.fuzz` for as long as one likes.

A target's function takes bytes and raises what is wrong. Its inputs begin with the files of `corpus/<name>`: seeds, and
all that ever found something. Tests and long runs try these first; the rest are mutations of them.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.fuzz.mutations import mutate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT: Final = Path(__file__).parents[2]
CORPUS: Final = Path(__file__).parent / "corpus"
BRIEF_S: Final = 2.0
BRIEF_RUNS: Final = 1000
MAX_LENGTH: Final = 4096


class Target(NamedTuple):
    """What is tried.

    Attributes:
        name: Of the module `test_<name>`, of the folder of its corpus, and of its tokens.
        check: Does nothing with bytes that are handled as they should be, and raises for all others.
        seeds: More files to begin with, as patterns from the repository's root.
        prepared: What `check` needs to be there: a context for a whole run.
    """

    name: str
    check: Callable[[bytes], None]
    seeds: tuple[str, ...] = ()
    prepared: Callable[[], contextlib.AbstractContextManager[object]] = contextlib.nullcontext

    @property
    def corpus(self) -> Path:
        """Where its inputs are kept."""
        return CORPUS / self.name

    @property
    def dictionary(self) -> Path:
        """Where its tokens are: texts with a meaning, which chance would take long to find; in libFuzzer's format."""
        return Path(__file__).parent / "tokens" / f"{self.name}.dict"

    def tokens(self) -> list[bytes]:
        """What is in its dictionary."""
        lines = self.dictionary.read_text("ascii").splitlines()
        return [line[1:-1].encode().decode("unicode_escape").encode("latin-1") for line in lines if line[:1] == '"']

    def inputs(self) -> list[bytes]:
        """All inputs to begin with, in an order that stays."""
        files = [*self.corpus.glob("*"), *(file for pattern in self.seeds for file in ROOT.glob(pattern))]
        return [file.read_bytes() for file in sorted(files)]


def briefly(target: Target) -> None:
    """Try the corpus, and up to a thousand mutations of it in two seconds.

    They are the same each time, and a faster machine tries no others: a test should be no lottery.
    """
    chosen = mutated(target, random.Random(target.name), BRIEF_S)
    with target.prepared():
        _try_all(target, itertools.islice(chosen, len(target.inputs()) + BRIEF_RUNS))


def at_length(target: Target, seconds: float) -> int:
    """The same for as long as one likes, with other mutations each time; gives how many runs that were."""
    with target.prepared():
        return _try_all(target, mutated(target, random.Random(), seconds))


def mutated(target: Target, chance: random.Random, seconds: float) -> Iterator[bytes]:
    """The inputs to begin with, then mutations of these until the time is up."""
    inputs, tokens = target.inputs() or [b""], target.tokens()
    yield from inputs
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield mutate(inputs, tokens, chance)[:MAX_LENGTH]


def _try_all(target: Target, inputs: Iterator[bytes]) -> int:
    runs = 0
    for runs, data in enumerate(inputs, 1):  # noqa: B007 - counted
        try:
            target.check(data)
        except BaseException as exc:
            exc.add_note(f"the input was {data!r}, now in {keep(target, data).relative_to(ROOT)}")
            raise
    return runs


def keep(target: Target, data: bytes) -> Path:
    """Put an input that found something into the corpus."""
    path = target.corpus / f"found-{hashlib.sha256(data).hexdigest()[:12]}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
