"""State as one JSON file a recipe; whoever runs it holds a lock on a file beside it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec

from arrowload.core.exceptions import BusyError
from arrowload.core.failpoint import failpoint
from arrowload.core.registry import state_backends
from arrowload.io.files import sync_folder, write_file
from arrowload.models.state_config import StateConfig
from arrowload.models.units import ResourcePath  # noqa: TC001 - msgspec resolves field types when the program runs
from arrowload.state.document import VERSIONS_KEPT, DocumentStateBackend, Stored, held_by_another

if TYPE_CHECKING:
    from collections.abc import Iterator

    from arrowload.core.state_backend import Lease
    from arrowload.state.document import Document, LeaseRecord


class LocalStateConfig(StateConfig, frozen=True, kw_only=True):
    """Keys of `state: {type: local}`."""

    path: Annotated[ResourcePath | None, msgspec.Meta(description="Folder; .arrowload/state beside the recipe.")] = None


class LocalStore:
    """Files `<recipe>.json` in one folder; older versions are kept under `history`.

    Args:
        folder: Made when the first state is stored.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def location(self, name: str) -> str:
        """The path of the file."""
        return str(self._path(name))

    def read(self, name: str, *, for_update: bool = False) -> Stored | None:
        """See `DocumentStore.read`; a file has no token of its own, so its content makes one."""
        try:
            with self._path(name).open("rb") as file:
                data, modified = file.read(), os.fstat(file.fileno()).st_mtime
        except FileNotFoundError:
            return None
        return Stored(data, hashlib.sha256(data).hexdigest(), max(0.0, time.time() - modified))

    def write(self, name: str, data: bytes, *, over: str | None) -> bool:
        """Compare and replace, with the folder locked for as long as that takes."""
        path = self._path(name)
        temporary = path.with_suffix(".json.new")
        with self._folder_locked():
            there = self.read(name)
            if (there.token if there is not None else None) != over:
                return False
            write_file(temporary, data)
            failpoint("state.temporary")
            temporary.replace(path)
            failpoint("state.renamed")
            sync_folder(self._folder)
        return True

    def keep(self, name: str, version: int, data: bytes) -> None:
        """A file of its own under `history`."""
        history = self._folder / "history"
        history.mkdir(exist_ok=True)
        kept = history / f"{name}.{version:08d}.json"
        if not kept.exists():
            temporary = kept.with_suffix(".new")
            temporary.write_bytes(data)
            temporary.replace(kept)
        for old in self._kept_files(name)[:-VERSIONS_KEPT]:
            old.unlink(missing_ok=True)

    def kept(self, name: str) -> dict[int, bytes]:
        """See `DocumentStore.kept`."""
        return {int(path.name.split(".")[-2]): path.read_bytes() for path in self._kept_files(name)}

    def _kept_files(self, name: str) -> list[Path]:
        return sorted((self._folder / "history").glob(f"{name}.????????.json"))

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    @contextmanager
    def _folder_locked(self) -> Iterator[None]:
        self._folder.mkdir(parents=True, exist_ok=True)
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)


class LocalStateBackend(DocumentStateBackend):
    """State in files; a lease is a lock, which the system frees when its holder ends, however it ends.

    Args:
        folder: Made when the first state is stored.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__(LocalStore(Path(folder)))
        self._folder = Path(folder)
        self._locks: dict[str, int] = {}

    def acquire(self, recipe_name: str, owner: str, *, above: int) -> Lease:
        """Lock the recipe until `release`, or until this process ends; its holder may call again for a higher epoch.

        Raises:
            BusyError: Another process holds the lock.
        """
        if recipe_name in self._locks:
            return super().acquire(recipe_name, owner, above=above)
        try:
            while recipe_name not in self._locks or not self._is_current(recipe_name):
                self._let_go(recipe_name)
                self._locks[recipe_name] = self._lock_file(recipe_name)
            return super().acquire(recipe_name, owner, above=above)
        except BaseException:
            self._let_go(recipe_name)
            raise

    def release(self, lease: Lease) -> None:
        """Unlock the recipe."""
        if lease.recipe in self._locks:
            try:
                super().release(lease)
            finally:
                self._let_go(lease.recipe)

    def unlock(self, recipe_name: str) -> str | None:
        """See `DocumentStateBackend.unlock`; the next run locks a file of its own."""
        had = super().unlock(recipe_name)
        self._lock_path(recipe_name).unlink(missing_ok=True)
        return had

    def _held_by(self, recipe_name: str, document: Document, stored: Stored | None) -> LeaseRecord | None:
        lease = document.lease
        if lease is not None and recipe_name in self._locks and self._is_current(recipe_name):
            # Whoever had the lock before this process has ended.
            return lease if lease.nonce == self._nonces.get(recipe_name) else None
        return lease if lease is not None and self._is_locked(recipe_name) else None

    def _is_current(self, recipe_name: str) -> bool:
        """Whether the file that this process holds a lock on is the one that others lock; `unlock` takes it away."""
        try:
            there = self._lock_path(recipe_name).stat()
        except FileNotFoundError:
            return False
        return os.path.samestat(os.fstat(self._locks[recipe_name]), there)

    def _let_go(self, recipe_name: str) -> None:
        lock = self._locks.pop(recipe_name, None)
        if lock is not None:
            os.close(lock)

    def _lock_file(self, recipe_name: str) -> int:
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(self._lock_path(recipe_name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            os.close(lock)
            held = self._read(recipe_name)[0].lease
            if held is not None:
                raise held_by_another(recipe_name, held) from exc
            raise BusyError(
                f"`{recipe_name}` is being run by a run that has just started",
                context={"recipe": recipe_name},
                hint="wait until it has ended",
            ) from exc
        return lock

    def _is_locked(self, recipe_name: str) -> bool:
        try:
            lock = os.open(self._lock_path(recipe_name), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False

    def _lock_path(self, recipe_name: str) -> Path:
        return self._folder / f"{recipe_name}.lock"


@state_backends.register("local", config=LocalStateConfig)
def create_local_state_backend(config: LocalStateConfig, root: str = ".") -> LocalStateBackend:
    """One JSON file a recipe, in a local folder."""
    return LocalStateBackend(config.path or Path(root) / ".arrowload" / "state")
