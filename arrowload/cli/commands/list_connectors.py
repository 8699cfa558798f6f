"""`arrowload list-connectors`: what can a recipe name?"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from arrowload.cli.options import write_data
from arrowload.cli.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from arrowload.core.registry import Registry


@click.command("list-connectors", epilog="Example: arrowload list-connectors --format json")
@click.option(
    "--format",
    "list_format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Of the list.",
)
def list_connectors(list_format: str) -> None:
    """List connectors, transform steps and state backends.

    Plug-ins are among them. What lacks a package is shown with the command that installs it.
    """
    from arrowload.core.registry import destinations, sources, state_backends, transforms

    entries = [
        entry for registry in (sources, destinations, transforms, state_backends) for entry in _entries(registry)
    ]
    write_data(json.dumps(entries, indent=2) + "\n" if list_format == "json" else "".join(_lines(entries)))


def _entries(registry: Registry[Any]) -> Iterator[dict[str, Any]]:
    for name in registry.names():
        summary, problem = _summary(registry, name)
        yield {
            "kind": registry.kind,
            "name": name,
            "summary": summary,
            "installed": problem is None,
            "problem": problem,
        }


def _summary(registry: Registry[Any], name: str) -> tuple[str, str | None]:
    """What it is in one line, and what keeps it from being used."""
    from arrowload.core.exceptions import MissingExtraError
    from arrowload.core.secret import mask

    try:
        summary = registry.lookup(name).summary
    except MissingExtraError as exc:
        return "", f"{exc.message}; {exc.hint}"
    except Exception as exc:  # noqa: BLE001 - a plug-in that cannot be imported must not hide the others
        return "", mask(f"cannot be imported: {type(exc).__name__}: {exc}")
    missing = _missing_packages(name)
    return summary, f"needs {', '.join(missing)}; pip install 'arrowload[{name}]'" if missing else None


def _missing_packages(extra: str) -> list[str]:
    """Packages of the extra of that name that are not installed; the extras stand in the metadata of the package."""
    import re
    from importlib.metadata import PackageNotFoundError, requires, version

    missing = []
    for requirement in requires("arrowload") or ():
        package = re.match(r"[\w.-]+", requirement)
        if package is not None and re.search(rf"extra\s*==\s*['\"]{re.escape(extra)}['\"]", requirement):
            try:
                version(package[0])
            except PackageNotFoundError:
                missing.append(package[0])
    return missing


def _lines(entries: list[dict[str, Any]]) -> Iterator[str]:
    width = max(len(entry["name"]) for entry in entries)
    kind = None
    for entry in entries:
        if entry["kind"] != kind:
            yield f"{'' if kind is None else chr(10)}{entry['kind']}s\n"
            kind = entry["kind"]
        problem = f"({entry['problem']})" if entry["problem"] else ""
        yield (
            f"  {entry['name']:<{width}}  {printable(' '.join(filter(None, (entry['summary'], problem))))}".rstrip()
            + "\n"
        )
