"""The table of a NAT: ends of sessions, bounds on what it keeps, and ports that are hard to find."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from aiotun.stages.nat_session import Session
from aiotun.stages.nat_table import PROBES, NatTable
from aiotun.stages.nat_timeouts import NatTimeouts

HOST, FAR = b"\x0a\0\0\1", b"\xc0\0\2\1"
TCP, UDP = 6, 17


def table(ports: range = range(1024, 65536), limit: int = 65536, filtering: str = "address") -> NatTable:
    """A table of one IPv4 address."""
    return NatTable(
        {4: b"\xcb\0\x71\5"},
        ports,
        limit=limit,
        per_host=limit,
        timeouts=NatTimeouts(),
        filtering=filtering,
        random=Random(1),
    )


def opened(nat: NatTable, port: int, now: float, protocol: int = UDP, host: bytes = HOST, far: bytes = FAR) -> Session:
    """A new session."""
    session = nat.go_out(protocol, host, port.to_bytes(2, "big"), far, b"\0\x35", now)
    assert isinstance(session, Session)
    return session


def test_each_ends_in_its_time() -> None:
    """Sessions end in the order of their times, a used one later."""
    nat = table()
    first, second = opened(nat, 1, 0.0), opened(nat, 2, 10.0)
    first.last = 50.0
    nat.expire(310.0)
    assert list(nat.outbound[UDP].values()) == [first]
    nat.expire(349.9)
    assert len(nat) == 1
    nat.expire(350.0)
    assert len(nat) == 0
    assert second.due == first.due == -1.0


def test_a_mapping_lasts_as_its_last_session() -> None:
    """The port outside stays as long as any session of the mapping does."""
    nat = table()
    port = opened(nat, 1, 0.0).mapping.port
    opened(nat, 1, 200.0, far=b"\xc0\0\2\2")
    nat.expire(400.0)
    assert (len(nat), nat.mappings) == (1, 1)
    assert opened(nat, 1, 400.0).mapping.port == port
    nat.expire(1000.0)
    assert (len(nat), nat.mappings) == (0, 0)


def test_nothing_is_kept_of_the_dead() -> None:
    """After all sessions ended no table holds anything."""
    nat = table()
    for number in range(1, 100):
        opened(nat, number, 0.0)
        nat.track(opened(nat, number, 0.0, TCP), 0x02, True)
    nat.expire(1e9)
    assert not any((nat._by_inside, nat._by_port, nat._hosts, nat._ends, *nat.outbound.values(), *nat.inbound.values()))


def test_the_heap_is_bounded() -> None:
    """A connection that is opened and reset for ever keeps the heap short."""
    nat, now = table(), 0.0
    session = opened(nat, 1, now, TCP)
    for _ in range(1000):
        now += 5.0
        for flags, outbound in ((0x02, True), (0x12, False), (0x10, True), (0x04, True)):
            session.last = now
            nat.track(session, flags, outbound)
        nat.expire(now)
    assert (len(nat), len(nat._ends) <= 32) == (1, True)
    nat.expire(now + 239)
    assert len(nat) == 1
    nat.expire(now + 240)
    assert len(nat) == 0


def test_a_hidden_port_is_found() -> None:
    """The last free port of a small range is found, wherever it is."""
    nat = table(range(5000, 5000 + PROBES))
    found = {opened(nat, number, 0.0).mapping.port for number in range(1, PROBES + 1)}
    assert len(found) == PROBES
    assert nat.go_out(UDP, HOST, b"\xff\xff", FAR, b"\0\1", 0.0) == "no_port"


def test_a_session_of_a_full_table_is_refused_first() -> None:
    """A refused session leaves no mapping behind."""
    nat = table(limit=1)
    opened(nat, 1, 0.0)
    assert (nat.go_out(UDP, HOST, b"\0\2", FAR, b"\0\1", 0.0), nat.mappings) == ("table_full", 1)


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3), st.floats(0, 400)), max_size=30))
def test_against_a_plain_model(events: list[tuple[int, int, float]]) -> None:
    """Whatever is sent when, the sessions alive are those whose last packet is less than five minutes ago."""
    nat, last, now = table(), dict[tuple[int, int], float](), 0.0
    for port, far, pause in events:
        now += pause
        nat.expire(now)
        last = {key: at for key, at in last.items() if at + 300.0 > now}
        assert len(nat) == len(last)
        assert nat.mappings == len({port for port, _ in last})
        address = bytes((192, 0, 2, far))
        key = HOST + address + port.to_bytes(2, "big") + b"\0\x35"
        session = nat.outbound[UDP].get(key)
        assert (session is not None) is ((port, far) in last)
        session = session or opened(nat, port, now, far=address)
        session.last = now
        last[port, far] = now
