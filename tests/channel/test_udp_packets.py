"""Packets and super-packets over a connected UDP socket, in both forms, over loopback."""

from __future__ import annotations

import errno
import random
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from offload import packets as p
from twins import both, only_c

from aiotun import speedups
from aiotun.channel.udp_datagrams import TRAIN, UDP_GRO, send_datagrams
from aiotun.channel.udp_packets import recv_packets, send_packets
from aiotun.offload import coalesce, segment
from aiotun.packet import SuperPacket

from .test_udp_datagrams import CROWD, bound, received

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="trains are Linux's")

Form = Callable[..., Any]
Ends = tuple[socket.socket, socket.socket]

BIG = p.big(4, 5000, 1000)
PIECES = segment(BIG)
PLAIN = p.tcp(4)
IN_TUNNEL = p.with_fields(BIG, gso_type=0x20 | BIG.gso_type)
UNFIT = p.with_fields(BIG, csum_start=3)
MANY = 10_000
"""More datagrams than there are."""
TRAINS = pytest.mark.parametrize("longest", [0, TRAIN], ids=["one by one", "trains"])


@pytest.fixture
def ends() -> Iterator[Ends]:
    """Two connected sockets."""
    with bound() as one, bound() as other:
        one.connect(other.getsockname())
        other.connect(one.getsockname())
        yield one, other


@pytest.fixture
def narrow() -> Iterator[Ends]:
    """Two sockets with room for few datagrams between them, which a UDP socket of loopback always has."""
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with one, other:
        one.setblocking(False)
        other.setblocking(False)
        yield one, other


# --- sending --------------------------------------------------------------------------------------


@both(send_packets)
@TRAINS
@pytest.mark.parametrize("link", [0, 14])
@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("make", [p.big, p.big_udp])
def test_super_packets_go_as_their_segments(
    form: Form, ends: Ends, make: Any, version: int, link: int, longest: int
) -> None:
    """What arrives is what segment() makes of the batch, datagram for datagram, and all of it is counted."""
    plain = p.framed(p.tcp(version), link) if link else p.tcp(version)
    batch = [plain, make(version, 5000, 1000, link=link), plain, make(version, 3000, 1000, link=link)]
    datagrams = [piece for packet in batch for piece in segment(packet, link > 0)]
    told = form(ends[0], batch, 0, longest, MANY, link > 0)
    assert told == (4, 0, 0, len(datagrams), sum(map(len, datagrams)))
    assert received(ends[1]) == datagrams


@both(send_packets)
@TRAINS
def test_more_than_one_call_of_the_system_takes(form: Form, ends: Ends, longest: int) -> None:
    """A batch of 200 datagrams goes whole and in order."""
    batch = [p.big(4, 2000, 40, seq=number) for number in range(4)]
    assert form(ends[0], batch, 0, longest, MANY, False)[:4] == (4, 0, 0, 200)
    assert received(ends[1]) == p.cut(batch)


@both(send_packets)
@pytest.mark.parametrize("first", range(6))
def test_the_first_goes_on_where_it_stopped(form: Form, ends: Ends, first: int) -> None:
    """Of the first packet only the segments from *first* on go, maybe none; of the others all do."""
    assert form(ends[0], [BIG, BIG], first, TRAIN, MANY, False)[:4] == (2, 0, 0, 10 - first)
    assert received(ends[1]) == PIECES[first:] + PIECES


@both(send_packets)
def test_without_room_it_says_where_it_stopped(form: Form, narrow: Ends) -> None:
    """A call that ends within a super-packet says so, and the next ones go on there: nothing is lost or sent twice."""
    batch = [PLAIN, *[p.big(4, 4000, 20, seq=number) for number in range(3)]]
    arrived, calls = list[bytes](), list[tuple[int, ...]]()
    while batch:
        first = calls[-1][1] if calls else 0
        calls.append(form(narrow[0], batch, first, 0, MANY, False))
        arrived += received(narrow[1])
        del batch[: calls[-1][0]]
    assert [call[2] for call in calls] == [errno.EAGAIN] * (len(calls) - 1) + [0]
    assert any(call[1] for call in calls)
    assert arrived == [PLAIN, *p.cut(p.big(4, 4000, 20, seq=number) for number in range(3))]


@both(send_packets)
@pytest.mark.parametrize("left", [IN_TUNNEL, UNFIT], ids=["in a tunnel", "cannot be cut"])
def test_what_is_for_the_caller_ends_the_call(form: Form, ends: Ends, left: bytes) -> None:
    """A super-packet in a tunnel, or one that cannot be cut, ends the call behind what stands before it."""
    assert form(ends[0], [PLAIN, left, PLAIN], 0, TRAIN, MANY, False)[:4] == (1, 0, errno.EINVAL, 1)
    assert form(ends[0], [left], 0, TRAIN, MANY, False) == (0, 0, errno.EINVAL, 0, 0)
    assert received(ends[1]) == [PLAIN]


@both(send_packets)
def test_a_checksum_alone_is_finished(form: Form, ends: Ends) -> None:
    """A super-packet that only lacks its checksum goes as one finished datagram."""
    one = p.super_packet(PLAIN, 0, gso_type=0)
    assert form(ends[0], [one], 0, TRAIN, MANY, False) == (1, 0, 0, 1, len(PLAIN))
    assert received(ends[1]) == segment(one)


@both(send_packets)
def test_a_refusal_says_which_packet(form: Form, ends: Ends) -> None:
    """What the system refuses ends the call with its errno; what stands before it went."""
    assert form(ends[0], [PLAIN, bytes(65508)], 0, 0, MANY, False) == (1, 0, errno.EMSGSIZE, 1, len(PLAIN))
    assert received(ends[1]) == [PLAIN]


@both(send_packets)
@TRAINS
@pytest.mark.parametrize("limit", [1, 6, 9, 200, 201])
def test_no_more_than_the_limit(form: Form, ends: Ends, longest: int, limit: int) -> None:
    """A super-packet of 200 segments is sent as many at a time as asked for, and goes on from there."""
    batch, at, arrived, calls = [PLAIN, p.big(4, 200, 1), PLAIN], (0, 0), list[bytes](), 0
    ended = errno.EAGAIN
    while ended == errno.EAGAIN:
        packets, first, ended, count, _ = form(ends[0], batch[at[0] :], at[1], longest, limit, False)
        arrived += received(ends[1])
        assert count <= limit
        at, calls = (at[0] + packets, first), calls + 1
    assert (ended, arrived, calls) == (0, p.cut(batch), -(-202 // limit))


@both(send_packets)
@TRAINS
def test_a_limit_of_none(form: Form, ends: Ends, longest: int) -> None:
    """Asked for nothing it sends nothing, and says that there is more."""
    assert form(ends[0], [PLAIN, BIG], 0, longest, 0, False) == (0, 0, errno.EAGAIN, 0, 0)


@both(send_packets)
def test_nothing_to_send(form: Form, ends: Ends) -> None:
    """An empty batch is sent."""
    assert form(ends[0], [], 0, TRAIN, MANY, False) == (0, 0, 0, 0, 0)


@both(send_packets)
@pytest.mark.parametrize("numbers", [(-1, 0), (0, -1)])
def test_negative_numbers(form: Form, ends: Ends, numbers: tuple[int, int]) -> None:
    """No segment has a negative number or size."""
    with pytest.raises(ValueError, match="0 or more"):
        form(ends[0], [PLAIN], *numbers, MANY, False)


@only_c
@TRAINS
def test_both_forms_send_the_same(longest: int) -> None:
    """A hundred random batches: both forms put the same datagrams on the wire, and tell the same of it."""
    rng = random.Random(7)
    for _ in range(100):
        batch = [
            rng.choice(
                [PLAIN, UNFIT, IN_TUNNEL, p.big(rng.choice((4, 6)), rng.randint(1, 4000), rng.randint(100, 3000))]
            )
            for _ in range(rng.randint(0, 3))
        ]
        first = rng.choice([0, 0, 0, 1, 3])
        seen = []
        for form in (send_packets, speedups.pure["send_packets"]):
            with bound() as one, bound() as other:
                one.connect(other.getsockname())
                seen.append((form(one, batch, first, longest, MANY, False), received(other)))
        assert seen[0] == seen[1]


# --- receiving ------------------------------------------------------------------------------------


@both(recv_packets)
@pytest.mark.parametrize("gro", [False, True])
@pytest.mark.parametrize("link", [0, 14])
def test_what_is_received_is_merged(form: Form, ends: Ends, link: int, gro: bool) -> None:
    """The packets are what coalesce() makes of the datagrams, and those are counted."""
    ends[1].setsockopt(socket.IPPROTO_UDP, UDP_GRO, gro)
    datagrams = [
        *p.cut([p.big(4, 9000, 1000, link=link)], link > 0),
        p.framed(p.udp(6), link) if link else p.udp(6),
        *p.cut([p.big_udp(6, 9000, 1000, link=link)], link > 0),
    ]
    send_datagrams(ends[0], [(None, None, datagrams)], TRAIN)
    expected = coalesce(datagrams, link > 0)
    told = form(ends[1], 64, gro, link > 0)
    assert told == (expected, errno.EAGAIN, 19, sum(map(len, datagrams)), 0, 0, 0)
    assert [vars(one) for one in told[0] if isinstance(one, SuperPacket)] == [
        vars(one) for one in expected if isinstance(one, SuperPacket)
    ]


@both(recv_packets)
def test_what_is_no_packet_comes_as_it_is(form: Form, ends: Ends) -> None:
    """Datagrams of any other bytes come one by one."""
    datagrams = [bytes([number]) * (1 + number % 90) for number in range(200)]
    send_datagrams(ends[0], [(None, None, datagrams)], TRAIN)
    assert form(ends[1], 256, False, False)[0] == datagrams


@both(recv_packets)
def test_the_limit_is_of_datagrams(form: Form, ends: Ends) -> None:
    """No more datagrams are taken than asked for, where they come one by one."""
    send_datagrams(ends[0], [(None, None, PIECES)], 0)
    packets, ended, count, *_ = form(ends[1], 3, False, False)
    assert (p.cut(packets), ended, count) == (PIECES[:3], 0, 3)
    assert received(ends[1]) == PIECES[3:]


@both(recv_packets)
def test_a_train_is_taken_whole(form: Form, ends: Ends) -> None:
    """A train that begins below the limit is taken to its end."""
    ends[1].setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
    send_datagrams(ends[0], [(None, None, PIECES)], TRAIN)
    packets, ended, count, *_ = form(ends[1], 1, True, False)
    assert (p.cut(packets), ended, count) == (PIECES, 0, 5)


@both(recv_packets)
def test_empty_datagrams_are_counted(form: Form, ends: Ends) -> None:
    """A datagram of 0 bytes is no packet, and counts against the limit."""
    for datagram in (b"", PLAIN, b""):
        ends[0].send(datagram)
    assert form(ends[1], 3, False, False) == ([PLAIN], 0, 1, len(PLAIN), 2, 0, 0)


@both(recv_packets)
def test_a_train_without_its_control_is_counted(form: Form, ends: Ends) -> None:
    """Where the control messages are cut off, so may be the datagrams' size: nothing is guessed."""
    for option in CROWD:
        ends[1].setsockopt(*option, 1)
    ends[1].setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
    send_datagrams(ends[0], [(None, None, PIECES)], TRAIN)
    assert form(ends[1], 64, True, False) == ([], errno.EAGAIN, 0, 0, 0, 1, 0)


@both(recv_packets)
def test_an_empty_socket(form: Form, ends: Ends) -> None:
    """Nothing there is EAGAIN."""
    assert form(ends[1], 64, True, False) == ([], errno.EAGAIN, 0, 0, 0, 0, 0)


@only_c
def test_both_forms_receive_the_same(ends: Ends) -> None:
    """A hundred random batches, some out of order: what both forms make of each stands for the same datagrams."""
    rng = random.Random(7)
    ends[1].setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
    for _ in range(100):
        big = [p.big(rng.choice((4, 6)), rng.randint(1, 9000), rng.randint(20, 3000)) for _ in range(3)]
        datagrams = p.cut([*big, PLAIN])
        if rng.random() < 0.3:
            rng.shuffle(datagrams)
        seen = []
        for form in (recv_packets, speedups.pure["recv_packets"]):
            send_datagrams(ends[0], [(None, None, datagrams)], TRAIN)
            packets, *rest = form(ends[1], 1000, True, False)
            seen.append((sorted(p.cut(packets)), rest))
        assert seen == [(sorted(datagrams), seen[0][1])] * 2
