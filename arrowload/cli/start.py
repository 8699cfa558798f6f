"""The console script: how help looks is settled before click's classes are used."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import NoReturn

_HELP_OPTIONS = {"-h", "--help"}


def main() -> NoReturn:
    """Run the command line of this process."""
    if _shows_help() and sys.stdout is not None and sys.stdout.isatty():
        _draw_by_rich()
    from arrowload.cli import main as command_line

    command_line.main()


def _shows_help() -> bool:
    return len(sys.argv) == 1 or not _HELP_OPTIONS.isdisjoint(sys.argv)


def _draw_by_rich() -> None:
    """Have rich-click draw help, which takes as long again: for a terminal, and for nothing else that is asked for."""
    from rich_click import RichHelpConfiguration
    from rich_click.patch import patch

    patch(RichHelpConfiguration(theme="default-slim", text_markup="ansi", enable_theme_env_var=False))
