"""The neighbor table: asking, learning, waiting and forgetting, with the time in hand."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from aiotun.host.neighbors import Neighbor, Neighbors, NeighborState
from aiotun.packet import ARP, ARPView, EthernetView, NeighborView

from .fakes import EVERYBODY, OTHER_MAC, OUR_MAC, PEER_MAC, FakeLink, datagram, fake_tap, in_frame
from .test_discovery import OUR6, PEER4, PEER6, advertisement, solicitation

INCOMPLETE, REACHABLE, STALE, PROBE = NeighborState
PACKET = datagram("10.0.0.1", "10.0.0.2")
PACKET6 = datagram("fd00::1", "fd00::2")
OUT = in_frame(PACKET, PEER_MAC, OUR_MAC)


@pytest.fixture
def tap() -> FakeLink:
    return fake_tap("tap0", "10.0.0.1/24", "fd00::1/64")


@pytest.fixture
def neighbors() -> Neighbors:
    return Neighbors()


def reply(mac: bytes = PEER_MAC, sender: str = "10.0.0.2", target: str = "10.0.0.1") -> bytes:
    return ARP(2, mac, sender, OUR_MAC, target).frame()


def request(mac: bytes = PEER_MAC, sender: str = "10.0.0.2", target: str = "10.0.0.1") -> bytes:
    return ARP.request(mac, sender, target).frame()


def state(neighbors: Neighbors, now: float) -> NeighborState:
    (neighbor,) = neighbors.table(now)
    return neighbor.state


def known(neighbors: Neighbors, tap: FakeLink, now: float = 0.0) -> None:
    """Resolve the peer at *now*."""
    neighbors.output(tap, PEER4, [PACKET], now)
    assert neighbors.input(tap, [reply()], now) == [OUT]


def test_the_words_for_states() -> None:
    """The states have the names that RFC 4861 gives them."""
    assert [state.value for state in NeighborState] == ["incomplete", "reachable", "stale", "probe"]


# --- asking -------------------------------------------------------------------------------------


def test_an_unknown_neighbor_is_asked_for(neighbors: Neighbors, tap: FakeLink) -> None:
    """The first packet waits, and everybody is asked."""
    frames, questions = neighbors.output(tap, PEER4, [PACKET], 0.0)
    assert frames == []
    assert [EthernetView(frame).dst for frame in questions] == [EVERYBODY]
    assert ARPView(questions[0], 14).target_ip_bytes == PEER4
    assert (neighbors.waiting, neighbors.made, len(neighbors)) == (1, 1, 1)
    assert neighbors.table(0.0) == (Neighbor("tap0", ip_address(PEER4), None, INCOMPLETE),)


def test_a_second_packet_asks_no_more(neighbors: Neighbors, tap: FakeLink) -> None:
    """While the question is open more packets wait, and nobody is asked again."""
    neighbors.output(tap, PEER4, [PACKET], 0.0)
    assert neighbors.output(tap, PEER4, [PACKET, PACKET], 0.5) == ([], [])
    assert (neighbors.waiting, neighbors.made) == (3, 1)


def test_the_answer_releases(neighbors: Neighbors, tap: FakeLink) -> None:
    """With the answer the packets go, in order, and the neighbor is reachable."""
    second = datagram("10.0.0.1", "10.0.0.2", b"second")
    neighbors.output(tap, PEER4, [PACKET], 0.0)
    neighbors.output(tap, PEER4, [second], 0.0)
    assert neighbors.input(tap, [reply()], 0.5) == [OUT, in_frame(second, PEER_MAC, OUR_MAC)]
    assert neighbors.table(0.5) == (Neighbor("tap0", ip_address(PEER4), PEER_MAC, REACHABLE),)
    assert (neighbors.waiting, neighbors.used) == (0, 1)
    assert neighbors.deadline is None


def test_a_known_neighbor(neighbors: Neighbors, tap: FakeLink) -> None:
    """Packets to a reachable neighbor go at once, without a question."""
    known(neighbors, tap)
    assert neighbors.output(tap, PEER4, [PACKET, PACKET], 29.9) == ([OUT, OUT], [])


def test_ipv6(neighbors: Neighbors, tap: FakeLink) -> None:
    """Neighbor discovery is the same, with other messages."""
    frames, questions = neighbors.output(tap, PEER6, [PACKET6], 0.0)
    assert frames == []
    assert NeighborView(questions[0], 54).target_bytes == PEER6
    assert neighbors.input(tap, [advertisement()], 0.5) == [in_frame(PACKET6, PEER_MAC, OUR_MAC)]
    assert state(neighbors, 0.5) is REACHABLE


def test_two_taps_two_neighbors(neighbors: Neighbors, tap: FakeLink) -> None:
    """What is known on one tap is not known on another."""
    known(neighbors, tap)
    other = fake_tap("tap1", "10.0.0.3/24", mac=OTHER_MAC)
    frames, questions = neighbors.output(other, PEER4, [PACKET], 1.0)
    assert (frames, len(questions), len(neighbors)) == ([], 1, 2)


@pytest.mark.parametrize(
    ("address", "mac"),
    [(bytes((10, 0, 0, 255)), EVERYBODY), (bytes((224, 0, 0, 5)), bytes.fromhex("01005e000005"))],
)
def test_groups_need_no_question(neighbors: Neighbors, tap: FakeLink, address: bytes, mac: bytes) -> None:
    """A group's Ethernet address is computed."""
    assert neighbors.output(tap, address, [PACKET], 0.0) == ([in_frame(PACKET, mac, OUR_MAC)], [])
    assert len(neighbors) == 0


def test_nobody_to_ask_from(neighbors: Neighbors) -> None:
    """Without an address to ask from the packets are dropped at once."""
    tap = fake_tap("tap0", "fd00::1/64")
    assert neighbors.output(tap, PEER4, [PACKET, PACKET], 0.0) == ([], [])
    assert tap.dropped == neighbors.dropped == {"unresolved": 2}
    assert (len(neighbors), neighbors.waiting, neighbors.deadline) == (0, 0, None)


def test_how_a_neighbor_reads(neighbors: Neighbors, tap: FakeLink, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Ethernet address reads as people write it; without a time the monotonic clock is asked."""
    monkeypatch.setattr("aiotun.host.neighbors.time.monotonic", lambda: 30.0)
    neighbors.output(tap, PEER6, [PACKET6], 0.0)
    known(neighbors, tap)
    waits, knows = map(repr, neighbors.table())
    assert "mac=None, state=<NeighborState.INCOMPLETE" in waits
    assert "mac=02:00:00:00:00:02, state=<NeighborState.STALE" in knows


# --- time ---------------------------------------------------------------------------------------


def test_three_questions_a_second_apart(neighbors: Neighbors, tap: FakeLink) -> None:
    """A neighbor that does not answer is asked three times, then its packets are dropped."""
    neighbors.output(tap, PEER4, [PACKET, PACKET], 10.0)
    assert neighbors.deadline == 11.0
    assert neighbors.expire(10.9) == []
    ((link, questions),) = neighbors.expire(11.0)
    assert link is tap
    assert [EthernetView(frame).dst for frame in questions] == [EVERYBODY]
    assert neighbors.deadline == 12.0
    assert len(neighbors.expire(12.0)) == 1
    assert neighbors.expire(12.9) == []
    assert neighbors.waiting == 2
    assert neighbors.expire(13.0) == []
    assert tap.dropped == neighbors.dropped == {"unresolved": 2}
    assert (len(neighbors), neighbors.waiting, neighbors.made) == (0, 0, 3)
    assert neighbors.deadline is None


def test_the_earliest_deadline(neighbors: Neighbors, tap: FakeLink) -> None:
    """The deadline is that of whoever was asked first."""
    neighbors.output(tap, PEER4, [PACKET], 0.0)
    neighbors.output(tap, PEER6, [PACKET6], 0.5)
    assert neighbors.deadline == 1.0
    assert len(neighbors.expire(1.2)) == 1
    assert neighbors.deadline == 1.5


@pytest.mark.parametrize(("now", "expected"), [(29.9, REACHABLE), (30.0, STALE)])
def test_reachable_for_thirty_seconds(neighbors: Neighbors, tap: FakeLink, now: float, expected: NeighborState) -> None:
    """A neighbor is reachable for 30 seconds after its answer."""
    known(neighbors, tap)
    assert state(neighbors, now) is expected


def test_a_stale_neighbor_is_probed(neighbors: Neighbors, tap: FakeLink) -> None:
    """The next packet to a stale neighbor goes there, with a question to it alone; once."""
    known(neighbors, tap)
    frames, questions = neighbors.output(tap, PEER4, [PACKET], 30.0)
    assert frames == [OUT]
    assert [EthernetView(frame).dst for frame in questions] == [PEER_MAC]
    assert state(neighbors, 30.0) is PROBE
    assert neighbors.output(tap, PEER4, [PACKET], 30.5) == ([OUT], [])


def test_a_probe_answered(neighbors: Neighbors, tap: FakeLink) -> None:
    """A neighbor that answers its probe is reachable for another 30 seconds."""
    known(neighbors, tap)
    neighbors.output(tap, PEER4, [PACKET], 30.0)
    assert neighbors.input(tap, [reply()], 31.0) == []
    assert state(neighbors, 60.9) is REACHABLE
    assert state(neighbors, 61.0) is STALE
    assert neighbors.deadline is None


def test_a_probe_not_answered(neighbors: Neighbors, tap: FakeLink) -> None:
    """A neighbor that does not answer three probes is forgotten."""
    known(neighbors, tap)
    neighbors.output(tap, PEER4, [PACKET], 30.0)
    for now in (31.0, 32.0, 33.0):
        assert len(neighbors) == 1
        for _, questions in neighbors.expire(now):
            assert EthernetView(questions[0]).dst == PEER_MAC
    assert len(neighbors) == 0
    assert not neighbors.dropped


def test_an_address_lost_while_asking(neighbors: Neighbors, tap: FakeLink) -> None:
    """A question that cannot be repeated for want of an address is given up."""
    neighbors.output(tap, PEER4, [PACKET], 0.0)
    tap.addresses.clear()
    assert neighbors.expire(1.0) == [(tap, [])]
    assert neighbors.dropped == {"unresolved": 1}
    assert len(neighbors) == 0


# --- learning -----------------------------------------------------------------------------------


def test_learning_from_a_request(neighbors: Neighbors, tap: FakeLink) -> None:
    """Who asks for us is answered and noted, as stale."""
    (answer,) = neighbors.input(tap, [request()], 5.0)
    assert answer == ARP(2, OUR_MAC, "10.0.0.1", PEER_MAC, "10.0.0.2").frame()
    assert neighbors.table(5.0) == (Neighbor("tap0", ip_address(PEER4), PEER_MAC, STALE),)
    assert (neighbors.used, neighbors.made) == (1, 1)


def test_a_request_releases(neighbors: Neighbors, tap: FakeLink) -> None:
    """A neighbor that asks for us while we ask for it need not answer; what waited goes before our answer."""
    neighbors.output(tap, PEER4, [PACKET], 0.0)
    released, answer = neighbors.input(tap, [request()], 0.5)
    assert released == OUT
    assert ARPView(answer, 14).operation == 2
    assert (state(neighbors, 0.5), neighbors.waiting, neighbors.deadline) == (STALE, 0, None)


def test_a_request_does_not_confirm(neighbors: Neighbors, tap: FakeLink) -> None:
    """A request from where the neighbor was known to be changes nothing."""
    known(neighbors, tap)
    neighbors.input(tap, [request()], 20.0)
    assert state(neighbors, 29.9) is REACHABLE
    assert state(neighbors, 30.0) is STALE


def test_a_neighbor_that_moved(neighbors: Neighbors, tap: FakeLink) -> None:
    """A request from elsewhere moves the neighbor, which is stale there."""
    known(neighbors, tap)
    neighbors.input(tap, [request(OTHER_MAC)], 1.0)
    assert neighbors.table(1.0) == (Neighbor("tap0", ip_address(PEER4), OTHER_MAC, STALE),)


def test_a_reply_nobody_asked_for(neighbors: Neighbors, tap: FakeLink) -> None:
    """A reply from an unknown neighbor is dropped; one from a known neighbor does not make it reachable."""
    assert neighbors.input(tap, [reply()], 0.0) == []
    assert tap.dropped == neighbors.dropped == {"unsolicited": 1}
    assert (len(neighbors), neighbors.used) == (0, 0)
    neighbors.input(tap, [request()], 0.0)
    neighbors.input(tap, [reply(OTHER_MAC)], 1.0)
    assert neighbors.table(1.0) == (Neighbor("tap0", ip_address(PEER4), OTHER_MAC, STALE),)


def test_gratuitous_arp(neighbors: Neighbors, tap: FakeLink) -> None:
    """A neighbor that announces its new place is followed, if it is known."""
    announcement = request(OTHER_MAC, "10.0.0.2", "10.0.0.2")
    assert neighbors.input(tap, [announcement], 0.0) == []
    assert neighbors.dropped == {"not_for_us": 1}
    known(neighbors, tap)
    assert neighbors.input(tap, [announcement], 1.0) == []
    assert neighbors.table(1.0)[0].mac == OTHER_MAC


def test_an_arp_probe_is_not_learned(neighbors: Neighbors, tap: FakeLink) -> None:
    """A probe is answered; its sender has no address to note."""
    assert len(neighbors.input(tap, [request(sender="0.0.0.0")], 0.0)) == 1
    assert len(neighbors) == 0


def test_learning_from_a_solicitation(neighbors: Neighbors, tap: FakeLink) -> None:
    """Who solicits us is answered and noted, as stale."""
    (answer,) = neighbors.input(tap, [solicitation()], 0.0)
    assert NeighborView(answer, 54).target_bytes == OUR6
    assert neighbors.table(0.0) == (Neighbor("tap0", ip_address(PEER6), PEER_MAC, STALE),)


def test_a_solicitation_without_a_place(neighbors: Neighbors, tap: FakeLink) -> None:
    """A solicitation that does not say where its sender is teaches nothing."""
    assert len(neighbors.input(tap, [solicitation(dst="fd00::1", mac=None)], 0.0)) == 1
    assert len(neighbors) == 0


def known6(neighbors: Neighbors, tap: FakeLink) -> None:
    neighbors.output(tap, PEER6, [PACKET6], 0.0)
    assert len(neighbors.input(tap, [advertisement()], 0.0)) == 1


def test_an_advertisement_without_override(neighbors: Neighbors, tap: FakeLink) -> None:
    """One from elsewhere that does not override leaves the place, and casts doubt on it."""
    known6(neighbors, tap)
    assert neighbors.input(tap, [advertisement(mac=OTHER_MAC, override=0)], 1.0) == []
    assert neighbors.table(1.0) == (Neighbor("tap0", ip_address(PEER6), PEER_MAC, STALE),)
    assert neighbors.used == 2


def test_doubt_does_not_refresh(neighbors: Neighbors, tap: FakeLink) -> None:
    """A neighbor that was stale already stays so from the time it was."""
    known6(neighbors, tap)
    neighbors.input(tap, [advertisement(mac=OTHER_MAC, override=0)], 31.0)
    assert state(neighbors, 30.5) is STALE


def test_an_advertisement_that_overrides(neighbors: Neighbors, tap: FakeLink) -> None:
    """One that overrides moves the neighbor."""
    known6(neighbors, tap)
    assert neighbors.input(tap, [advertisement(mac=OTHER_MAC)], 1.0) == []
    assert neighbors.table(1.0) == (Neighbor("tap0", ip_address(PEER6), OTHER_MAC, STALE),)


def test_an_unsolicited_advertisement_answers_too(neighbors: Neighbors, tap: FakeLink) -> None:
    """While we ask, an advertisement without the solicited flag tells the place and confirms nothing."""
    neighbors.output(tap, PEER6, [PACKET6], 0.0)
    assert len(neighbors.input(tap, [advertisement(solicited=0, override=0)], 0.5)) == 1
    assert state(neighbors, 0.5) is STALE


def test_an_advertisement_without_a_place(neighbors: Neighbors, tap: FakeLink) -> None:
    """It answers a probe, where the place is known, and not a first question."""
    neighbors.output(tap, PEER6, [PACKET6], 0.0)
    assert neighbors.input(tap, [advertisement(mac=None)], 0.0) == []
    assert (neighbors.dropped, state(neighbors, 0.0)) == ({"unsolicited": 1}, INCOMPLETE)
    neighbors.input(tap, [advertisement()], 0.0)
    neighbors.output(tap, PEER6, [PACKET6], 30.0)
    neighbors.input(tap, [advertisement(mac=None)], 30.5)
    assert state(neighbors, 60.4) is REACHABLE


def test_what_is_no_good_is_counted(neighbors: Neighbors, tap: FakeLink) -> None:
    """Good frames around one that is not are used."""
    out = neighbors.input(tap, [request(), request()[:20], solicitation(hops=64), solicitation()], 0.0)
    assert len(out) == 2
    assert neighbors.used == 2
    assert tap.dropped == neighbors.dropped == {"short_header": 1, "bad_hop_limit": 1}


# --- bounds -------------------------------------------------------------------------------------


def test_waiting_is_bounded(tap: FakeLink) -> None:
    """Of more packets than may wait the oldest are dropped."""
    neighbors = Neighbors(waiting=2)
    packets = [datagram("10.0.0.1", "10.0.0.2", bytes((number,))) for number in range(5)]
    neighbors.output(tap, PEER4, packets[:2], 0.0)
    assert not neighbors.dropped
    neighbors.output(tap, PEER4, packets[2:], 0.0)
    assert (neighbors.waiting, neighbors.dropped, tap.dropped) == (2, {"unresolved": 3}, {"unresolved": 3})
    assert neighbors.input(tap, [reply()], 0.0) == [in_frame(packet, PEER_MAC, OUR_MAC) for packet in packets[3:]]


def test_the_usual_bounds(neighbors: Neighbors, tap: FakeLink) -> None:
    """16 packets wait for a neighbor, and 1024 neighbors are remembered."""
    neighbors.output(tap, PEER4, [PACKET] * 17, 0.0)
    assert neighbors.waiting == 16
    requests = [request(sender=f"10.1.{number >> 8}.{number & 255}") for number in range(1, 1030)]
    neighbors.input(tap, requests, 0.0)
    assert len(neighbors) == 1024


def test_the_table_is_bounded(tap: FakeLink) -> None:
    """The neighbor longest without a sign of life makes room, with what waits for it."""
    neighbors = Neighbors(limit=2)
    neighbors.output(tap, PEER4, [PACKET], 0.0)
    neighbors.input(tap, [request(sender="10.0.0.3"), request(sender="10.0.0.4")], 0.0)
    assert neighbors.dropped == {"unresolved": 1}
    assert (neighbors.waiting, neighbors.deadline) == (0, None)
    neighbors.input(tap, [request(OTHER_MAC, "10.0.0.3"), request(sender="10.0.0.5")], 1.0)
    assert [str(neighbor.address) for neighbor in neighbors.table(1.0)] == ["10.0.0.3", "10.0.0.5"]


def test_forgetting_a_tap(neighbors: Neighbors, tap: FakeLink) -> None:
    """A tap takes its neighbors along; what waits is counted under the reason."""
    other = fake_tap("tap1", "10.0.0.3/24")
    neighbors.output(tap, PEER4, [PACKET], 0.0)
    neighbors.output(other, PEER4, [PACKET], 0.0)
    neighbors.forget(tap, "gone")
    assert (tap.dropped, other.dropped) == ({"gone": 1}, {})
    assert [neighbor.interface for neighbor in neighbors.table(0.0)] == ["tap1"]
    assert (neighbors.waiting, neighbors.deadline) == (1, 1.0)
