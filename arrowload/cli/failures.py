"""From an exception to what a person reads and what the process exits with."""

from __future__ import annotations

import errno
import re
import signal
import traceback
from typing import Any, Final, NamedTuple

import click

from arrowload.cli.signals import received_signal
from arrowload.cli.text import printable
from arrowload.core.exceptions import DataLoaderError
from arrowload.core.secret import mask

EXIT_USAGE: Final = 2
EXIT_DEFECT: Final = 70
EXIT_CANNOT_CREATE: Final = 73
EXIT_TRY_LATER: Final = 75
EXIT_SIGINT: Final = 130
# What a shell reports of a program that SIGPIPE ended, as it does `yes | head`.
EXIT_SIGPIPE: Final = 141

_INTERRUPTED_HINT = "run again: it goes on from what is committed"


class OutputFileError(DataLoaderError):
    """A file that the command was to write is there already, or cannot be written."""

    exit_code = EXIT_CANNOT_CREATE


class Failure(NamedTuple):
    """What ended a command; secrets are masked.

    Attributes:
        kind: The class of the exception.
        message: One sentence on one line.
        hint: The next thing to do.
        exit_code: Of the process.
        context: Facts for machines.
        traceback: For `--debug`.
    """

    kind: str
    message: str
    exit_code: int
    hint: str | None
    context: dict[str, Any]
    traceback: str


def describe(exc: BaseException) -> Failure:
    """What `exc` means for whoever started the command."""
    message, hint, exit_code = _explain(exc)
    return Failure(
        kind=type(exc).__name__,
        message=printable(mask(message)),
        exit_code=exit_code,
        hint=printable(mask(hint)) if hint else None,
        context=dict(exc.context) if isinstance(exc, DataLoaderError) else {},
        traceback=mask("".join(traceback.format_exception(exc))),
    )


def _explain(exc: BaseException) -> tuple[str, str | None, int]:
    """Message, hint and exit code."""
    number = received_signal()
    if number is not None or isinstance(exc, KeyboardInterrupt):
        # A driver may have turned the interruption into an error of its own.
        code = EXIT_TRY_LATER if number == signal.SIGTERM else EXIT_SIGINT
        return f"interrupted by {signal.Signals(number or signal.SIGINT).name}", _INTERRUPTED_HINT, code
    if isinstance(exc, click.ClickException):
        return _explain_usage(exc)
    if isinstance(exc, DataLoaderError):
        return exc.message, exc.hint, exc.exit_code
    if isinstance(exc, OSError) and exc.errno is not None:
        where = f": `{exc.filename}`" if exc.filename else ""
        code = EXIT_CANNOT_CREATE if isinstance(exc, PermissionError) else EXIT_TRY_LATER
        return f"{exc.strerror or exc}{where}", _os_hint(exc), code
    if isinstance(exc, MemoryError):
        return "memory is used up", "lower `runtime.max_memory` or `runtime.batch_size`", EXIT_TRY_LATER
    return (
        f"unexpected {type(exc).__name__}: {exc}",
        "this is a defect of arrowload or of a plug-in; `arrowload --debug …` shows where, please report it",
        EXIT_DEFECT,
    )


def _explain_usage(exc: click.ClickException) -> tuple[str, str | None, int]:
    """Click's sentences in the form that all errors have: lower case, objects in backticks, the next step apart."""
    text = re.sub(r"'([^']*)'", r"`\1`", exc.format_message())
    sentence, _, suggestion = text.partition(" Did you mean ")
    sentence = sentence.rstrip(".")
    context = getattr(exc, "ctx", None)
    hint = f"`{context.command_path} --help` shows how" if context is not None else None
    return f"{sentence[:1].lower()}{sentence[1:]}", f"did you mean {suggestion}" if suggestion else hint, EXIT_USAGE


def _os_hint(exc: OSError) -> str:
    match exc.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return "make room, and run again"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return "check the permissions of the file and its folder"
        case _:
            return "check the path, and run again"
