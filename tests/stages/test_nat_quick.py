"""The quick way through a NAT does what the thorough way does, or leaves it to that."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotun.packet import SuperPacket
from aiotun.stages import Nat

from .nats import answer_ends, made, ports
from .packets import Clock, tcp, udp

MAKERS = {"tcp": tcp, "udp": udp}
REMOTE = {"tcp": 443, "udp": 53}


def established(version: int, kind: str, **options: Any) -> tuple[Nat, bytes, bytes]:
    """A NAT with a session whose packets may go the quick way, and one of either direction."""
    nat, packet = made(ports=range(5000, 6000), **options), MAKERS[kind](version, b"hello, world")
    (sent,) = nat.outbound([packet])
    answer = MAKERS[kind](version, b"hello", ports=(REMOTE[kind], ports(sent)[0]), **answer_ends(version))
    nat.inbound([answer])
    return nat, packet, answer


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("outward", [True, False])
@given(
    changes=st.lists(st.tuples(st.integers(0, 70), st.integers(0, 255)), max_size=3),
    size=st.integers(0, 90),
)
def test_as_the_thorough_way(version: int, kind: str, outward: bool, changes: list[tuple[int, int]], size: int) -> None:
    """Whatever is damaged in a packet of a session, both ways make the same of it."""
    results = []
    for kind_of in (bytes, SuperPacket):
        nat, packet, answer = established(version, kind)
        octets = bytearray(packet if outward else answer)
        for at, octet in changes:
            if at < len(octets):
                octets[at] = octet
        stage = nat.outbound if outward else nat.inbound
        passed = [bytes(one) for one in stage([kind_of(octets[:size])])]
        results.append((passed, dict(stage.dropped), len(nat), nat.mappings))
    assert results[0] == results[1]


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("version", [4, 6])
def test_it_is_taken(version: int, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A packet of a session never comes near the thorough way."""
    nat, packet, answer = established(version, kind)
    for stage in (nat.outbound, nat.inbound):
        monkeypatch.setattr(type(stage), "_other", lambda *_: pytest.fail("the thorough way was taken"))
    assert len(nat.outbound([packet] * 3)) == len(nat.inbound([answer] * 3)) == 3


@pytest.mark.parametrize("version", [4, 6])
def test_it_is_not_taken_by_what_changes_the_session(version: int) -> None:
    """FIN, SYN and RST go the thorough way: after both FINs the connection has but four minutes."""
    nat, packet, answer = established(version, "tcp")
    (session,) = nat._table.outbound[6].values()
    assert session.quick
    nat.outbound([tcp(version, flags=0x11)])
    nat.inbound([tcp(version, flags=0x11, ports=ports(answer), **answer_ends(version))])
    assert (session.quick, session.timeout) == (False, 240.0)


@pytest.mark.parametrize("kind", MAKERS)
def test_it_keeps_the_session(kind: str) -> None:
    """Packets that go the quick way keep their session, either direction."""
    clock = Clock()
    nat, packet, answer = established(4, kind, clock=clock)
    (session,) = nat._table.outbound[6 if kind == "tcp" else 17].values()
    clock.now += 5
    nat.outbound([packet])
    assert session.last == clock.now
    clock.now += 5
    nat.inbound([answer])
    assert session.last == clock.now
