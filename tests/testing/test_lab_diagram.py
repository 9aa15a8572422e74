"""The diagram of what happened, and the capture of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiotun.capture import Recorded, open_capture
from aiotun.testing import Crossing, Lab, Note, lab_fixture
from aiotun.testing.lab_diagram import diagram, one_line

lab = lab_fixture.lab

ENTRIES: list[Crossing | Note] = [
    Crossing(0, "alice", "bob", b"hello"),
    Note(1.5, ("alice", "bob"), "down"),
    Crossing(86400.000001, "bob", "alice", b"0123456789", "lost"),
    Note(86400.25, ("bob",), "dropped; #1\nand more"),
    Crossing(86400.5, "alice", "bob", b"x", "", "corrupted"),
]


def test_a_diagram() -> None:
    """Arrows for packets, crossed ones for those lost, notes, virtual times; nodes in their order."""
    assert diagram(ENTRIES, ["carol", "bob", "alice"]) == (
        "sequenceDiagram\n"
        "    participant n0 as bob\n"
        "    participant n1 as alice\n"
        "    n1->>n0: 0 s: 5 bytes 68 65 6c 6c 6f\n"
        "    Note over n1,n0: 1.5 s: down\n"
        "    n0-xn1: 86400.000001 s: 10 bytes 30 31 32 33 34 35 36 37... (lost)\n"
        "    Note over n0: 86400.25 s: dropped#59; #35;1 and more\n"
        "    n1->>n0: 86400.5 s: 1 bytes 78 (corrupted)\n"
    )


def test_the_last_entries(lab: Lab) -> None:
    """Of more entries than are asked for the last are shown, and how many came before."""
    lab.channel("alice", "bob")
    lab.record.entries.extend(ENTRIES)
    assert lab.diagram(1) == (
        "sequenceDiagram\n"
        "    participant n0 as alice\n"
        "    participant n1 as bob\n"
        "    Note over n0: 4 earlier entries are not shown\n"
        "    n0->>n1: 86400.5 s: 1 bytes 78 (corrupted)\n"
    )
    assert lab.diagram(0) == "sequenceDiagram\n"
    assert lab.diagram(9) == lab.diagram()


def test_a_test_may_describe_its_own_packets() -> None:
    """With *describe* the packets of a protocol that only the test knows are readable."""
    with Lab(describe=lambda packet: f"hello number {packet[0]}") as lab:
        near, _ = lab.channel("alice", "bob")
        lab.run(near.send(b"\5"))
        assert lab.diagram().endswith("    n0->>n1: 0 s: hello number 5\n")


@pytest.mark.parametrize(("packet", "text"), [(b"", "0 bytes "), (b"\x45", "1 bytes 45")])
def test_what_is_no_ip_packet(packet: bytes, text: str) -> None:
    """It is shown by its length and its first bytes, also if it begins like one."""
    assert one_line(packet) == text


def test_a_capture(lab: Lab, tmp_path: Path) -> None:
    """An interface for each way, frames and packets, virtual times, and what was lost says so."""
    alice, switch, bob = lab.host("alice"), lab.switch("switch"), lab.host("bob")
    lab.link(alice, switch, delay=1)
    lab.link(alice, bob, delay=0.25, loss=1.0)

    @lab.run
    async def main() -> None:
        with pytest.raises(TimeoutError):
            await alice.ping("10.0.0.3", timeout=2)

    lab.run(lab.links[0].ends[0].send(bytes(60)))
    path = tmp_path / "lab.pcapng"
    lab.capture(path)
    with open_capture(path) as capture:
        found = [record for record in capture if isinstance(record, Recorded)]
    assert [(record.interface.name, record.time_ns, record.packet) for record in found] == [
        ("alice to bob", 0, lab.packets[0].packet),
        ("alice to switch", 2_000_000_000, bytes(60)),
    ]
    assert [record.comments for record in found] == [("lost",), ()]
