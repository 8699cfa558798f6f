"""Every built-in state backend keeps the promises of a state backend."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from arrowload.core.registry import state_backends
from arrowload.core.state_backend import LeasingStateBackend
from arrowload.models.units import ResourcePath
from arrowload.state.local import LocalStateConfig
from arrowload.testing.state import StateBackendConformance

TAKE_AND_DIE = """
import os, sys
from arrowload.state.local import LocalStateBackend
LocalStateBackend(sys.argv[1]).acquire(sys.argv[2], sys.argv[3], above=0)
os._exit(9)
"""


class TestLocal(StateBackendConformance):
    registered_as = "local"

    @pytest.fixture
    def folder(self, tmp_path):
        return tmp_path / "it's a folder" / "state"

    @pytest.fixture
    def make_backend(self, folder):
        return lambda: state_backends.create("local", LocalStateConfig(path=ResourcePath(folder)))

    @pytest.fixture
    def acquire_and_die(self, folder):
        def run(recipe, owner):
            command = [sys.executable, "-c", TAKE_AND_DIE, folder, recipe, owner]
            assert subprocess.run(command, env=os.environ, timeout=60, check=False).returncode == 9

        return run

    def test_it_has_what_its_protocol_says(self, make_backend):
        """The engine asks this before it takes a lease."""
        assert isinstance(make_backend(), LeasingStateBackend)


def test_every_registered_backend_is_in_the_suite(covered):
    """A backend that comes with arrowload cannot be left out here."""
    here = sys.modules[__name__]

    assert covered(here, StateBackendConformance) == {entry.name for entry in entry_points(group=state_backends.group)}
