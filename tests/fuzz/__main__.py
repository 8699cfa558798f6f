"""`python -m tests.fuzz --minutes 30`: each target for so long, one after the other, and what that found.

Python's targets run under Atheris, Rust's under bolero's libFuzzer: both look for inputs that reach code which no
input reached before. Where Atheris is not to be had (its wheels are for Linux on x86-64) plain mutations take its
place, and where there is no C++ compiler bolero's random bytes do. What they learn is kept in `.fuzz/`, what found
something in the corpora.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

from tests.fuzz.engine import MAX_LENGTH, ROOT, Target, at_length

PYTHON: Final = ("recipe_loader", "templates", "csv_files", "state_documents", "dataset_log", "identifiers")
# Test binary → its test.
RUST: Final = {"pg_copy_fuzz": "any_bytes", "pg_copy_encode_fuzz": "any_batch", "csv_fuzz": "any_text"}

_LEARNED: Final = ROOT / ".fuzz"
_CRATE: Final = ROOT / "crates" / "arrowload-core"
_TIMEOUT_S: Final = 20
_MOST_MIB: Final = 3072
# As cargo-bolero sets them; without a sanitizer the stable compiler takes them.
_RUSTFLAGS: Final = (
    "--cfg fuzzing --cfg fuzzing_libfuzzer -Cpasses=sancov-module"
    " -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-level=4"
    " -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
)


class Outcome(NamedTuple):
    """What a run came to."""

    name: str
    minutes: float
    runs: int
    failed: bool
    log: Path


def main() -> None:
    """Run the targets named, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join((*PYTHON, *RUST))}; all when none")
    parser.add_argument("--minutes", type=float, default=30.0, help="of each target (default: 30)")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    seconds = arguments.minutes * 60
    if unknown := set(arguments.targets) - {*PYTHON, *RUST}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    if arguments.child:
        _run_here(arguments.targets[0], seconds)
        return
    failed = False
    for name in arguments.targets or (*PYTHON, *RUST):
        outcome = _run_apart(name, seconds)
        verdict = f"FAILED: see {outcome.log.relative_to(ROOT)}" if outcome.failed else "found nothing"
        print(f"{name:<20} {outcome.minutes:6.1f} min {outcome.runs:>13,} runs  {verdict}", flush=True)
        failed |= outcome.failed
    sys.exit(failed)


def _run_apart(name: str, seconds: float) -> Outcome:
    """One target in a process of its own, which may crash."""
    _LEARNED.mkdir(exist_ok=True)
    log = _LEARNED / f"{name}.log"
    if name in RUST:
        command, environment = _rust_command(name, seconds)
    else:
        command = [sys.executable, "-m", "tests.fuzz", name, "--child", "--minutes", str(seconds / 60)]
        environment = {}
    start = time.monotonic()
    # libFuzzer ends a process without asking Python to clear up. The user that servers run as comes here, too.
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with (
        log.open("wb") as output,
        tempfile.TemporaryDirectory(dir=memory, ignore_cleanup_errors=True) as scratch,
    ):
        Path(scratch).chmod(0o1777)
        environment = {**os.environ, **environment, "TMPDIR": scratch}
        done = subprocess.run(command, env=environment, stdout=output, stderr=output, cwd=ROOT, check=False)
    text = log.read_text(errors="replace")
    counts = re.findall(r"^#(\d+)\s|number_of_executed_units: (\d+)|iterations: (\d+)", text, re.MULTILINE)
    runs = max((int(number) for found in counts for number in found if number), default=0)
    return Outcome(name, (time.monotonic() - start) / 60, runs, done.returncode != 0, log)


def _flags(seconds: float, corpus: Path, learned: Path) -> list[str]:
    """For libFuzzer, which both engines are."""
    return [
        *(f"-max_total_time={seconds:.0f}", f"-timeout={_TIMEOUT_S}", f"-rss_limit_mb={_MOST_MIB}"),
        *("-print_final_stats=1", f"-artifact_prefix={corpus}/found-", str(learned), str(corpus)),
    ]


# ---------------------------------------------------------------- Python


def _run_here(name: str, seconds: float) -> None:
    """One of Python's targets in this process, which ends with it."""
    module = f"tests.fuzz.test_{name}"
    if find_spec("atheris") is None:
        target: Target = importlib.import_module(module).TARGET
        print(f"iterations: {at_length(target, seconds)}")
        return
    import atheris

    with atheris.instrument_imports(include=["arrowload"]):
        target = importlib.import_module(module).TARGET
    learned = _learned(name)
    for index, data in enumerate(target.inputs()):
        (learned / f"seed-{index}").write_bytes(data)
    flags = [f"-max_len={MAX_LENGTH}", f"-dict={target.dictionary}", *_flags(seconds, target.corpus, learned)]
    with target.prepared():
        atheris.Setup([sys.argv[0], *flags], target.check)
        atheris.Fuzz()


def _learned(name: str) -> Path:
    folder = _LEARNED / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


# ---------------------------------------------------------------- Rust


def _rust_command(name: str, seconds: float) -> tuple[list[str], dict[str, str]]:
    """The command that runs one of Rust's targets, which is built here if need be."""
    test = RUST[name]
    if shutil.which("c++") is None:
        command = ["cargo", "test", "--locked", "-p", _CRATE.name, "--test", name, "--", test, "--exact", "--nocapture"]
        return command, {"BOLERO_RANDOM_TEST_TIME_MS": f"{seconds * 1000:.0f}"}
    corpus = _CRATE / "tests" / "__fuzz__" / test / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    return [_built(name), test, "--exact", "--nocapture"], {
        "BOLERO_LIBFUZZER_ARGS": " ".join(_flags(seconds, corpus, _learned(name))),
    }


def _built(name: str) -> str:
    """The test binary `name`, built to tell libFuzzer where it has been; not so build scripts, as a target is named."""
    target = re.search(r"^host: (.*)$", _output(["rustc", "-vV"]), re.MULTILINE)
    assert target is not None
    command = ["cargo", "test", "--locked", "--no-run", "--profile", "fuzz", "--target", target[1], "-p", _CRATE.name]
    command += ["--target-dir", str(ROOT / "target" / "fuzz"), "--test", name, "--message-format", "json"]
    messages = _output(command, RUSTFLAGS=_RUSTFLAGS, BOLERO_FUZZER="libfuzzer").splitlines()
    built = [json.loads(line) for line in messages if line.startswith("{")]
    return next(m["executable"] for m in built if m.get("executable") and m["target"]["name"] == name)


def _output(command: list[str], **environment: str) -> str:
    return subprocess.run(
        command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT
    ).stdout


if __name__ == "__main__":
    main()
