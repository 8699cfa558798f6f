"""`arrowload run`: load what is due."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from arrowload.cli.failures import OutputFileError, describe
from arrowload.cli.options import Session, opened_recipe, pass_session, recipe_options, write_data
from arrowload.cli.output import LogFormat, as_json, failure_facts, make_output
from arrowload.cli.signals import stop_if_interrupted

if TYPE_CHECKING:
    from arrowload.engine.report import RunReport


@click.command(epilog="Example: arrowload run recipe.yaml --var day=2026-01-31")
@recipe_options
@click.option("--full-refresh", is_flag=True, help="Load everything anew, in the place of what is there.")
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="json: one object a line on stderr.",
)
@click.option(
    "--report", "report_path", metavar="FILE", help="Write the report there as JSON, of a failure too; - is stdout."
)
@pass_session
def run(
    session: Session,
    recipe: Path,
    variables: dict[str, str],
    *,
    full_refresh: bool,
    log_format: LogFormat,
    report_path: str | None,
) -> None:
    """Load what is due, and say what was done.

    After a failure run it again: nothing is lost, and nothing comes twice. Templates see the environment and, for
    what it lacks, the file .env beside the recipe or else in the working directory.
    """
    session.output = make_output(log_format)
    report = _ReportFile(report_path)
    try:
        result, look = _load(session, recipe, variables, full_refresh=full_refresh)
    except BaseException as exc:
        failed = {"status": "failed", "recipe_file": str(recipe), **failure_facts(describe(exc))}
        report.write(failed, otherwise=session)
        raise
    session.output.finished(result, look)
    report.write(result)


def _load(
    session: Session, recipe: Path, variables: dict[str, str], *, full_refresh: bool
) -> tuple[RunReport, str | None]:
    from arrowload import api
    from arrowload.cli.summary import look_command

    with opened_recipe(recipe, variables) as loaded:
        result = api.run(loaded, full_refresh=full_refresh, subscribers=(session.output.event, stop_if_interrupted))
    return result, look_command(loaded.destination)


class _ReportFile:
    """Where the report goes: checked before the load, since afterwards it is too late.

    Args:
        path: A file, `-` for stdout, None for nowhere.

    Raises:
        OutputFileError: No file can be written there.
    """

    def __init__(self, path: str | None) -> None:
        self._path = path
        if path is not None and path != "-":
            folder = Path(path).parent
            if Path(path).is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
                raise OutputFileError(
                    f"the report cannot be written to `{path}`",
                    context={"path": path},
                    hint="name a file in a folder that is there",
                )

    def write(self, report: Any, *, otherwise: Session | None = None) -> None:
        """Write it in one step, so that no reader meets half of it.

        Args:
            report: What JSON can hold.
            otherwise: Told when it cannot be written, in the place of an error, where another one is on its way.
        """
        import msgspec

        text = msgspec.json.format(as_json(report), indent=2) + "\n"
        try:
            if self._path == "-":
                write_data(text)
            elif self._path is not None:
                temporary = Path(f"{self._path}.new")
                temporary.write_text(text, encoding="utf-8")
                temporary.replace(self._path)
        except OSError as exc:
            problem = f"the report could not be written to `{self._path}`: {exc.strerror or exc}"
            if otherwise is None:
                hint = "the load itself is done; `show-state` and the ledger tell of it"
                raise OutputFileError(problem, context={"path": self._path}, hint=hint) from exc
            otherwise.output.say(f"warning: {problem}")
