"""The stack: what it answers, what it uses, and what it hands on."""

from __future__ import annotations

import errno
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packet.oracle import Raw, inet, inet6, l2

from aiotun.driver.families import Family
from aiotun.errors import DeviceError
from aiotun.host.stack import Stack
from aiotun.packet import ARP, Ethernet, EtherType, IPv6, Protocol, echo_reply, format_mac, unreachable

from .fakes import (
    EVERYBODY,
    OTHER_MAC,
    OUR_MAC,
    PEER_MAC,
    FakeLink,
    FakeLoop,
    conserved,
    datagram,
    echo_request,
    fake_tap,
    faulty,
    in_frame,
)
from .test_discovery import solicitation

PING, PING6 = echo_request("10.8.0.2", "10.8.0.1"), echo_request("fd08::2", "fd08::1")
TAP_PING, TAP_PING6 = echo_request("10.0.0.2", "10.0.0.1"), echo_request("fd00::2", "fd00::1")
IN, IN6 = datagram("10.8.0.2", "10.8.0.1"), datagram("fd08::2", "fd08::1")


@pytest.fixture
def stack() -> Stack:
    return Stack(lambda: 0.0)


@pytest.fixture
def tun(stack: Stack) -> FakeLink:
    tun = FakeLink("tun0", "10.8.0.1/24", "fd08::1/64")
    stack.attach(tun)
    return tun


@pytest.fixture
def tap(stack: Stack) -> FakeLink:
    tap = fake_tap("tap0", "10.0.0.1/24", "fd00::1/64")
    stack.attach(tap)
    return tap


def reply(packet: bytes) -> bytes:
    answer = echo_reply(packet)
    assert answer is not None
    return answer


# --- answering ----------------------------------------------------------------------------------


def test_scapy_pings_a_tun(stack: Stack, tun: FakeLink) -> None:
    """An echo request that scapy made gets the reply that scapy expects."""
    request = inet.IP(src="10.8.0.2", dst="10.8.0.1") / inet.ICMP(id=5, seq=6) / Raw(b"hello")
    stack.input(tun, [bytes(request)])
    answer = inet.IP(tun.packets[0])
    assert (answer.src, answer.dst, answer[inet.ICMP].type) == ("10.8.0.1", "10.8.0.2", 0)
    assert (answer[inet.ICMP].id, answer[inet.ICMP].seq, bytes(answer[Raw])) == (5, 6, b"hello")


def test_scapy_pings_a_tap(stack: Stack, tap: FakeLink) -> None:
    """Over a tap the reply goes back to the Ethernet address that asked."""
    ether = l2.Ether(src=format_mac(PEER_MAC), dst=format_mac(OUR_MAC))
    request = ether / inet6.IPv6(src="fd00::2", dst="fd00::1") / inet6.ICMPv6EchoRequest(id=5, seq=6, data=b"hello")
    stack.input(tap, [bytes(request)])
    answer = l2.Ether(tap.packets[0])
    assert (answer.src, answer.dst) == (format_mac(OUR_MAC), format_mac(PEER_MAC))
    assert (answer[inet6.IPv6].src, answer[inet6.ICMPv6EchoReply].data) == ("fd00::1", b"hello")


def test_one_output_for_a_batch(stack: Stack, tun: FakeLink) -> None:
    """The replies to a batch leave in one batch, in order; nothing else leaves."""
    stack.input(tun, [PING, IN, PING6, PING])
    assert tun.batches == [[reply(PING), reply(PING6), reply(PING)]]
    counts = stack.statistics()
    assert (counts.received, counts.used, counts.offered, counts.sent) == (4, 3, 3, 3)


def test_one_output_for_a_batch_on_a_tap(stack: Stack, tap: FakeLink) -> None:
    """ARP, neighbor discovery and echo requests are answered in one batch."""
    arp = ARP.request(PEER_MAC, "10.0.0.2", "10.0.0.1").frame()
    stack.input(tap, [in_frame(TAP_PING), arp, in_frame(TAP_PING6), solicitation()])
    (batch,) = tap.batches
    assert batch[0] == ARP(2, OUR_MAC, "10.0.0.1", PEER_MAC, "10.0.0.2").frame()
    assert l2.Ether(batch[1])[inet6.ICMPv6ND_NA].tgt == "fd00::1"
    assert batch[2:] == [in_frame(reply(packet), PEER_MAC, OUR_MAC) for packet in (TAP_PING, TAP_PING6)]
    counts = stack.statistics()
    assert (counts.received, counts.used, counts.offered, counts.sent) == (4, 4, 4, 4)


def test_any_address_of_the_host(stack: Stack, tun: FakeLink, tap: FakeLink) -> None:
    """An echo request for another interface's address is answered too, the way it came."""
    request = echo_request("10.8.0.2", "10.0.0.1")
    stack.input(tun, [request])
    assert (tun.packets, tap.packets) == ([reply(request)], [])


def test_behind_extension_headers(stack: Stack, tun: FakeLink) -> None:
    """An echo request behind IPv6 options is one."""
    options = inet6.IPv6(src="fd08::2", dst="fd08::1") / inet6.IPv6ExtHdrHopByHop() / inet6.ICMPv6EchoRequest()
    stack.input(tun, [bytes(options)])
    assert inet6.IPv6(tun.packets[0])[inet6.ICMPv6EchoReply].type == 129


def test_a_group_at_the_link(stack: Stack, tap: FakeLink) -> None:
    """An echo request for us in a frame for everybody is answered to its sender."""
    stack.input(tap, [in_frame(TAP_PING, EVERYBODY, OTHER_MAC)])
    assert tap.packets == [in_frame(reply(TAP_PING), OTHER_MAC, OUR_MAC)]


@pytest.mark.parametrize(("room", "is_open", "reason"), [(0, True, "queue_full"), (9, False, "down")])
def test_an_answer_that_does_not_go(stack: Stack, tun: FakeLink, room: int, is_open: bool, reason: str) -> None:
    """An answer nobody takes is counted, and raises nothing."""
    tun.room, tun.open = room, is_open
    stack.input(tun, [PING])
    assert stack.statistics().dropped == {reason: 1}
    assert tun.dropped == {reason: 1}


def test_an_answer_too_long(stack: Stack, tun: FakeLink) -> None:
    """An answer longer than the mtu is dropped; the others go."""
    tun.mtu = len(PING)
    stack.input(tun, [echo_request("10.8.0.2", "10.8.0.1", b"longer"), PING])
    assert tun.packets == [reply(PING)]
    assert stack.statistics().dropped == {"too_big": 1}


def test_no_answer_no_output(stack: Stack, tun: FakeLink, tap: FakeLink) -> None:
    """Without an answer the interface is left alone."""
    stack.input(tun, [IN])
    stack.input(tap, [in_frame(IN)])
    stack.input(tun, [])
    assert (tun.batches, tap.batches) == ([], [])


def test_a_fault_over_an_answer(stack: Stack, tap: FakeLink) -> None:
    """A stage that raises over the answers surfaces; what came in with the question is handed on all the same."""
    queue = stack.netisr.register(Family.IPX)
    faulty(tap, RuntimeError("a fault"))
    with pytest.raises(RuntimeError, match="^a fault$"):
        stack.input(tap, [in_frame(TAP_PING), Ethernet(OUR_MAC, PEER_MAC, 0x8137, b"ipx").build()])
    assert queue.recv_nowait() == b"ipx"
    assert stack.statistics().dropped == {"fault": 1}
    assert conserved(stack)


# --- handing on ---------------------------------------------------------------------------------


def test_by_family(stack: Stack, tun: FakeLink) -> None:
    """What the stack does not use goes to its protocol, in order."""
    four, six = stack.netisr.register(Family.INET), stack.netisr.register(Family.INET6)
    stack.input(tun, [IN, IN6, PING, IN])
    assert [four.recv_nowait(), four.recv_nowait(), six.recv_nowait()] == [IN, IN, IN6]
    assert stack.statistics().delivered == 3


def test_from_a_tap(stack: Stack, tap: FakeLink) -> None:
    """From a frame the packet is handed on, without header and padding."""
    queue = stack.netisr.register(Family.INET)
    stack.input(tap, [in_frame(IN) + bytes(20)])
    assert queue.recv_nowait() == IN


@pytest.mark.parametrize(
    "packet",
    [
        echo_request("10.8.0.2", "10.8.0.3"),
        echo_request("10.8.0.2", "10.8.0.255"),
        reply(echo_request("10.8.0.1", "10.8.0.2")),
        PING[:-1] + b"!",
    ],
)
def test_what_is_not_answered(stack: Stack, tun: FakeLink, packet: bytes) -> None:
    """An echo request for others, one that is broken, a reply to no ping: whoever asked for the family gets it."""
    queue = stack.netisr.register(Family.INET)
    stack.input(tun, [packet])
    assert queue.recv_nowait() == packet
    assert not tun.packets


@pytest.mark.parametrize("dst", ["fd08::3", "ff02::1"])
def test_what_is_not_answered6(stack: Stack, tun: FakeLink, dst: str) -> None:
    """The same for IPv6, groups included."""
    queue = stack.netisr.register(Family.INET6)
    packet = echo_request("fd08::2", dst)
    stack.input(tun, [packet])
    assert queue.recv_nowait() == packet


@pytest.mark.parametrize(
    ("packet", "reason"), [(IN[:10], "short_header"), (IN[:-1], "bad_length"), (IN6[:-1], "bad_length")]
)
def test_the_length_on_a_tun(stack: Stack, tun: FakeLink, packet: bytes, reason: str) -> None:
    """A packet that was cut short is dropped; bytes behind one that is whole are cut off."""
    four, six = stack.netisr.register(Family.INET), stack.netisr.register(Family.INET6)
    stack.input(tun, [packet, IN + b"behind", IN6 + b"behind", PING + b"behind"])
    assert [four.recv_nowait(), six.recv_nowait()] == [IN, IN6]
    assert tun.packets == [reply(PING)]
    assert tun.dropped == stack.statistics().dropped == {reason: 1}
    assert conserved(stack)


def test_the_length_to_ourselves(stack: Stack, tun: FakeLink) -> None:
    """What the host sends to itself is held to its length as well."""
    queue = stack.netisr.register(Family.INET)
    assert stack.send_many([IN + b"behind", IN[:-1]]) == 2
    assert queue.recv_nowait() == IN
    assert tun.dropped == stack.statistics().dropped == {"bad_length": 1}
    assert conserved(stack)


FORGED = ["10.8.0.1", "10.0.0.1", "127.0.0.1", "127.255.255.255", "fd08::1", "fd00::1", "::1"]


@pytest.mark.parametrize("source", FORGED)
def test_an_echo_request_in_our_name(stack: Stack, tun: FakeLink, tap: FakeLink, source: str) -> None:
    """An echo request from outside whose source is the host itself is not answered, by neither kind of interface."""
    packet = echo_request(source, "fd08::1" if ":" in source else "10.8.0.1")
    stack.input(tun, [packet, PING])
    assert tun.packets == [reply(PING)]
    assert tun.dropped == {"bad_source": 1}
    stack.input(tap, [in_frame(packet), in_frame(TAP_PING)])
    assert tap.packets == [in_frame(reply(TAP_PING), PEER_MAC, OUR_MAC)]
    assert tap.dropped == {"bad_source": 1}
    assert stack.statistics().dropped == {"bad_source": 2}
    assert (stack.statistics().used, stack.statistics().offered) == (2, 2)
    assert conserved(stack)


@pytest.mark.parametrize("source", ["126.255.255.255", "128.0.0.1", "7f08::1", "::2"])
def test_an_echo_request_of_a_near_one(stack: Stack, tun: FakeLink, source: str) -> None:
    """Addresses next to the loopback ones are anybody's."""
    packet = echo_request(source, "fd08::1" if ":" in source else "10.8.0.1")
    stack.input(tun, [packet])
    assert tun.packets == [reply(packet)]


@pytest.mark.parametrize("source", ["10.8.0.1", "fd08::1"])
def test_a_datagram_in_our_name(stack: Stack, tun: FakeLink, source: str) -> None:
    """Only answers are refused: any other packet is its protocol's to judge."""
    queue = stack.netisr.register(Family.INET6 if ":" in source else Family.INET)
    packet = datagram(source, source)
    stack.input(tun, [packet])
    assert queue.recv_nowait() == packet


def test_discovery_on_a_tun(stack: Stack, tun: FakeLink) -> None:
    """A tun has no neighbors: what is discovery on a tap is a packet there."""
    queue = stack.netisr.register(Family.INET6)
    packet = solicitation()[14:]
    stack.input(tun, [packet])
    assert queue.recv_nowait() == packet


def test_other_families(stack: Stack, tap: FakeLink) -> None:
    """IPX from a tap goes to who registered it."""
    queue = stack.netisr.register(Family.IPX)
    stack.input(tap, [Ethernet(OUR_MAC, PEER_MAC, 0x8137, b"ipx").build()])
    assert queue.recv_nowait() == b"ipx"
    assert stack.statistics().delivered == 1


def test_nobody_registered(stack: Stack, tun: FakeLink, tap: FakeLink) -> None:
    """Packets of a protocol that nobody registered are counted, at the interface and in the stack."""
    stack.input(tun, [IN, IN6, IN])
    assert tun.dropped == stack.statistics().dropped == {"no_protocol": 3}


def test_a_full_protocol_queue(stack: Stack, tun: FakeLink) -> None:
    """What its protocol has no room for is counted likewise."""
    stack.netisr.register(Family.INET, 2)
    stack.input(tun, [IN] * 5)
    assert tun.dropped == stack.statistics().dropped == {"input_queue_full": 3}
    assert stack.statistics().delivered == 2


def test_a_protocol_queue_just_full(stack: Stack, tun: FakeLink) -> None:
    """Packets that just fit leave no trace among the drops, in the stack or the interface."""
    stack.netisr.register(Family.INET, 2)
    stack.input(tun, [IN, IN])
    assert tun.dropped == stack.statistics().dropped == {}


@pytest.mark.parametrize(("packet", "reason"), [(b"\x50" + bytes(40), "unsupported_family"), (b"", "short_header")])
def test_what_is_no_packet(stack: Stack, tun: FakeLink, packet: bytes, reason: str) -> None:
    """What is neither IPv4 nor IPv6 is dropped; the others are used."""
    stack.input(tun, [packet, PING])
    assert tun.dropped == stack.statistics().dropped == {reason: 1}
    assert tun.packets == [reply(PING)]


def test_frames_for_nobody(stack: Stack, tap: FakeLink) -> None:
    """Frames the stack cannot use are counted, at the tap and in the stack."""
    tagged = l2.Ether(src=format_mac(PEER_MAC), dst=format_mac(OUR_MAC)) / l2.Dot1Q(vlan=5) / inet.IP()
    stack.input(tap, [in_frame(TAP_PING, OTHER_MAC), bytes(tagged), b"", in_frame(TAP_PING, OTHER_MAC)])
    assert tap.dropped == stack.statistics().dropped == {"not_for_us": 2, "vlan": 1, "short_header": 1}


# --- to this host itself ------------------------------------------------------------------------


def test_to_an_address_of_our_own(stack: Stack, tun: FakeLink, tap: FakeLink) -> None:
    """A packet to this host enters it again, and leaves by no interface."""
    queue = stack.netisr.register(Family.INET)
    packet = datagram("10.8.0.1", "10.0.0.1")
    stack.send(packet)
    assert stack.send_many([packet, packet]) == 2
    assert [queue.recv_nowait() for _ in range(3)] == [packet] * 3
    assert (tun.batches, tap.batches) == ([], [])
    counts = stack.statistics()
    assert (counts.looped, counts.received, counts.delivered, counts.offered, counts.sent) == (3, 3, 3, 3, 0)


@pytest.mark.parametrize("own", ["10.0.0.1", "fd00::1", "10.8.0.1"])
async def test_pinging_ourselves(stack: Stack, tun: FakeLink, tap: FakeLink, own: str) -> None:
    """A ping to an address of this host is answered by itself."""
    assert await stack.pings.ping(own) >= 0
    counts = stack.statistics()
    assert (counts.looped, counts.received, counts.used, counts.offered, counts.sent) == (2, 2, 2, 2, 0)
    assert conserved(stack)


def test_a_stranger_pings_us_from_within(stack: Stack, tun: FakeLink) -> None:
    """The reply to an echo request the program sent in another's name goes to that other."""
    stack.send(PING)
    assert tun.packets == [reply(PING)]
    assert conserved(stack)


def test_longer_than_any_mtu(stack: Stack, tun: FakeLink) -> None:
    """A packet to this host passes no wire that would be too small for it, nor one that is down."""
    queue = stack.netisr.register(Family.INET)
    tun.up = False
    packet = datagram("10.8.0.1", "10.8.0.1", bytes(5000))
    stack.send(packet)
    assert queue.recv_nowait() == packet


# --- pings --------------------------------------------------------------------------------------


class Peer(FakeLink):
    """A tun whose peer answers echo requests, or says that nobody is there."""

    def __init__(self, stack: Stack) -> None:
        super().__init__("tun0", "10.8.0.1/24", "fd08::1/64")
        self.stack = stack
        stack.attach(self)

    def output(self, batch: list[bytes]) -> list[bytes]:
        for packet in super().output(batch):
            answer = unreachable(packet, "10.8.0.254", 1) if b"\x0a\x09" in packet[16:18] else echo_reply(packet)
            self.stack.input(self, [answer] if answer else [])
        return batch


@pytest.mark.parametrize("target", ["10.8.0.2", "fd08::2"])
async def test_ping(stack: Stack, target: str) -> None:
    """A ping over an interface comes back to the host."""
    peer = Peer(stack)
    assert await stack.pings.ping(target) >= 0
    assert len(peer.packets) == 1
    assert stack.statistics().used == 1
    assert conserved(stack)


async def test_ping_of_nobody(stack: Stack) -> None:
    """A router's word that nobody is there ends the ping."""
    Peer(stack)
    stack.routes.add("10.9.0.0/16", "tun0")
    with pytest.raises(DeviceError, match=r"^10.9.9.9: unreachable, says 10.8.0.254$") as caught:
        await stack.pings.ping("10.9.9.9")
    assert caught.value.errno == errno.EHOSTUNREACH
    assert stack.statistics().used == 1


async def test_ping_without_a_route(stack: Stack) -> None:
    """A ping that has no route says so."""
    with pytest.raises(DeviceError, match="^no route to 10.9.9.9$"):
        await stack.pings.ping("10.9.9.9")


# --- the end ------------------------------------------------------------------------------------


def test_closing(stack: Stack, tun: FakeLink, tap: FakeLink) -> None:
    """A closed stack listens to no interface, has no route and no protocol."""
    stack.netisr.register(Family.INET)
    stack.close()
    assert not (tun.listeners or tap.listeners or stack.netisr.queues or len(stack.routes))


def test_closing_stops_the_timer(stack: Stack, tap: FakeLink, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing stays in the loop after close; what waited is counted."""
    loop = FakeLoop(monkeypatch)
    stack.send(datagram("10.0.0.1", "10.0.0.2"))
    stack.close()
    stack.close()
    assert loop.cancelled == 1
    assert stack.statistics().dropped == {"gone": 1}
    assert not tap.listeners


def test_the_usual_clock() -> None:
    """Without a clock of your own the monotonic one is asked."""
    stack, tap = Stack(), fake_tap("tap0", "10.0.0.1/24")
    stack.attach(tap)
    stack.input(tap, [ARP.request(PEER_MAC, "10.0.0.2", "10.0.0.1").frame()])
    (neighbor,) = stack.neighbors.table(0.0)
    assert neighbor.state.value == "reachable"  # long before now, it was to be


# --- conservation -------------------------------------------------------------------------------

PACKETS = [
    PING, PING6, TAP_PING, TAP_PING6, IN, IN6, b"", b"\x50", PING[:5], datagram("10.8.0.1", "10.8.0.2"),
    datagram("fd08::1", "fd08::2"), datagram("10.0.0.1", "10.0.0.2"), datagram("10.0.0.1", "10.0.0.3"),
    datagram("fd00::1", "fd00::2"), datagram("10.8.0.1", "10.9.9.9"), datagram("10.8.0.1", "10.8.0.2", bytes(300)),
    datagram("10.0.0.1", "10.0.0.255"), IPv6("fd08::2", "fd08::1", Protocol.NO_NEXT).build(),
]  # fmt: skip
FRAMES = [
    *(in_frame(packet) for packet in PACKETS if packet),
    ARP.request(PEER_MAC, "10.0.0.2", "10.0.0.1").frame(),
    ARP(2, PEER_MAC, "10.0.0.2", OUR_MAC, "10.0.0.1").frame(),
    ARP(2, PEER_MAC, "10.0.0.1", OUR_MAC, "10.0.0.1").frame(),
    solicitation(),
    solicitation(hops=1),
    Ethernet(OUR_MAC, PEER_MAC, 0x8137, b"ipx").build(),
    Ethernet(OUR_MAC, PEER_MAC, EtherType.IPV4, b"short").build(),
    b"",
]
STEPS: st.SearchStrategy[tuple[str, list[bytes]]] = st.one_of(
    st.tuples(st.just("tun"), st.lists(st.sampled_from(PACKETS), max_size=5)),
    st.tuples(st.just("tap"), st.lists(st.sampled_from(FRAMES), max_size=5)),
    st.tuples(st.just("send"), st.lists(st.sampled_from(PACKETS), max_size=5)),
    st.tuples(st.sampled_from(["down", "up", "later", "drain", "read"]), st.just([])),
)


@settings(deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_nothing_is_lost(steps: list[tuple[str, list[bytes]]]) -> None:
    """Whatever enters and leaves, in whatever state, every packet is accounted for."""
    now = [0.0]
    stack = Stack(lambda: now[0])
    tun = FakeLink("tun0", "10.8.0.1/24", "fd08::1/64", mtu=200)
    tap = fake_tap("tap0", "10.0.0.1/24", "fd00::1/64")
    tun.room = tap.room = 5
    stack._arm = lambda: None  # type: ignore[method-assign]
    stack.attach(tun)
    stack.attach(tap)
    queue = stack.netisr.register(Family.INET, 3)
    queued: Counter[str] = Counter()
    for step, batch in steps:
        if step in ("tun", "tap"):
            stack.input({"tun": tun, "tap": tap}[step], batch)
        elif step == "send":
            stack.send_many(batch)
        elif step in ("down", "up"):
            tun.set_up(step == "up")
            tap.set_up(step == "up")
        elif step == "later":
            now[0] += 0.6
            stack._ask_again()
        elif step == "drain":
            queued["all"] += len(tun.packets) + len(tap.packets)
            tun.batches.clear()
            tap.batches.clear()
        elif queue.statistics().queued:
            queue.recv_nowait()
        assert conserved(stack)
    assert stack.statistics().sent == queued["all"] + len(tun.packets) + len(tap.packets)
    counts = queue.statistics()
    assert stack.statistics().delivered == counts.taken + counts.queued
