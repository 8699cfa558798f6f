"""`arrowload state …`: what a recipe remembers, to look at and to mend; `show-state` is short for `state show`."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from arrowload.cli.options import Session, opened_recipe, pass_session, recipe_options, write_data

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from arrowload.core.state import State
    from arrowload.engine.operations import Operations, Standing

F = TypeVar("F", bound="Callable[..., Any]")

_VERDICTS: Final = {
    "equal": "state and ledger agree",
    "ledger_ahead": "the ledger knows of a load that the state does not; the next run goes on from there",
    "state_ahead": "the state knows of loads that the ledger lacks: was the destination restored or emptied?",
    "strangers": "state and ledger are of two pipelines: was the destination loaded from elsewhere?",
    "unreadable": "the state cannot be read",
}
_CONFLICT: Final = 78
_force = click.option("--force", is_flag=True, help="Even where rows would be lost or come twice.")


@click.group(
    "state",
    subcommand_metavar="COMMAND [ARGS]...",
    epilog="Example: arrowload state diff recipe.yaml",
)
def state() -> None:
    """Look at and mend what a recipe remembers.

    A change is committed to the ledger in the destination, under the lease and behind the fence, as a load would be.
    """


@state.command("show", epilog="Example: arrowload state show recipe.yaml")
@recipe_options
def show(recipe: Path, variables: dict[str, str]) -> None:
    """Print what a recipe remembers of its last run.

    JSON, with the place and the version of the state, the epoch of the last lease, and who holds one.
    """
    _show(recipe, variables)


@click.command("show-state", epilog="Example: arrowload show-state recipe.yaml")
@recipe_options
def show_state(recipe: Path, variables: dict[str, str]) -> None:
    """Print what a recipe remembers of its last run.

    JSON, with the place and the version of the state, the epoch of the last lease, and who holds one.
    """
    _show(recipe, variables)


@state.command("diff", epilog="Example: arrowload state diff recipe.yaml")
@recipe_options
@click.pass_context
def diff(context: click.Context, recipe: Path, variables: dict[str, str]) -> None:
    """Set the state beside the destination's ledger.

    JSON. Exits with 78 when the two contradict each other; `arrowload repair` mends that.
    """
    with _operations(recipe, variables) as operations:
        standing = operations.standing()
    _print(_standing(standing))
    if standing.verdict in ("state_ahead", "strangers", "unreadable"):
        context.exit(_CONFLICT)


@state.command("set", epilog="Example: arrowload state set recipe.yaml updated_at 2026-01-31")
@recipe_options
@click.argument("column")
@click.argument("value")
@_force
@pass_session
def set_(session: Session, recipe: Path, variables: dict[str, str], *, column: str, value: str, force: bool) -> None:
    """Have the next run start after another value of the cursor.

    COLUMN is a cursor that the recipe remembers; VALUE is written as the database writes it. What would lose rows, or
    bring them twice, is refused.
    """
    import msgspec

    from arrowload.core.exceptions import StateError
    from arrowload.core.names import did_you_mean

    with _operations(recipe, variables) as operations:
        before = operations.state()
        if column not in before.cursor_values:
            known = list(before.cursor_values)
            raise StateError(
                f"no cursor `{column}` is remembered",
                context={"column": column, "known": known},
                hint=did_you_mean(column, known, f"remembered are: {', '.join(known) or 'none'}"),
            )
        old = before.cursor_values[column]
        cursors = {**before.cursor_values, column: _of_type(old, value)}
        operations.change(msgspec.structs.replace(before, cursor_values=cursors), force=force)
    session.output.say(f"{column}: {getattr(old, 'text', old)} -> {value}")


@state.command("copy", epilog="Example: arrowload state copy old.yaml new.yaml")
@click.argument("origin", type=click.Path(path_type=Path))
@recipe_options
@_force
@pass_session
def copy(session: Session, origin: Path, recipe: Path, variables: dict[str, str], *, force: bool) -> None:
    """Have RECIPE go on where ORIGIN stands.

    For a recipe that was renamed or split: without it, the new one would load everything anew.
    """
    with _operations(origin, variables) as operations:
        standing = operations.standing()
        remembered, seen = _ledger_state(standing), operations.seen()
    with _operations(recipe, variables) as operations:
        operations.adopt(remembered, seen, force=force)
    session.output.say(f"{recipe} goes on where {origin} stands")


@state.command("export", epilog="Example: arrowload state export recipe.yaml > state.json")
@recipe_options
def export(recipe: Path, variables: dict[str, str]) -> None:
    """Print the state in the form that `state import` takes."""
    with _operations(recipe, variables) as operations:
        exported = operations.state()
    write_data(exported.to_json().decode() + "\n")


@state.command("import", epilog="Example: arrowload state import recipe.yaml state.json")
@recipe_options
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@_force
@pass_session
def import_(session: Session, recipe: Path, variables: dict[str, str], *, file: Path, force: bool) -> None:
    """Have the next run start from bounds in FILE.

    `state export` wrote it. What would lose rows, or bring them twice, is refused.
    """
    from arrowload.core.state import State

    imported = State.from_json(file.read_bytes())
    with _operations(recipe, variables) as operations:
        operations.change(imported, force=force)
    session.output.say(f"{recipe} goes on from the bounds in {file}")


@state.command("history", epilog="Example: arrowload state history recipe.yaml")
@recipe_options
def history(recipe: Path, variables: dict[str, str]) -> None:
    """Print kept versions of the state, and loads.

    The loads are those that the ledger knows of. JSON, versions from the newest on, loads from the oldest on.
    """
    with _operations(recipe, variables) as operations:
        versions = [
            {"version": each.version, "epoch": each.epoch, "state": _plain(each.state)} for each in operations.history()
        ]
        loads = [
            {
                "load": f"{each.generation}.{each.seq}",
                "committed_at": each.committed_at.isoformat(timespec="seconds"),
                "write_mode": each.write_mode,
                "rows_written": each.rows_written,
                "lower": each.lower,
                "upper": each.upper,
                "load_id": each.load_id,
            }
            for each in operations.loads()
        ]
    _print({"versions": versions, "loads": loads})


@state.command("rollback", epilog="Example: arrowload state rollback recipe.yaml --to 3")
@recipe_options
@click.option("--to", "version", type=int, help="A version that `state history` shows; the one before, by default.")
@_force
@pass_session
def rollback(session: Session, recipe: Path, variables: dict[str, str], *, version: int | None, force: bool) -> None:
    """Have the next run start from an earlier state.

    What would bring rows twice is refused.
    """
    from arrowload.core.exceptions import StateError

    with _operations(recipe, variables) as operations:
        kept = operations.history()
        wanted = kept[1:2] if version is None else [each for each in kept if each.version == version]
        if not wanted:
            raise StateError(
                f"version {version} is not kept" if version is not None else "no earlier version is kept",
                context={"kept": [each.version for each in kept]},
                hint=f"kept are: {', '.join(str(each.version) for each in kept) or 'none'}",
            )
        operations.change(wanted[0].state, force=force)
    session.output.say(f"{recipe} goes on from the bounds of version {wanted[0].version}")


@state.command("unlock", epilog="Example: arrowload state unlock recipe.yaml --force")
@recipe_options
@click.option("--force", is_flag=True, help="Even when somebody holds the lease.")
@pass_session
def unlock(session: Session, recipe: Path, variables: dict[str, str], *, force: bool) -> None:
    """Take the lease away from a run that is dead, or shall be.

    A run that is not dead commits nothing any more once the next one has begun.
    """
    with _operations(recipe, variables) as operations:
        owner = operations.unlock(force=force)
    session.output.say(f"taken from {owner}" if owner is not None else "nobody holds it")


@click.command("repair", epilog="Example: arrowload repair recipe.yaml --trust ledger")
@recipe_options
@click.option(
    "--trust",
    type=click.Choice(["ledger", "state"]),
    required=True,
    help="Which of the two is right; the other is made to agree.",
)
@pass_session
def repair(session: Session, recipe: Path, variables: dict[str, str], *, trust: str) -> None:
    """Make state and ledger agree again.

    After a destination was restored, or a state was damaged. ledger: go on from what the destination holds, and load
    again what the lost loads brought. state: go on from where the state stands; what the destination lost stays lost.
    """
    with _operations(recipe, variables) as operations:
        made = operations.trust_ledger() if trust == "ledger" else operations.trust_state()
        standing = operations.standing()
    session.output.say(f"the next run starts from {_bounds(made)}; {_VERDICTS[standing.verdict]}")


# ---------------------------------------------------------------- shared


@contextmanager
def _operations(recipe: Path, variables: dict[str, str]) -> Iterator[Operations]:
    from arrowload.engine.job import opened
    from arrowload.engine.operations import Operations

    with opened_recipe(recipe, variables) as loaded, opened(loaded) as job:
        yield Operations(job)


def _of_type(old: Any, text: str) -> Any:
    """A cursor value like `old` that `text` stands for."""
    import msgspec

    from arrowload.core.exceptions import StateError
    from arrowload.core.state import CursorValue

    if isinstance(old, CursorValue):
        return CursorValue(text, old.type)
    try:
        return msgspec.convert(text, type(old), strict=False)
    except msgspec.ValidationError as exc:
        raise StateError(
            f"`{text}` is no cursor value like `{old}`", hint=f"write it as a {type(old).__name__}"
        ) from exc


def _show(recipe: Path, variables: dict[str, str]) -> None:
    from arrowload.engine.job import opened

    with opened_recipe(recipe, variables) as loaded, opened(loaded) as job:
        backend = job.state_backend
        facts = backend.facts(loaded.name) if hasattr(backend, "facts") else {}
        stored = _plain(backend.load(loaded.name))
    _print({"recipe": loaded.name, "backend": loaded.state.type, **facts, "state": stored})


def _standing(standing: Standing) -> dict[str, Any]:
    head = standing.head
    return {
        "verdict": standing.verdict,
        "meaning": standing.problem or _VERDICTS[standing.verdict],
        "state": _plain(standing.state) if standing.state is not None else None,
        "ledger": _plain(_ledger_state(standing)) if head is not None and head.last is not None else None,
    }


def _ledger_state(standing: Standing) -> State:
    from arrowload.core.exceptions import StateError
    from arrowload.core.state import State

    if standing.head is None or standing.head.last is None:
        raise StateError("nothing is remembered", hint=_VERDICTS[standing.verdict])
    return State.from_json(standing.head.last.state)


def _plain(remembered: State) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(remembered.to_json())
    return plain


def _bounds(remembered: State) -> str:
    import msgspec

    bounds = {**remembered.cursor_values, **remembered.watermarks}
    if not bounds:
        return "the beginning"
    return ", ".join(f"{name} {getattr(value, 'text', msgspec.to_builtins(value))}" for name, value in bounds.items())


def _print(facts: dict[str, Any]) -> None:
    from arrowload.core.secret import mask

    write_data(mask(json.dumps(facts, indent=2, ensure_ascii=False)) + "\n")
