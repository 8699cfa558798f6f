"""One environment a tool, under bench/.tools/<tool>, made by uv from bench/tools/<tool>/requirements.txt."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import venv
from importlib.metadata import version
from pathlib import Path

BENCH = Path(__file__).parent
ENVIRONMENTS = BENCH / ".tools"
TOOLS = BENCH / "tools"
NOT_TOOLS = ("report",)
# The project's own program without its guarantees: run when it is asked for.
UNSAFE = "arrowload_unsafe"
_STAMP = ".requirements"


def known_tools() -> list[str]:
    """Every folder of bench/tools that has a `run.py`, ours and psql first, `UNSAFE` last."""
    names = sorted(file.parent.name for file in TOOLS.glob("*/run.py"))
    first = ["arrowload", "psql"]
    return [*first, *(name for name in names if name not in (*first, UNSAFE, *NOT_TOOLS)), UNSAFE]


def interpreter(tool: str) -> list[str]:
    """What runs the tool's `run.py`; its environment is made or brought up to date.

    A tool without requirements starts another program only, and gets the barest Python there is.
    """
    requirements = TOOLS / tool / "requirements.txt"
    if not requirements.exists():
        return [sys.executable, "-S", "-E"]
    folder = ENVIRONMENTS / tool
    stamp = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if not (folder / _STAMP).exists() or (folder / _STAMP).read_text() != stamp:
        _make(folder, requirements)
        (folder / _STAMP).write_text(stamp)
    return [str(folder / "bin" / "python")]


def compile_project() -> None:
    """Byte code of our own package and its dependencies, as an installer leaves it."""
    _compile(Path(sys.executable), Path(sys.executable).parents[1] / "lib", BENCH.parent / "arrowload")


def versions(tool: str, bindir: Path) -> dict[str, str]:
    """Of what the tool's requirements name; for ours and psql, of the program."""
    if tool in ("arrowload", UNSAFE):
        return {name: version(name) for name in ("arrowload", "duckdb", "polars", "pyarrow")}
    if tool == "psql":
        said = subprocess.run([bindir / "psql", "--version"], capture_output=True, text=True, check=True)
        return {"psql": said.stdout.split()[-1]}
    requirements = TOOLS / tool / "requirements.txt"
    if not requirements.exists():
        return {}
    named = re.findall(r"^([A-Za-z0-9_.-]+)(?:\[[^]]*])?\s*==\s*([^\s;#]+)", requirements.read_text(), re.MULTILINE)
    return dict(named)


def _make(folder: Path, requirements: Path) -> None:
    uv = _uv()
    # The certificates that pip trusts too: behind a proxy of a company, uv's own list lacks its authority.
    environment = {**os.environ, "UV_LINK_MODE": "copy", "UV_SYSTEM_CERTS": "1"}
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(exist_ok=True)
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], env=environment, check=True)
    python = folder / "bin" / "python"
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--python", python, "-r", requirements], env=environment, check=True
    )
    _compile(python, folder / "lib")


def _compile(python: Path, *folders: Path) -> None:
    # Packages carry files for other Pythons, which do not compile: the exit code says nothing.
    subprocess.run(
        [python, "-m", "compileall", "-qq", "-j", "0", *folders],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )


def _uv() -> str:
    """uv: of the path, or of our own environment, or installed into one of its own."""
    found = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if found:
        return found
    folder = ENVIRONMENTS / "uv"
    if not (folder / "bin" / "uv").exists():
        venv.create(folder, with_pip=True)
        install = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv"]
        subprocess.run(install, check=True)
    return str(folder / "bin" / "uv")
