"""The way out: routes, neighbors, refusals and questions in time."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Iterator

import pytest

from aiotun.errors import DeviceDown, DeviceError, DeviceGone, PacketError, PacketTooBig, QueueFull, UnsupportedFamily
from aiotun.host.routes import NoRoute
from aiotun.host.stack import Stack
from aiotun.packet import ARP, EthernetView

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

OUT = datagram("10.8.0.1", "10.8.0.2")
OUT6 = datagram("fd08::1", "fd08::2")
ON_TAP = datagram("10.0.0.1", "10.0.0.2")


class Clock:
    """A time that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stack(clock: Clock) -> Stack:
    return Stack(clock)


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


def answer(stack: Stack, tap: FakeLink, sender: str = "10.0.0.2", mac: bytes = PEER_MAC) -> None:
    stack.input(tap, [ARP(2, mac, sender, OUR_MAC, "10.0.0.1").frame()])


# --- a tun --------------------------------------------------------------------------------------


@pytest.mark.parametrize("packet", [OUT, OUT6])
def test_sending(stack: Stack, tun: FakeLink, packet: bytes) -> None:
    """A packet leaves by the interface its route names, unchanged."""
    stack.send(packet)
    assert tun.packets == [packet]
    assert (stack.statistics().sent, stack.statistics().offered) == (1, 1)


def test_sending_many(stack: Stack, tun: FakeLink) -> None:
    """Packets for one interface leave it in one batch, in order; each batch by its own route."""
    other = FakeLink("tun1", "10.7.0.1/24")
    stack.attach(other)
    elsewhere = datagram("10.7.0.1", "10.7.0.2")
    assert stack.send_many([OUT, elsewhere, OUT6, OUT]) == 4
    assert (tun.batches, other.batches) == ([[OUT, OUT6, OUT]], [[elsewhere]])


def test_a_router_on_a_tun(stack: Stack, tun: FakeLink) -> None:
    """A tun has one peer: who is next on the way does not matter."""
    stack.routes.add("10.9.0.0/16", "tun0", "10.8.0.9")
    far = datagram("10.8.0.1", "10.9.0.1")
    assert stack.send_many([OUT, far]) == 2
    assert tun.batches == [[OUT, far]]


@pytest.mark.parametrize("own", ["10.8.0.1", "fd08::1"])
def test_to_this_host(stack: Stack, tun: FakeLink, own: str) -> None:
    """A packet to this host enters it by the interface that has the address, and counts as gone."""
    packet = datagram("10.8.0.2", own) if "." in own else datagram("fd08::2", own)
    stack.send(packet)
    assert stack.send_many([packet, packet]) == 2
    assert not tun.batches
    assert tun.dropped == {"no_protocol": 3}
    assert (stack.statistics().looped, stack.statistics().received) == (3, 3)


def test_the_first_owner(stack: Stack, tun: FakeLink) -> None:
    """Of two interfaces with the address a packet to this host enters by the first."""
    other = FakeLink("tun1", "10.8.0.1/24")
    stack.attach(other)
    stack.send(datagram("10.8.0.2", "10.8.0.1"))
    assert (tun.dropped, other.dropped) == ({"no_protocol": 1}, {})


# --- refusals -----------------------------------------------------------------------------------


def big(size: int) -> bytes:
    return datagram("10.8.0.1", "10.8.0.2", bytes(size - 28))


def prepare_down(stack: Stack, tun: FakeLink) -> None:
    tun.up = False


def prepare_closed(stack: Stack, tun: FakeLink) -> None:
    tun.open = False


def prepare_full(stack: Stack, tun: FakeLink) -> None:
    tun.room = 0


def prepare_nothing(stack: Stack, tun: FakeLink) -> None:
    stack.routes.add("10.5.0.0/16", "tun7")


REFUSALS = [
    (prepare_nothing, datagram("10.8.0.1", "10.9.9.9"), NoRoute, "no route to 10.9.9.9", "no_route"),
    (prepare_nothing, datagram("fd08::1", "fd09::9"), NoRoute, "no route to fd09::9", "no_route"),
    (prepare_nothing, datagram("10.8.0.1", "10.5.0.1"), DeviceGone, "tun7: no such interface", "gone"),
    (prepare_nothing, big(1501), PacketTooBig, "tun0: packet is 1501 bytes, mtu is 1500", "too_big"),
    (prepare_down, OUT, DeviceDown, "tun0: the interface is down", "down"),
    (prepare_closed, OUT, DeviceDown, "tun0: the interface is down", "down"),
    (prepare_full, OUT, QueueFull, "tun0: the send queue is full", "queue_full"),
    (
        prepare_nothing,
        b"\x50" + bytes(39),
        UnsupportedFamily,
        "packet begins with 0x50, neither IPv4 nor IPv6",
        "unsupported_family",
    ),
    (prepare_nothing, b"", PacketError, "packet is 0 bytes, an IPv4 header alone is 20", "short_header"),
    (prepare_nothing, OUT[:19], PacketError, "packet is 19 bytes, an IPv4 header alone is 20", "short_header"),
    (prepare_nothing, OUT6[:39], PacketError, "packet is 39 bytes, an IPv6 header alone is 40", "short_header"),
]
refusals = pytest.mark.parametrize(
    ("prepare", "packet", "kind", "text", "reason"), REFUSALS, ids=[refusal[3] for refusal in REFUSALS]
)
Prepare = Callable[[Stack, FakeLink], None]


@refusals
def test_what_is_refused(
    stack: Stack, tun: FakeLink, prepare: Prepare, packet: bytes, kind: type[Exception], text: str, reason: str
) -> None:
    """A packet that cannot go is refused with a sentence, and counted once."""
    prepare(stack, tun)
    with pytest.raises(kind, match=f"^{text}$"):
        stack.send(packet)
    assert not tun.packets
    assert stack.statistics().dropped == {reason: 1}
    assert stack.statistics().offered == 1


@refusals
def test_what_is_dropped(
    stack: Stack, tun: FakeLink, prepare: Prepare, packet: bytes, kind: type[Exception], text: str, reason: str
) -> None:
    """The same in a batch is dropped and counted; the others go."""
    other = FakeLink("tun1", "10.7.0.1/24")
    stack.attach(other)
    elsewhere = datagram("10.7.0.1", "10.7.0.2")
    prepare(stack, tun)
    assert stack.send_many([packet, elsewhere, packet]) == 1
    assert (tun.packets, other.packets) == ([], [elsewhere])
    assert stack.statistics().dropped == {reason: 2}
    assert stack.statistics().offered == 3


def test_the_errno_of_no_route(stack: Stack) -> None:
    """Without a route the network is unreachable."""
    with pytest.raises(DeviceError) as caught:
        stack.send(OUT)
    assert caught.value.errno == errno.ENETUNREACH


def test_as_long_as_the_mtu(stack: Stack, tun: FakeLink) -> None:
    """A packet may be as long as the mtu."""
    stack.send(big(1500))
    assert tun.packets == [big(1500)]


def test_what_fits_a_full_queue(stack: Stack, tun: FakeLink) -> None:
    """Of a batch the packets from the front fit; the others are counted."""
    tun.room = 2
    assert stack.send_many([OUT] * 5) == 2
    assert stack.statistics().dropped == {"queue_full": 3}
    assert stack.statistics().sent == 2


def test_a_header_alone(stack: Stack, tun: FakeLink) -> None:
    """A packet may be a header and nothing else."""
    assert stack.send_many([OUT[:20], OUT6[:40]]) == 2


# --- a tap --------------------------------------------------------------------------------------


async def test_a_neighbor_is_asked_for_first(stack: Stack, tap: FakeLink) -> None:
    """The packet waits for its neighbor's Ethernet address, then leaves in a frame."""
    stack.send(ON_TAP)
    (question,) = tap.packets
    assert EthernetView(question).dst == EVERYBODY
    assert (stack.statistics().waiting, stack.statistics().sent) == (1, 1)
    answer(stack, tap)
    assert tap.packets[1:] == [in_frame(ON_TAP, PEER_MAC, OUR_MAC)]
    assert (stack.statistics().waiting, stack.statistics().sent) == (0, 2)
    assert stack.send_many([ON_TAP, ON_TAP]) == 2
    assert tap.batches[2:] == [[in_frame(ON_TAP, PEER_MAC, OUR_MAC)] * 2]
    stack.close()


def test_a_tap_that_is_down(stack: Stack, tap: FakeLink) -> None:
    """While a tap is down nobody is asked, and nothing waits."""
    tap.up = False
    with pytest.raises(DeviceDown, match="^tap0: the interface is down$"):
        stack.send(ON_TAP)
    assert stack.statistics().waiting == 0


async def test_by_a_router(stack: Stack, tap: FakeLink) -> None:
    """A packet for a network behind a router leaves for the router's Ethernet address, addressed as it was."""
    stack.routes.add("0.0.0.0/0", "tap0", "10.0.0.254")
    far = datagram("10.0.0.1", "192.0.2.1")
    assert stack.send_many([ON_TAP, far]) == 2
    answer(stack, tap, "10.0.0.254", OTHER_MAC)
    assert tap.packets[-1] == in_frame(far, OTHER_MAC, OUR_MAC)
    assert stack.statistics().waiting == 1
    stack.close()


def test_a_group_at_once(stack: Stack, tap: FakeLink) -> None:
    """A packet to the network's broadcast address leaves at once."""
    packet = datagram("10.0.0.1", "10.0.0.255")
    stack.send(packet)
    assert tap.packets == [in_frame(packet, EVERYBODY, OUR_MAC)]


async def test_a_stale_neighbor(stack: Stack, tap: FakeLink, clock: Clock) -> None:
    """After 30 seconds the packet leaves, and the neighbor is asked again."""
    stack.send(ON_TAP)
    answer(stack, tap)
    clock.now += 30
    stack.send(ON_TAP)
    assert tap.packets[-1] == in_frame(ON_TAP, PEER_MAC, OUR_MAC)
    assert EthernetView(tap.packets[-2]).ethertype == 0x0806
    assert EthernetView(tap.packets[-2]).dst == PEER_MAC
    stack.close()


async def test_a_full_tap(stack: Stack, tap: FakeLink) -> None:
    """A tap whose queue is full refuses a packet to a known neighbor."""
    stack.send(ON_TAP)
    answer(stack, tap)
    tap.room = 2
    with pytest.raises(QueueFull):
        stack.send(ON_TAP)
    stack.close()


async def test_a_question_that_does_not_go(stack: Stack, tap: FakeLink) -> None:
    """A question that finds no room, or no reader, is counted; the packet waits all the same."""
    tap.room = 0
    stack.send(ON_TAP)
    assert stack.statistics().dropped == {"queue_full": 1}
    tap.open = False
    stack.send(datagram("10.0.0.1", "10.0.0.3"))
    assert stack.statistics().dropped == {"queue_full": 1, "down": 1}
    assert (stack.statistics().waiting, stack.statistics().sent) == (2, 0)
    stack.close()


async def test_a_packet_that_waited_too_long(stack: Stack, tap: FakeLink) -> None:
    """A packet that does not fit any more when its neighbor answers is dropped, and counted at the tap."""
    stack.send_many([ON_TAP, datagram("10.0.0.1", "10.0.0.2", bytes(200))])
    tap.mtu = len(ON_TAP)
    answer(stack, tap)
    assert tap.packets[1:] == [in_frame(ON_TAP, PEER_MAC, OUR_MAC)]
    assert tap.dropped == stack.statistics().dropped == {"too_big": 1}
    stack.close()


# --- in time ------------------------------------------------------------------------------------


def test_one_timer(stack: Stack, tap: FakeLink, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many neighbors are asked, one timer runs, for the earliest; it asks again, and gives up in the end."""
    loop = FakeLoop(monkeypatch)
    stack.send(ON_TAP)
    clock.now = 100.25
    stack.send(datagram("10.0.0.1", "10.0.0.3"))
    asked = []
    while loop.later:
        ((delay, call),) = loop.later
        loop.later.clear()
        clock.now += delay
        before = len(tap.packets)
        call()
        asked.append((clock.now, len(tap.packets) - before))
    # The timer was set at 100 for 101, and the clock had gone on to 100.25.
    assert asked == [(101.25, 2), (102.25, 2), (103.25, 0)]
    assert stack.statistics().dropped == {"unresolved": 2}
    assert stack.statistics().waiting == 0


def test_a_timer_too_early(stack: Stack, tap: FakeLink, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A timer that fires early is set again for the rest, one that fires late for now."""
    loop = FakeLoop(monkeypatch)
    stack.send(ON_TAP)
    (_, call) = loop.later.pop()
    clock.now = 100.75
    call()
    assert [delay for delay, _ in loop.later] == [0.25]
    assert len(tap.packets) == 1
    loop.later.clear()
    stack.neighbors.output(tap, bytes((10, 0, 0, 3)), [ON_TAP], 50.0)  # due at 51, long ago
    stack.neighbors.input(tap, [ARP(2, PEER_MAC, "10.0.0.2", OUR_MAC, "10.0.0.1").frame()], 100.75)
    stack._timer = None
    stack._arm()
    assert [delay for delay, _ in loop.later] == [0.0]


def test_nothing_to_wait_for(stack: Stack, tap: FakeLink, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once everybody has answered the timer is not set again."""
    loop = FakeLoop(monkeypatch)
    stack.send(ON_TAP)
    answer(stack, tap)
    (_, call) = loop.later.pop()
    clock.now = 101.0
    call()
    assert loop.later == []
    assert len(tap.packets) == 2


async def test_the_real_loop(tap: FakeLink, stack: Stack, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop calls when the question is due."""
    monkeypatch.setattr("aiotun.host.neighbors.RETRANS_TIMER", 0.0)
    stack.send(ON_TAP)
    while stack.statistics().waiting:
        await asyncio.sleep(0)
    assert len(tap.packets) == 3
    assert stack.statistics().dropped == {"unresolved": 1}


def ask_in_a_loop(stack: Stack, call: Callable[[], object]) -> asyncio.TimerHandle | None:
    """Call in an event loop of its own; return the timer that runs there afterwards."""

    async def main() -> asyncio.TimerHandle | None:
        call()
        return stack._timer

    return asyncio.run(main())


def test_a_loop_that_is_gone(stack: Stack, tap: FakeLink, clock: Clock) -> None:
    """A timer of a loop that was closed is none: the next loop gets one of its own, and only one."""
    first = ask_in_a_loop(stack, lambda: stack.send(ON_TAP))
    clock.now = 100.5
    second = ask_in_a_loop(stack, lambda: stack.send_many([ON_TAP, ON_TAP]))
    assert first is not None and second is not None and first is not second
    assert (first.cancelled(), second.cancelled()) == (True, False)
    assert stack.statistics().waiting == 3


async def test_one_timer_in_one_loop(stack: Stack, tap: FakeLink) -> None:
    """A timer that runs in the loop stays."""
    stack.send(ON_TAP)
    timer = stack._timer
    stack.send(ON_TAP)
    assert stack._timer is timer is not None
    assert not timer.cancelled()
    stack.close()


def test_without_a_loop(stack: Stack, tap: FakeLink) -> None:
    """Without a running loop the packet waits, counted once, and its neighbor is asked once."""
    stack.send(ON_TAP)
    assert stack.send_many([ON_TAP]) == 1
    counts = stack.statistics()
    assert (counts.offered, counts.waiting, counts.sent, counts.dropped) == (3, 2, 1, {})
    assert conserved(stack)


@pytest.mark.parametrize(
    "call",
    [
        lambda stack, tap: stack.send(datagram("10.0.0.1", "10.0.0.2", b"another")),
        lambda stack, tap: stack.input(tap, []),
    ],
    ids=["send", "input"],
)
def test_the_timer_of_what_was_sent_without_a_loop(
    stack: Stack, tap: FakeLink, call: Callable[[Stack, FakeLink], None]
) -> None:
    """The first packet inside a loop, in or out, sets the timer for what was asked before there was one."""
    stack.send(ON_TAP)
    assert ask_in_a_loop(stack, lambda: call(stack, tap)) is not None


# --- faults of the user's -----------------------------------------------------------------------


def test_a_fault_when_asking_again(stack: Stack, tap: FakeLink, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage that raises over a question on one tap stops neither the other's nor the next; the first surfaces."""
    loop = FakeLoop(monkeypatch)
    other = fake_tap("tap1", "10.1.0.1/24")
    last = fake_tap("tap2", "10.2.0.1/24")
    for one in (other, last):
        stack.attach(one)
    assert stack.send_many([ON_TAP, datagram("10.1.0.1", "10.1.0.2"), datagram("10.2.0.1", "10.2.0.2")]) == 3
    faulty(tap, RuntimeError("a fault"))
    faulty(last, RuntimeError("a later fault"))
    (_, call) = loop.later.pop()
    clock.now = 101.0
    with pytest.raises(RuntimeError, match="^a fault$"):
        call()
    assert len(other.packets) == 2
    assert [delay for delay, _ in loop.later] == [1.0]
    assert stack.statistics().dropped == {"fault": 2}
    assert conserved(stack)


def test_a_table_that_fails(stack: Stack, tap: FakeLink, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong when asking again, the timer is set for the next time."""
    loop = FakeLoop(monkeypatch)
    stack.send(ON_TAP)
    (_, call) = loop.later.pop()
    monkeypatch.setattr(stack.neighbors, "expire", lambda now: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        call()
    assert [delay for delay, _ in loop.later] == [1.0]


def test_a_fault_over_the_question(stack: Stack, tap: FakeLink) -> None:
    """A stage that raises over a question surfaces at the sender; its packet waits, and is not dropped as well."""
    faulty(tap, RuntimeError("a fault"))
    with pytest.raises(RuntimeError, match="^a fault$"):
        stack.send(ON_TAP)
    counts = stack.statistics()
    assert (counts.offered, counts.waiting, counts.sent, counts.dropped) == (2, 1, 0, {"fault": 1})


def test_a_fault_over_what_waited(stack: Stack, tap: FakeLink) -> None:
    """Packets that an answer releases into a stage that raises are counted, each of them."""
    assert stack.send_many([ON_TAP] * 3) == 3
    faulty(tap, RuntimeError("a fault"))
    with pytest.raises(RuntimeError, match="^a fault$"):
        answer(stack, tap)
    counts = stack.statistics()
    assert (counts.waiting, counts.sent, counts.dropped) == (0, 1, {"fault": 3})
    assert conserved(stack)


def test_a_fault_over_the_answer_to_ourselves(stack: Stack, tun: FakeLink) -> None:
    """A packet to this host has gone, whatever happens to the answer; only that is dropped."""
    faulty(tun, RuntimeError("a fault"))
    with pytest.raises(RuntimeError, match="^a fault$"):
        stack.send(echo_request("10.8.0.2", "10.8.0.1"))
    with pytest.raises(RuntimeError, match="^a fault$"):
        stack.send_many([echo_request("10.8.0.2", "10.8.0.1")])
    counts = stack.statistics()
    assert (counts.looped, counts.used, counts.dropped) == (2, 2, {"fault": 2})
    assert conserved(stack)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RuntimeError("a fault"), "fault"),
        (UnicodeDecodeError("ascii", b"", 0, 1, "a fault"), "fault"),
        (KeyboardInterrupt(), "fault"),
        (PacketError("a fault", reason="bad_checksum"), "bad_checksum"),
    ],
    ids=["Exception", "with a reason of another kind", "not an Exception", "PacketError"],
)
def test_what_a_stage_raises(stack: Stack, tun: FakeLink, error: BaseException, reason: str) -> None:
    """Whatever a stage raises is counted, and surfaces; an error of this library under its own reason."""
    faulty(tun, error)
    for send in (lambda: stack.send(OUT), lambda: stack.send_many([OUT, OUT])):
        with pytest.raises(type(error)) as caught:
            send()
        assert caught.value is error
    assert stack.statistics().dropped == {reason: 3}
    assert conserved(stack)


def test_the_first_of_two_faults(stack: Stack, tun: FakeLink, tap: FakeLink) -> None:
    """Of two stages that raise the first one's error surfaces; the packets of both are counted."""
    faulty(tun, RuntimeError("a fault"))
    faulty(tap, RuntimeError("a later fault"))
    with pytest.raises(RuntimeError, match="^a fault$"):
        stack.send_many([OUT, datagram("10.0.0.1", "10.0.0.255")])
    assert stack.statistics().dropped == {"fault": 2}


def test_a_stage_that_refuses(stack: Stack, tun: FakeLink) -> None:
    """A DeviceError that a stage raises is a refusal like the interface's own: send_many() counts it."""
    faulty(tun, DeviceDown("tun0: no carrier"))
    assert stack.send_many([OUT, OUT]) == 0
    with pytest.raises(DeviceDown, match="^tun0: no carrier$"):
        stack.send(OUT)
    assert stack.statistics().dropped == {"down": 3}


# --- what a program may pass --------------------------------------------------------------------


@pytest.mark.parametrize("packet", ["text", None, 5, [OUT], bytearray(OUT), memoryview(OUT)], ids=type)
def test_what_is_no_packet(stack: Stack, tun: FakeLink, packet: object) -> None:
    """A packet is bytes; anything else is refused by its type and counts nowhere, packets in front of it go."""
    text = f"^a packet is bytes, not {type(packet).__name__}$"
    with pytest.raises(TypeError, match=text):
        stack.send(packet)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=text):
        stack.send_many([OUT, packet, OUT6])  # type: ignore[list-item]
    assert tun.packets == [OUT]
    assert (stack.statistics().offered, stack.statistics().sent) == (1, 1)


def test_a_packet_for_a_batch(stack: Stack, tun: FakeLink) -> None:
    """A packet is no batch."""
    with pytest.raises(TypeError, match="^a packet is bytes, not int$"):
        stack.send_many(OUT)  # type: ignore[arg-type]


def test_a_generator_that_raises(stack: Stack, tun: FakeLink) -> None:
    """What a generator gave before it raised goes; its error goes before a stage's."""

    def packets() -> Iterator[bytes]:
        yield OUT
        yield datagram("10.8.0.1", "10.9.9.9")
        raise LookupError("no more")

    with pytest.raises(LookupError, match="^no more$"):
        stack.send_many(packets())
    assert tun.packets == [OUT]
    faulty(tun, RuntimeError("a fault"))
    with pytest.raises(LookupError, match="^no more$"):
        stack.send_many(packets())
    counts = stack.statistics()
    assert (counts.offered, counts.sent, counts.dropped) == (4, 1, {"no_route": 2, "fault": 1})


@pytest.mark.parametrize("error", [None, RuntimeError("a fault")], ids=["filters", "raises"])
def test_a_stage_that_empties_the_batch(stack: Stack, tun: FakeLink, error: Exception | None) -> None:
    """A stage may change the list it is given: packets are counted as they were offered."""
    kept: list[bytes] = [OUT] * 3

    def output(batch: list[bytes]) -> list[bytes]:
        batch.clear()
        if error is not None:
            raise error
        return batch

    tun.output = output  # type: ignore[method-assign]
    reason = "filtered" if error is None else "fault"
    if error is None:
        assert stack.send_many(kept) == 0
    else:
        with pytest.raises(RuntimeError):
            stack.send_many(kept)
    assert kept == [OUT] * 3
    assert stack.statistics().dropped == {reason: 3}
    try:
        stack.input(tun, [echo_request("10.8.0.2", "10.8.0.1")] * 2)
    except RuntimeError:
        assert error is not None
    assert stack.statistics().dropped == {reason: 5}
    assert conserved(stack)
