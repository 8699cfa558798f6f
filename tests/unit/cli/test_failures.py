"""From an exception to a sentence and an exit code."""

from __future__ import annotations

import errno

import pytest
from polars.exceptions import PanicException

from arrowload.cli.failures import describe
from arrowload.core import exceptions
from arrowload.core.secret import Secret


@pytest.mark.parametrize(
    ("kind", "exit_code"),
    [
        ("RecipeError", 78),
        ("ConnectorError", 78),
        ("TransientConnectorError", 75),
        ("CredentialsError", 77),
        ("DataError", 65),
        ("MissingExtraError", 78),
        ("TransformError", 65),
        ("StateError", 78),
        ("EngineError", 70),
        ("BusyError", 75),
        ("OutcomeUnknownError", 74),
    ],
)
def test_our_own_errors(kind: str, exit_code: int) -> None:
    """Sentence, hint, facts and exit code are the error's own."""
    error = getattr(exceptions, kind)("`t` is not there", context={"table": "t"}, hint="make it")

    failure = describe(error)

    assert (failure.message, failure.hint, failure.context) == ("`t` is not there", "make it", {"table": "t"})
    assert (failure.exit_code, failure.kind) == (exit_code, kind)


def test_errors_of_the_system() -> None:
    """A full disk is no defect."""
    failure = describe(OSError(errno.ENOSPC, "No space left on device", "out.duckdb"))

    assert failure.message == "No space left on device: `out.duckdb`"
    assert failure.hint == "make room, and run again"
    assert failure.exit_code == 75


def test_a_panic_is_a_defect() -> None:
    """What derives from BaseException alone is told in the same form."""
    failure = describe(PanicException("index out of bounds"))

    assert failure.exit_code == 70
    assert failure.message == "unexpected PanicException: index out of bounds"


def test_nothing_but_one_line() -> None:
    """Line breaks and escape sequences of foreign messages reach no terminal."""
    failure = describe(exceptions.ConnectorError("first\nsecond \x1b[31mred"))

    assert failure.message == "first second \\x1b[31mred"


def test_secrets_are_masked() -> None:
    """In sentences of strangers, and in tracebacks with all that they quote."""
    password = Secret("correct-horse-battery").reveal()
    try:
        try:
            raise ValueError(f"cannot log in with {password}")
        except ValueError as exc:
            raise RuntimeError("gave up") from exc
    except RuntimeError as exc:
        failure = describe(exc)
        unexpected = describe(exc.__cause__)

    assert "cannot log in with ***" in failure.traceback
    assert unexpected.message == "unexpected ValueError: cannot log in with ***"
    assert password not in failure.traceback + unexpected.traceback
