"""The times of a NAT: what the RFCs want by default, and others for who asks."""

from __future__ import annotations

import pytest

from aiotun.stages import NatTimeouts

from .nats import made, through
from .packets import Clock, udp


def test_the_defaults() -> None:
    """What is not said is what the RFCs recommend, or their least."""
    assert NatTimeouts() == NatTimeouts(udp=300, tcp=7440, tcp_transitory=240, icmp=60, fragments=30)


@pytest.mark.parametrize("name", ["udp", "tcp", "tcp_transitory", "icmp", "fragments"])
@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_no_time(name: str, seconds: float) -> None:
    """A session that lasts no time is refused."""
    with pytest.raises(ValueError, match=f"nat: {name} is {seconds:g} s, it must be more than 0"):
        NatTimeouts(**{name: seconds})


def test_they_are_obeyed() -> None:
    """A NAT forgets by the times it was given."""
    clock = Clock()
    nat = made(clock, timeouts=NatTimeouts(udp=2))
    through(nat, udp())
    clock.now += 1.9
    nat.inbound([])
    assert len(nat) == 1
    clock.now += 0.1
    nat.inbound([])
    assert len(nat) == 0
