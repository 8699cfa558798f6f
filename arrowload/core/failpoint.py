"""Named places where a test can make a run fail; they cost one dictionary look-up when none is armed.

Armed by the environment variable `ARROWLOAD_FAILPOINTS`, which only tests set: `site=action[;site=action …]`, where
an action is `kill9`, `hang` (the process stops until it gets SIGCONT), `delay(seconds)`, `err` (a transient error),
`enospc`, or `lost` (the step is done and its answer is lost: an error of unknown outcome). `site=action@n` acts at the
n-th pass, counted from 1.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import time
from typing import Final

from arrowload.core.exceptions import EngineError, OutcomeUnknownError, TransientConnectorError

_PROTOCOL: Final = (
    "head",
    "acquire",
    "fence",
    "plan",
    "stage",
    "seal",
    "finalize",
    "read_back",
    "save_state",
    "sweep",
    "release",
)

SITES: Final = frozenset(
    [f"{step}.{moment}" for step in _PROTOCOL for moment in ("before", "after")]
    + [
        "stage.batch",  # each batch handed to the destination
        "finalize.applied",  # rows applied, ledger entry not yet written
        "finalize.ledger",  # ledger entry written, fence not yet checked
        "finalize.fenced",  # fence checked, transaction not yet committed
        "finalize.published",  # files: log entry linked, parts not yet at their final names
        "finalize.renamed",  # files: each part brought to its final name
        "state.temporary",  # local state: new version written beside the old one
        "state.renamed",  # local state: new version in place, directory not yet synced
    ]
)


def _parse(text: str) -> dict[str, tuple[str, float, int]]:
    armed = {}
    for item in filter(None, text.split(";")):
        match = re.fullmatch(r"([\w.]+)=(kill9|hang|delay|err|enospc|lost)(?:\(([\d.]+)\))?(?:@(\d+))?", item.strip())
        if match is None or match[1] not in SITES:
            raise EngineError(f"`{item}` is not a failpoint", hint="write it as site=action")
        armed[match[1]] = (match[2], float(match[3] or 0), int(match[4] or 1))
    return armed


_armed: dict[str, tuple[str, float, int]] = {}
_passes: dict[str, int] = {}


def arm(text: str) -> None:
    """Arm the failpoints that `text` names, written as in the environment variable; disarm all others.

    Raises:
        EngineError: `text` names no site or no action.
    """
    _passes.clear()
    _armed.clear()
    _armed.update(_parse(text))


arm(os.environ.get("ARROWLOAD_FAILPOINTS", ""))


def failpoint(site: str) -> None:
    """Act as a test has asked for at `site`; otherwise do nothing.

    Raises:
        TransientConnectorError: The action is `err`.
        OutcomeUnknownError: The action is `lost`.
        OSError: The action is `enospc`.
    """
    if not _armed or site not in _armed:
        return
    action, seconds, at = _armed[site]
    _passes[site] = _passes.get(site, 0) + 1
    if _passes[site] != at:
        return
    match action:
        case "kill9":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "delay":
            time.sleep(seconds)
        case "err":
            raise TransientConnectorError(f"failpoint `{site}`")
        case "lost":
            raise OutcomeUnknownError(f"failpoint `{site}`: the answer was lost")
        case "enospc":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
