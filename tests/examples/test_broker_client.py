"""A program without privileges that answers pings, by the broker's leave."""

from __future__ import annotations

import os
import subprocess

import pytest

from aiotun.testing.broker import running_broker

from .program import Program, finished, free_of_complaints

pytestmark = pytest.mark.kernel

POLICY = f"""
[[rule]]
name = "pings"
users = [{os.geteuid()}]
kinds = ["tun"]
interfaces = ["vpn*"]
addresses = ["10.8.0.0/24"]
"""


def test_answers_pings() -> None:
    """It gets the next free name, answers the kernel's pings, and leaves nothing."""
    with running_broker(POLICY) as path:
        with Program("broker_client.py", "--socket", path, "--address", "10.8.0.2/24") as program:
            assert program.ready == "vpn0: answering pings, Ctrl-C ends"
            ping = ["ping", "-q", "-c", "5", "-i", "0.01", "-W", "5", "10.8.0.9"]
            assert "5 received" in subprocess.run(ping, capture_output=True, text=True).stdout
        assert free_of_complaints(program) == []


def test_says_what_is_not_allowed() -> None:
    """What the policy does not allow is said in one sentence, and the status is 1."""
    with running_broker(POLICY) as path:
        done = finished("broker_client.py", "--socket", path, "--address", "192.0.2.1/24")
    assert (done.returncode, done.stderr) == (
        1,
        "[Errno 1] vpn%d: the broker's rule 'pings' allows addresses in 10.8.0.0/24, not 192.0.2.1/24\n",
    )
