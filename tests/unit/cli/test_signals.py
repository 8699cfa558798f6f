"""Signals, in processes of their own."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest


def start(code: str) -> subprocess.Popen[str]:
    code = "import os, signal, time\nfrom arrowload.cli.signals import *\n" + code
    return subprocess.Popen([sys.executable, "-u", "-c", code], stdout=subprocess.PIPE, text=True)


@pytest.mark.fault(11)
def test_a_second_signal_ends_at_once() -> None:
    """Who insists is not kept waiting by a clean-up that hangs."""
    code = """
with interruptible():
    try:
        print('working')
        time.sleep(60)
    finally:
        print('cleaning up')
        time.sleep(60)
"""
    with start(code) as process:
        assert process.stdout.readline() == "working\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "cleaning up\n"
        process.send_signal(signal.SIGTERM)

    assert process.returncode == -signal.SIGTERM


def test_an_ignored_signal_stays_ignored() -> None:
    """A job that a shell put into the background is told to ignore Ctrl-C, and does."""
    code = """
signal.signal(signal.SIGINT, signal.SIG_IGN)
with interruptible():
    os.kill(os.getpid(), signal.SIGINT)
    print('went on')
"""
    with start(code) as process:
        assert process.stdout.read() == "went on\n"

    assert process.returncode == 0


def test_a_lost_interruption_is_raised_again() -> None:
    """A driver that makes an error of its own of it does not keep the run going."""
    code = """
with interruptible():
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except BaseException:
        print('swallowed')
    try:
        stop_if_interrupted()
    except Interrupted:
        print(received_signal() == signal.SIGTERM)
"""
    with start(code) as process:
        assert process.stdout.read() == "swallowed\nTrue\n"


def test_handlers_are_put_back() -> None:
    """Outside of a command signals do what they did before."""
    code = """
before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
with interruptible():
    assert signal.getsignal(signal.SIGTERM) != before[1]
print((signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before)
"""
    with start(code) as process:
        assert process.stdout.read() == "True\n"
