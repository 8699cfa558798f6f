"""State as one JSON file a recipe, guarded by a lock on a file beside it."""

from __future__ import annotations

import datetime as dt
import fcntl
import os
import uuid
import zlib
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from arrowload.core.exceptions import BusyError, StateError
from arrowload.core.failpoint import failpoint
from arrowload.core.registry import state_backends
from arrowload.core.state import State
from arrowload.core.state_backend import Lease
from arrowload.models.state_config import StateConfig
from arrowload.models.units import ResourcePath  # noqa: TC001 - msgspec resolves field types when the program runs

_FORMAT: Final = 1
_VERSIONS_KEPT: Final = 5


class LocalStateConfig(StateConfig, frozen=True, kw_only=True):
    """Keys of `state: {type: local}`."""

    path: Annotated[ResourcePath | None, msgspec.Meta(description="Folder; .arrowload/state beside the recipe.")] = None


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    """What a state file holds; `crc32` is over the JSON of the state, `home` is as in `Lease`."""

    format: int = _FORMAT
    version: int = 0
    epoch: int = 0
    home: str = ""
    crc32: int = 0
    state: msgspec.Raw = msgspec.Raw(b"{}")


class LocalStateBackend:
    """Files `<recipe>.json` in one folder; the five last versions are kept under `history`.

    Args:
        folder: Made when the first state is stored.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self._locks: dict[str, int] = {}

    def load(self, recipe_name: str) -> State:
        """The last state saved; an empty one when there is none.

        Raises:
            StateError: The file cannot be read, fails its checksum, or is of a newer format.
        """
        return State.from_json(bytes(self._read(recipe_name).state))

    def facts(self, recipe_name: str) -> dict[str, Any]:
        """What is known beside the state, for people: `path`, `version`, `epoch`.

        Raises:
            StateError: As `load`.
        """
        stored = self._read(recipe_name)
        return {"path": str(self._path(recipe_name)), "version": stored.version, "epoch": stored.epoch}

    def save(self, recipe_name: str, state: State) -> None:
        """Store `state`, whatever was there before."""
        current = self._read(recipe_name)
        self._write(recipe_name, _next(current, state, epoch=current.epoch))

    def acquire(self, recipe_name: str, owner: str, *, above: int) -> Lease:
        """Lock the recipe until `release`, or until this process ends; its holder may call again for a higher epoch.

        Raises:
            BusyError: Another process holds the lock.
        """
        if recipe_name in self._locks:
            return self._raise_epoch(recipe_name, owner, above)
        self._locks[recipe_name] = self._lock(recipe_name, owner)
        try:
            return self._raise_epoch(recipe_name, owner, above)
        except BaseException:
            self._unlock(recipe_name)
            raise

    def compare_and_swap(self, lease: Lease, state: State) -> Lease:
        """Store `state` if the stored version and epoch are the lease's.

        Raises:
            BusyError: They are not.
        """
        current = self._read(lease.recipe)
        if (current.version, current.epoch) != (lease.version, lease.epoch):
            raise BusyError(
                f"the state of `{lease.recipe}` was changed by someone else: version {current.version}, epoch"
                f" {current.epoch}, where {lease.version} and {lease.epoch} were expected",
                context={"recipe": lease.recipe},
                hint="run again; the ledger in the destination decides",
            )
        self._write(lease.recipe, _next(current, state, epoch=lease.epoch))
        return msgspec.structs.replace(lease, version=lease.version + 1)

    def release(self, lease: Lease) -> None:
        """Unlock the recipe."""
        self._unlock(lease.recipe)

    def _raise_epoch(self, recipe_name: str, owner: str, above: int) -> Lease:
        current = self._read(recipe_name)
        home = current.home or uuid.uuid4().hex
        taken = msgspec.structs.replace(current, epoch=max(current.epoch, above) + 1, home=home)
        self._write(recipe_name, taken)
        return Lease(recipe=recipe_name, owner=owner, epoch=taken.epoch, version=taken.version, home=home)

    def _unlock(self, recipe_name: str) -> None:
        lock = self._locks.pop(recipe_name, None)
        if lock is not None:
            os.ftruncate(lock, 0)
            os.close(lock)

    def _lock(self, recipe_name: str, owner: str) -> int:
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(self._folder / f"{recipe_name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            holder = os.pread(lock, 4096, 0).decode(errors="replace") or "a run that has just started"
            os.close(lock)
            raise BusyError(
                f"`{recipe_name}` is being run by {holder}",
                context={"recipe": recipe_name, "holder": holder},
                hint="wait until it has ended",
            ) from exc
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{owner} since {dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M:%S} UTC".encode(), 0)
        return lock

    def _path(self, recipe_name: str) -> Path:
        return self._folder / f"{recipe_name}.json"

    def _read(self, recipe_name: str) -> _Document:
        path = self._path(recipe_name)
        try:
            document = msgspec.json.decode(path.read_bytes(), type=_Document)
        except FileNotFoundError:
            return _Document(crc32=zlib.crc32(b"{}"))
        except msgspec.MsgspecError as exc:
            raise _unreadable(path, str(exc)) from exc
        if document.format > _FORMAT:
            raise _unreadable(path, f"format {document.format} is of a newer arrowload")
        if zlib.crc32(bytes(document.state)) != document.crc32:
            raise _unreadable(path, "its checksum does not match")
        return document

    def _write(self, recipe_name: str, document: _Document) -> None:
        path = self._path(recipe_name)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._keep_version(recipe_name, path)
        temporary = path.with_suffix(".json.new")
        with temporary.open("wb") as file:
            file.write(msgspec.json.encode(document))
            file.flush()
            os.fsync(file.fileno())
        failpoint("state.temporary")
        temporary.replace(path)
        failpoint("state.renamed")
        _sync_folder(path.parent)

    def _keep_version(self, recipe_name: str, path: Path) -> None:
        if not path.exists():
            return
        history = self._folder / "history"
        history.mkdir(exist_ok=True)
        version = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])["version"]
        kept = history / f"{recipe_name}.{version:08d}.json"
        if not kept.exists():
            os.link(path, kept)
        for old in sorted(history.glob(f"{recipe_name}.????????.json"))[:-_VERSIONS_KEPT]:
            old.unlink()


def _next(current: _Document, state: State, *, epoch: int) -> _Document:
    encoded = state.to_json()
    return msgspec.structs.replace(
        current, version=current.version + 1, epoch=epoch, crc32=zlib.crc32(encoded), state=msgspec.Raw(encoded)
    )


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unreadable(path: Path, why: str) -> StateError:
    return StateError(
        f"the state file `{path}` cannot be used: {why}",
        context={"path": str(path)},
        hint="remove it; the next run rebuilds it from the ledger in the destination",
    )


@state_backends.register("local", config=LocalStateConfig)
def create_local_state_backend(config: LocalStateConfig, root: str = ".") -> LocalStateBackend:
    """One JSON file a recipe, in a local folder."""
    return LocalStateBackend(config.path or Path(root) / ".arrowload" / "state")
