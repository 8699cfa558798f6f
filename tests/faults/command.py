"""The command line with a defect in it: `python -m tests.faults.command --planted=NAME run recipe.json`."""

from __future__ import annotations

import sys


def main() -> None:
    """As `arrowload`."""
    import arrowload.cli.main
    from tests.faults import plugins  # noqa: F401 - registers them

    for planted in [argument for argument in sys.argv[1:] if argument.startswith("--planted=")]:
        from tests.faults import defects

        getattr(defects, planted.partition("=")[2])()
        sys.argv.remove(planted)
    arrowload.cli.main.main()


if __name__ == "__main__":
    main()
