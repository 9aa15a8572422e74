"""The hub and its spokes: every ping comes back, and the same seed prints the same."""

from __future__ import annotations

import re

import pytest

from .program import finished


def printed(*arguments: str) -> list[str]:
    done = finished("hub_and_spoke.py", *arguments)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"it took \d+\.\d s and \d+ MiB\n", done.stderr)
    return done.stdout.splitlines()


def test_every_spoke_reaches_the_next() -> None:
    """Twenty spokes over perfect lines: each ping takes four delays, and two packets through the hub."""
    assert printed("--spokes", "20", "--loss", "0") == [
        "20 pings between 20 spokes were answered, in 60 virtual seconds",
        "round trip: 40.0 to 40.0 ms; 0 packets were lost on the way",
        "the hub forwarded 40 packets",
    ]


def test_lost_packets_are_sent_again() -> None:
    """Over lines that lose a fifth all pings are answered in the end, and two runs are the same."""
    options = "--spokes", "20", "--minutes", "3", "--loss", "0.2", "--seed", "7"
    first = printed(*options)
    assert first[0].startswith("60 pings between 20 spokes were answered")
    assert printed(*options) == first


@pytest.mark.parametrize("spokes", ["0", "1", "70000"])
def test_too_few_or_too_many_spokes_are_refused(spokes: str) -> None:
    """A hub with nobody to ping, or with more spokes than its network has addresses, is refused in words."""
    done = finished("hub_and_spoke.py", "--spokes", spokes)
    assert done.returncode == 2
    assert "--spokes is 2 to 65533" in done.stderr
