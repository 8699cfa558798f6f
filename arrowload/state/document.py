"""State as one document a recipe: what it holds, and how it is changed over any store that can compare and swap."""

from __future__ import annotations

import datetime as dt
import secrets
import threading
import uuid
import zlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, runtime_checkable

import msgspec

from arrowload.core.exceptions import BusyError, StateError
from arrowload.core.json_errors import UNREADABLE_JSON
from arrowload.core.state import State
from arrowload.core.state_backend import Lease, StateVersion
from arrowload.state.holder import Holder, this_process

if TYPE_CHECKING:
    from collections.abc import Callable

FORMAT: Final = 2
VERSIONS_KEPT: Final = 5
# Each lost race is somebody else's won one.
_MOST_TRIES: Final = 100


class Stored(NamedTuple):
    """What a store holds under a name.

    Attributes:
        data: The document.
        token: Another one after every write; what `DocumentStore.write` compares.
        idle_s: Seconds since it was written, by the store's own clock.
    """

    data: bytes
    token: str
    idle_s: float


class DocumentStore(Protocol):
    """A place for documents, each under a name, that never writes over what the writer has not seen."""

    def location(self, name: str) -> str:
        """Where the document of that name is, for people; holds no secret."""

    def read(self, name: str, *, for_update: bool = False) -> Stored | None:
        """The document, as written last by anyone; None when there is none.

        Args:
            name: Of the document.
            for_update: It is going to be written over.
        """

    def write(self, name: str, data: bytes, *, over: str | None) -> bool:
        """Write the document if the one that is there has the token `over`, or if there is none and `over` is None.

        Returns:
            False when it was not written. An answer may be lost: False may be said of a document that was.
        """

    def keep(self, name: str, version: int, data: bytes) -> None:
        """Put an older version of the document aside, once; all but the newest `VERSIONS_KEPT` are dropped."""

    def kept(self, name: str) -> dict[int, bytes]:
        """The versions put aside, by their number."""


@runtime_checkable
class JoiningStateBackend(Protocol):
    """A state backend whose database may be that of the loads.

    Attributes:
        joins: It is: state is stored by the transactions of the loads.
    """

    joins: bool

    def swap_within(self, store: DocumentStore, lease: Lease, state: State) -> Lease:
        """As `compare_and_swap`, through a store that is part of a load's transaction."""


class LeaseRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Who may run the recipe.

    Attributes:
        owner, since: For people.
        nonce: Of this lease alone.
        ttl_s: A document that was not written for so long has lost its holder.
        holder: Its process.
    """

    owner: str
    since: dt.datetime
    nonce: str
    ttl_s: float
    holder: Holder


class Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is stored for a recipe; `home` is as in `Lease`.

    Attributes:
        format: Of the document; one of a newer arrowload is refused.
        version: Counts the states that were stored.
        crc32: Over the JSON of the whole document, with 0 in its own place.
        write: Random, so that no two writes give the same bytes.
    """

    format: int = 1
    version: int = 0
    epoch: int = 0
    home: str = ""
    crc32: int = 0
    write: str = ""
    lease: LeaseRecord | None = None
    state: msgspec.Raw = msgspec.Raw(b"{}")


class DocumentStateBackend:
    """A state backend over a store of documents.

    Args:
        store: Where they are.
        ttl: How long a lease lasts that is not renewed; None when it lasts as long as its holder.
        exclusive: No other process can have the store open; a lease of another one was left by its death.
    """

    def __init__(self, store: DocumentStore, ttl: dt.timedelta | None = None, *, exclusive: bool = False) -> None:
        self._store = store
        self._exclusive = exclusive
        self._ttl_s = ttl.total_seconds() if ttl is not None else 0.0
        # A lease is renewed on a thread of its own, and a connection is for one thread at a time.
        self._lock = threading.RLock()
        self._nonces: dict[str, str] = {}

    def load(self, recipe_name: str) -> State:
        """The last state saved; an empty one when there is none.

        Raises:
            StateError: What is stored cannot be read, fails its checksum, or is of a newer format.
        """
        return State.from_json(bytes(self._read(recipe_name)[0].state))

    def facts(self, recipe_name: str) -> dict[str, Any]:
        """What is known beside the state, for people: where it is, `version`, `epoch`, and who holds the lease.

        Raises:
            StateError: As `load`.
        """
        document, stored = self._read(recipe_name)
        held = self._held_by(recipe_name, document, stored)
        lease = {"owner": held.owner, "since": held.since.isoformat(timespec="seconds")} if held is not None else None
        location = self._store.location(recipe_name)
        return {"location": location, "version": document.version, "epoch": document.epoch, "lease": lease}

    def save(self, recipe_name: str, state: State) -> None:
        """Store `state`, whatever was there before."""
        self._change(recipe_name, lambda document, _: _with_state(document, state))

    def acquire(self, recipe_name: str, owner: str, *, above: int) -> Lease:
        """Take the lease of a recipe; its holder may call again for a higher epoch.

        Raises:
            BusyError: Another process holds it.
        """
        record = LeaseRecord(
            owner=owner,
            since=dt.datetime.now(dt.UTC),
            nonce=secrets.token_hex(16),
            ttl_s=self._ttl_s,
            holder=this_process(),
        )

        def take(document: Document, stored: Stored | None) -> Document:
            held = self._held_by(recipe_name, document, stored)
            if held is not None and held.nonce != self._nonces.get(recipe_name):
                raise held_by_another(recipe_name, held)
            return msgspec.structs.replace(
                document,
                epoch=max(document.epoch, above) + 1,
                home=document.home or uuid.uuid4().hex,
                lease=record,
            )

        taken = self._change(recipe_name, take)
        self._nonces[recipe_name] = record.nonce
        return Lease(
            recipe=recipe_name,
            owner=owner,
            epoch=taken.epoch,
            version=taken.version,
            home=taken.home,
            ttl_s=self._ttl_s or None,
        )

    def renew(self, lease: Lease) -> None:
        """Have the lease last from now on.

        Raises:
            BusyError: Another process has taken it since.
        """
        nonce = self._nonces.get(lease.recipe)

        def again(document: Document, _: Stored | None) -> Document:
            if document.lease is None or document.lease.nonce != nonce:
                raise _changed(lease, document)
            return document

        self._change(lease.recipe, again)

    def compare_and_swap(self, lease: Lease, state: State) -> Lease:
        """Store `state` if the stored version and epoch are the lease's.

        Raises:
            BusyError: They are not.
        """

        def swap(document: Document, _: Stored | None) -> Document:
            if (document.version, document.epoch) != (lease.version, lease.epoch):
                raise _changed(lease, document)
            return _with_state(document, state)

        self._change(lease.recipe, swap)
        return msgspec.structs.replace(lease, version=lease.version + 1)

    def release(self, lease: Lease) -> None:
        """Give the lease back; does nothing when another process has it by now."""
        nonce = self._nonces.pop(lease.recipe, None)

        def give_back(document: Document, _: Stored | None) -> Document | None:
            if document.lease is None or document.lease.nonce != nonce:
                return None
            return msgspec.structs.replace(document, lease=None)

        if nonce is not None:
            self._change(lease.recipe, give_back)

    def unlock(self, recipe_name: str) -> str | None:
        """Take the lease away from whoever has it; the fence in the destination keeps that run from committing.

        Returns:
            Who had it, or None when nobody did.
        """
        had: list[str] = []

        def take_away(document: Document, stored: Stored | None) -> Document | None:
            held = self._held_by(recipe_name, document, stored)
            had[:] = [held.owner] if held is not None else []
            return msgspec.structs.replace(document, lease=None) if document.lease is not None else None

        self._change(recipe_name, take_away)
        return had[0] if had else None

    def forget(self, recipe_name: str) -> None:
        """Begin anew with an empty state, though what is stored cannot be read; older versions stay where they are.

        Epochs begin anew, too: a run asks for one above that of the fence in the destination.
        """
        with self._lock:
            stored = self._store.read(recipe_name, for_update=True)
            if stored is not None:
                version = max(self._store.kept(recipe_name), default=-1) + 1
                fresh = msgspec.json.encode(_sealed(Document(version=version)))
                self._store.write(recipe_name, fresh, over=stored.token)

    def history(self, recipe_name: str) -> list[StateVersion]:
        """The state and the versions before it that are kept, newest first."""
        with self._lock:
            kept = self._store.kept(recipe_name)
        current, stored = self._read(recipe_name)
        versions = {version: self._decoded(recipe_name, data) for version, data in kept.items()}
        if stored is not None:
            versions[current.version] = current
        return [
            StateVersion(version=version, epoch=document.epoch, state=State.from_json(bytes(document.state)))
            for version, document in sorted(versions.items(), reverse=True)
        ]

    # ------------------------------------------------------------ the document

    def _change(self, recipe_name: str, change: Callable[[Document, Stored | None], Document | None]) -> Document:
        """Write what `change` makes of the document, on top of what it was shown; nothing when it makes None."""
        for _ in range(_MOST_TRIES):
            document, stored = self._read(recipe_name, for_update=True)
            changed = change(document, stored)
            if changed is None:
                return document
            sealed = _sealed(changed)
            data = msgspec.json.encode(sealed)
            with self._lock:
                if stored is not None and changed.version != document.version:
                    self._store.keep(recipe_name, document.version, stored.data)
                if self._store.write(recipe_name, data, over=stored.token if stored is not None else None):
                    return sealed
                # What was answered may be another try of the very request that had been done.
                now = self._store.read(recipe_name)
                if now is not None and now.data == data:
                    return sealed
        raise BusyError(
            f"the state `{self._store.location(recipe_name)}` was changed by others {_MOST_TRIES} times in a row, or"
            " its store does not compare as it should",
            context={"recipe": recipe_name},
            hint="run again; if it stays so, keep the state elsewhere",
        )

    def _read(self, recipe_name: str, *, for_update: bool = False) -> tuple[Document, Stored | None]:
        with self._lock:
            stored = self._store.read(recipe_name, for_update=for_update)
        return (Document() if stored is None else self._decoded(recipe_name, stored.data)), stored

    def _decoded(self, recipe_name: str, data: bytes) -> Document:
        try:
            document = msgspec.json.decode(data, type=Document)
        except UNREADABLE_JSON as exc:
            raise self._unreadable(recipe_name, _newer(data) or str(exc)) from exc
        if document.format > FORMAT:
            raise self._unreadable(recipe_name, f"format {document.format} is of a newer arrowload")
        if _checksum(document) != document.crc32:
            raise self._unreadable(recipe_name, "its checksum does not match")
        return document

    def _unreadable(self, recipe_name: str, why: str) -> StateError:
        location = self._store.location(recipe_name)
        return StateError(
            f"the state `{location}` cannot be used: {why}",
            context={"recipe": recipe_name, "location": location},
            hint="`arrowload repair RECIPE --trust ledger` makes it anew from what the destination holds",
        )

    def _held_by(self, recipe_name: str, document: Document, stored: Stored | None) -> LeaseRecord | None:
        """The lease, when its holder may still be there."""
        record = document.lease
        if record is None or stored is None or record.holder.is_gone() or stored.idle_s > record.ttl_s > 0:
            return None
        return None if self._exclusive and record.holder != this_process() else record


def _with_state(document: Document, state: State) -> Document:
    return msgspec.structs.replace(document, version=document.version + 1, state=msgspec.Raw(state.to_json()))


def _sealed(document: Document) -> Document:
    written = msgspec.structs.replace(document, format=FORMAT, write=secrets.token_hex(8))
    return msgspec.structs.replace(written, crc32=_checksum(written))


def _checksum(document: Document) -> int:
    if document.format == 1:
        return zlib.crc32(bytes(document.state))
    return zlib.crc32(msgspec.json.encode(msgspec.structs.replace(document, crc32=0)))


def _newer(data: bytes) -> str | None:
    """What to say of a document whose fields are unknown because it is of a newer format."""
    try:
        stated = msgspec.json.decode(data, type=dict[str, Any]).get("format")
    except UNREADABLE_JSON:
        return None
    return f"format {stated} is of a newer arrowload" if isinstance(stated, int) and stated > FORMAT else None


def held_by_another(recipe_name: str, held: LeaseRecord) -> BusyError:
    """What a second runner is told."""
    since = f"{held.since:%Y-%m-%d %H:%M:%S} UTC"
    dead = f", or, if it has died, for {held.ttl_s:.0f} s" if held.ttl_s else ""
    return BusyError(
        f"`{recipe_name}` is being run by {held.owner} since {since}",
        context={"recipe": recipe_name, "holder": held.owner, "since": since},
        hint=f"wait until it has ended{dead}",
    )


def _changed(lease: Lease, document: Document) -> BusyError:
    return BusyError(
        f"the state of `{lease.recipe}` was changed by someone else: version {document.version}, epoch"
        f" {document.epoch}, where {lease.version} and {lease.epoch} were expected",
        context={"recipe": lease.recipe},
        hint="run again; the ledger in the destination decides",
    )
