"""`python -m arrowload`: the program, where it is not on the path."""

from __future__ import annotations

from arrowload.cli.start import main

if __name__ == "__main__":
    main()
