"""`arrowload init`: a project that runs."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Final

import click

from arrowload.cli.failures import OutputFileError
from arrowload.cli.options import Session, pass_session

# Name in the project → name in the package, where a leading dot would hide the file from build tools.
_FILES: Final = {
    "recipe.yaml": "recipe.yaml",
    "data/orders.csv": "orders.csv",
    ".env.example": "env.example",
    ".gitignore": "gitignore",
}


@click.command(epilog="Example: arrowload init shop")
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path, file_okay=False), default=".")
@pass_session
def init(session: Session, folder: Path) -> None:
    """Make a recipe, with data, that runs as it is.

    DIR is made when it is not there; left out, it is the working directory. Nothing is overwritten.
    """
    from importlib.resources import files

    _refuse_to_overwrite(folder)
    packaged = files("arrowload.cli") / "project"
    for name, source in _FILES.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8", newline="") as file:
            file.write((packaged / source).read_text(encoding="utf-8"))
    recipe = shlex.quote(str(folder / "recipe.yaml"))
    session.output.say(
        f"made {', '.join(str(folder / name) for name in _FILES)}\n"
        "next:\n"
        f"  arrowload preview {recipe}    # the rows that it would load\n"
        f"  arrowload plan {recipe}       # what a run would do\n"
        f"  arrowload run {recipe}        # load; run it again, and only what is new is loaded"
    )


def _refuse_to_overwrite(folder: Path) -> None:
    there = [str(folder / name) for name in _FILES if (folder / name).exists()]
    if there:
        raise OutputFileError(
            f"`{there[0]}` is there already",
            context={"files": there},
            hint="name another folder: `arrowload init DIR`",
        )
