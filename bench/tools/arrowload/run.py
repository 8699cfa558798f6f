"""The project's own program on a recipe for the job; a stream is drained by `drain.py`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from recipes import write_recipe

BIN = Path(__file__).parents[3] / ".venv" / "bin"


def main() -> None:
    job = sys.argv[1]
    if job == "help":
        os.execv(BIN / "arrowload", ["arrowload", "--help"])
    file = write_recipe(job, json.loads(Path(sys.argv[2]).read_text()))
    if "to_arrow" in job:
        os.execv(BIN / "python", [BIN / "python", Path(__file__).with_name("drain.py"), file])
    os.execv(BIN / "arrowload", ["arrowload", "run", file])


main()
