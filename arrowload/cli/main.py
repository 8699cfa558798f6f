"""The `arrowload` command: what every call of it shares, from parsing to the exit code."""

from __future__ import annotations

import gc
import os
import select
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

import click
from click.exceptions import Exit

from arrowload.cli.commands.backfill import backfill
from arrowload.cli.commands.chaos import chaos
from arrowload.cli.commands.init import init
from arrowload.cli.commands.list_connectors import list_connectors
from arrowload.cli.commands.plan import plan
from arrowload.cli.commands.preview import preview
from arrowload.cli.commands.quarantine import quarantine
from arrowload.cli.commands.run import run
from arrowload.cli.commands.show import show
from arrowload.cli.commands.state import repair, show_state, state
from arrowload.cli.commands.validate import validate
from arrowload.cli.commands.verify import verify
from arrowload.cli.failures import EXIT_SIGPIPE, EXIT_USAGE, describe
from arrowload.cli.options import Session
from arrowload.cli.signals import interruptible

if TYPE_CHECKING:
    from collections.abc import Sequence

_NAME = "arrowload"
_GC_THRESHOLD = 50_000  # new objects


class _Group(click.Group):
    """Lists its commands in the order of a first session, and not of the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(
    cls=_Group,
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: arrowload init shop && arrowload run shop/recipe.yaml\n\n"
    "Exit codes: 0 done, 2 usage, 65 bad data, 70 a defect, 73 a file cannot be written, 74 outcome unknown, "
    "75 busy or try later, 77 credentials, 78 bad recipe or conflicting state, 130 interrupted.",
)
@click.option("--debug", is_flag=True, envvar="ARROWLOAD_DEBUG", help="Show tracebacks [env: ARROWLOAD_DEBUG].")
@click.version_option(package_name=_NAME, message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context, *, debug: bool) -> None:
    """Load data as a recipe says: fast, exact, nothing lost and nothing twice.

    Data goes to stdout, all else to stderr.
    """
    context.ensure_object(Session).debug = debug
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(EXIT_USAGE)


for _command in (
    init,
    validate,
    plan,
    preview,
    run,
    backfill,
    verify,
    chaos,
    quarantine,
    show,
    show_state,
    state,
    repair,
    list_connectors,
):
    cli.add_command(_command)


def main() -> NoReturn:
    """The entry point of the console script."""
    if f"_{_NAME.upper()}_COMPLETE" in os.environ:
        cli.main(prog_name=_NAME)
    # By default, garbage is looked for dozens of times while modules are imported, and there is none.
    gc.set_threshold(_GC_THRESHOLD)
    code = invoke(sys.argv[1:])
    if sys.stderr is not None:
        with suppress(OSError):  # nobody reads it any more
            sys.stderr.flush()
    # What has to be closed is closed. To take the interpreter apart, module by module, would be a seventh of the time
    # that ten rows take.
    os._exit(code)


def invoke(arguments: Sequence[str]) -> int:
    """Run one command line.

    Args:
        arguments: Without the program's name.

    Returns:
        The exit code.
    """
    session = Session()
    with interruptible():
        try:
            code = _dispatch(arguments, session)
            if sys.stdout is not None:
                sys.stdout.flush()
        except BaseException as exc:  # noqa: BLE001 - Polars' panics are no Exceptions; nothing may end in a traceback
            if isinstance(exc, BrokenPipeError) and _lost_reader():
                return EXIT_SIGPIPE
            failure = describe(exc)
            session.output.failed(failure, debug=session.debug)
            return failure.exit_code
        finally:
            session.output.close()
    return code


def _dispatch(arguments: Sequence[str], session: Session) -> int:
    # `cli.main` would take every BrokenPipeError, a driver's too, for a reader of stdout that is gone.
    try:
        with cli.make_context(_NAME, list(arguments), obj=session) as context:
            cli.invoke(context)
    except Exit as exc:
        return exc.exit_code
    return 0


def _lost_reader() -> bool:
    """Whether it is stdout that nobody reads any more; what is left in its buffer goes nowhere then."""
    try:
        stdout = sys.stdout.fileno()
    except (AttributeError, OSError):
        return False
    # A second flush would not tell: Python drops what it could not write.
    poller = select.poll()
    poller.register(stdout, 0)
    if not any(state & (select.POLLERR | select.POLLHUP) for _, state in poller.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), stdout)
    return True
