"""What every error has in common."""

from __future__ import annotations

from arrowload.core.exceptions import DataError


def test_a_message_gives_a_terminal_no_orders() -> None:
    """Names of columns come from the data; what they hold is shown, and the lines of a database's own words stay."""
    error = DataError("column `a\x1b[31m\u202eb` is odd:\n\tLINE 1", hint="rename `\x07`")

    assert error.message == r"column `a\x1b[31m\u202eb` is odd:" + "\n\tLINE 1"
    assert error.hint == r"rename `\x07`"
