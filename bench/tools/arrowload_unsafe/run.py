"""The project's own program without its guarantees, to see what they cost; no tool of anybody's."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "arrowload"))

from recipes import write_recipe

PYTHON = Path(__file__).parents[3] / ".venv" / "bin" / "python"


def main() -> None:
    job = sys.argv[1]
    if "to_" not in job or "to_arrow" in job:
        print("there are no guarantees in it to leave out", file=sys.stderr)
        sys.exit(3)
    file = write_recipe(job, json.loads(Path(sys.argv[2]).read_text()))
    os.execv(PYTHON, [PYTHON, Path(__file__).with_name("without_guarantees.py"), "run", file])


main()
