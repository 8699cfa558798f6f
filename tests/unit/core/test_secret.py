"""Secrets appear nowhere."""

from __future__ import annotations

import copy
import json
import pickle

import msgspec
import pytest

from arrowload.core import secret
from arrowload.core.exceptions import ConnectorError
from arrowload.core.secret import Secret, mask, register_secret


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test registers is not masked in the next."""
    monkeypatch.setattr(secret, "_known", set())


def test_a_secret_shows_itself_only_to_who_asks() -> None:
    """However it is printed."""
    password = Secret("s3cr3t-canary", reference="{{ env.PASSWORD }}")

    assert password.reveal() == "s3cr3t-canary"
    assert password.reference == "{{ env.PASSWORD }}"
    for shown in (str(password), repr(password), f"{password}", f"{password!r}", f"{[password]}"):
        assert "canary" not in shown


def test_secrets_compare_by_value() -> None:
    """So a recipe can be compared with another."""
    assert Secret("a") == Secret("a", reference="x")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1


@pytest.mark.parametrize(
    "serialise",
    [pickle.dumps, copy.deepcopy, json.dumps, msgspec.json.encode, msgspec.msgpack.encode, msgspec.to_builtins],
)
def test_a_secret_refuses_to_be_serialised(serialise: object) -> None:
    """By pickle, copy, JSON or msgpack."""
    with pytest.raises(TypeError):
        serialise(Secret("s3cr3t-canary"))  # type: ignore[operator]


def test_known_secrets_are_masked_in_any_text() -> None:
    """A longer secret first, so that no part of it is left over."""
    Secret("canary")
    Secret("canary-and-more")
    register_secret("p@ss.word+")

    assert mask("x canary-and-more y canary z p@ss.word+!") == "x *** y *** z ***!"


def test_a_short_secret_is_masked_as_a_word_only() -> None:
    """Otherwise a password `a` would shred every sentence."""
    register_secret("abc")

    assert mask("abc, (abc) abcd cab abc") == "***, (***) abcd cab ***"


def test_an_empty_secret_masks_nothing() -> None:
    """A variable may be set and empty."""
    Secret("")

    assert mask("nothing is hidden") == "nothing is hidden"


@pytest.mark.fault(67)
def test_errors_mask_message_context_and_hint() -> None:
    """A driver's message may repeat the connection string."""
    Secret("s3cr3t-canary")

    error = ConnectorError(
        "bad s3cr3t-canary", context={"dsn": "postgres://u:s3cr3t-canary@h"}, hint="not s3cr3t-canary"
    )

    assert "canary" not in f"{error} {error!r} {error.args} {error.context} {error.hint} {error.message}"
