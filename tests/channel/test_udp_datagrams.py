"""Batches of datagrams, in both forms, over loopback."""

from __future__ import annotations

import errno
import random
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twins import both, only_c

from aiotun import speedups
from aiotun.channel.udp_datagrams import (
    RECEIVE_SIZE,
    TRAIN,
    UDP_GRO,
    Run,
    recv_datagrams,
    send_datagrams,
)

from .reported import reported

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="trains and control messages are Linux's")

Form = Callable[..., Any]

EMPTY: tuple[Any, ...] = ([], errno.EAGAIN, 0, 0, 0)

# Control messages that together take more than there is room for: asm-generic/socket.h, ip(7).
CROWD = [(socket.SOL_SOCKET, 29), (socket.SOL_SOCKET, 40), *((socket.IPPROTO_IP, option) for option in (8, 12, 13, 20))]


def bound(family: int = socket.AF_INET, host: str = "127.0.0.1") -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.bind((host, 0))
    sock.setblocking(False)
    return sock


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected sockets."""
    with bound() as one, bound() as other:
        one.connect(other.getsockname())
        other.connect(one.getsockname())
        yield one, other


@pytest.fixture
def strangers() -> Iterator[tuple[socket.socket, socket.socket, socket.socket]]:
    """Two sockets connected to a third, which is not."""
    with bound() as one, bound() as other, bound() as server:
        one.connect(server.getsockname())
        other.connect(server.getsockname())
        yield one, other, server


def received(sock: socket.socket) -> list[bytes]:
    found: list[bytes] = []
    while True:
        try:
            found.append(sock.recv(RECEIVE_SIZE))
        except BlockingIOError:
            return found


# --- receiving ------------------------------------------------------------------------------------


@both(recv_datagrams)
def test_what_is_queued_is_received(form: Form, ends: tuple[socket.socket, socket.socket]) -> None:
    """Datagrams of a connected socket come in order in one run of nobody's, each of its size."""
    sent = [b"1", b"22" * 300, b"3" * 65507]
    for datagram in sent:
        ends[0].send(datagram)
    assert form(ends[1], 64, RECEIVE_SIZE, False, False) == ([(None, None, sent)], errno.EAGAIN, 0, 0, 0)


@both(recv_datagrams)
def test_an_empty_socket(form: Form, ends: tuple[socket.socket, socket.socket]) -> None:
    """Where nothing is queued there is no run, and EAGAIN says why."""
    assert form(ends[1], 64, RECEIVE_SIZE, False, False) == EMPTY


@both(recv_datagrams)
@pytest.mark.parametrize("limit", [0, 1, 3, 64, 65, 150])
def test_the_limit(form: Form, ends: tuple[socket.socket, socket.socket], limit: int) -> None:
    """A batch of the limit is full, which is 0; what is beyond it stays in the socket."""
    sent = [b"%d" % number for number in range(200)]
    for datagram in sent:
        ends[0].send(datagram)
    runs, ended, *_ = form(ends[1], limit, RECEIVE_SIZE, False, False)
    assert ([one for run in runs for one in run[2]], ended) == (sent[:limit], 0)
    assert received(ends[1]) == sent[limit:]


@both(recv_datagrams)
@pytest.mark.parametrize("addressed", [False, True])
def test_an_empty_datagram_is_counted(form: Form, ends: tuple[socket.socket, socket.socket], addressed: bool) -> None:
    """A datagram of 0 bytes is none of the run, and hides none behind it."""
    for datagram in (b"1", b"", b"2"):
        ends[0].send(datagram)
    runs, ended, empty, cut, lost = form(ends[1], 64, RECEIVE_SIZE, addressed, False)
    assert [list(run[2]) for run in runs] == [[b"1", b"2"]]
    assert (ended, empty, cut, lost) == (errno.EAGAIN, 1, 0, 0)


@both(recv_datagrams)
def test_empty_datagrams_count_against_the_limit(form: Form, ends: tuple[socket.socket, socket.socket]) -> None:
    """A flood of nothing ends a call as well."""
    for _ in range(5):
        ends[0].send(b"")
    assert form(ends[1], 3, RECEIVE_SIZE, False, False) == ([], 0, 3, 0, 0)


@both(recv_datagrams)
def test_a_run_has_one_source(form: Form, strangers: tuple[socket.socket, socket.socket, socket.socket]) -> None:
    """What follows one another from one source is a run; another source begins another."""
    one, other, server = strangers
    for sock, datagram in ((one, b"1"), (one, b"2"), (other, b"3"), (one, b"4")):
        sock.send(datagram)
    here, there = one.getsockname(), other.getsockname()
    runs = form(server, 64, RECEIVE_SIZE, True, False)[0]
    assert runs == [(here, None, [b"1", b"2"]), (there, None, [b"3"]), (here, None, [b"4"])]


@both(recv_datagrams)
@pytest.mark.parametrize(
    ("family", "host", "option"), [(socket.AF_INET, "0.0.0.0", (0, 8)), (socket.AF_INET6, "::", (41, 49))]
)
def test_where_it_was_sent_to(form: Form, family: int, host: str, option: tuple[int, int]) -> None:
    """With packet information each run says which address of ours it was sent to, IPv4 plain on either family."""
    with bound(family, host) as server, bound() as sender:
        server.setsockopt(*option, 1)
        for local in ("127.0.0.2", "127.0.0.3"):
            sender.sendto(b"to " + local.encode(), (local, server.getsockname()[1]))
        source = sender.getsockname()
        assert form(server, 64, RECEIVE_SIZE, True, False)[0] == [
            (source, "127.0.0.2", [b"to 127.0.0.2"]),
            (source, "127.0.0.3", [b"to 127.0.0.3"]),
        ]


@both(recv_datagrams)
def test_an_ipv6_source(form: Form) -> None:
    """An IPv6 source, and where it sent to, are told in their one form."""
    with bound(socket.AF_INET6, "::") as server, bound(socket.AF_INET6, "::1") as sender:
        server.setsockopt(socket.IPPROTO_IPV6, 49, 1)
        sender.sendto(b"1", ("::1", server.getsockname()[1]))
        assert form(server, 64, RECEIVE_SIZE, True, False)[0] == [(("::1", sender.getsockname()[1]), "::1", [b"1"])]


@both(recv_datagrams)
@pytest.mark.parametrize("total", [1, 999, 1000, 1001, 5000, 5001, 64000, 65507])
def test_a_train_is_parted(form: Form, ends: tuple[socket.socket, socket.socket], total: int) -> None:
    """A train becomes the datagrams it is made of, the last of them as short as it was."""
    ends[1].setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
    octets = random.Random(total).randbytes(total)
    whole = total // 1000 if total < 64000 else 64  # the kernel takes no more than 64 in one
    if total > 64000:
        octets = octets[:64000]
    pieces = [octets[at : at + 1000] for at in range(0, len(octets), 1000)]
    assert len(pieces) in (whole, whole + 1)
    assert send_datagrams(ends[0], [(None, None, pieces)], TRAIN) == (len(pieces), 0, 0)
    assert form(ends[1], 100, RECEIVE_SIZE, False, True) == ([(None, None, pieces)], errno.EAGAIN, 0, 0, 0)


@both(recv_datagrams)
def test_a_train_is_taken_whole(form: Form, ends: tuple[socket.socket, socket.socket]) -> None:
    """A train that begins below the limit is taken to its end."""
    ends[1].setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
    send_datagrams(ends[0], [(None, None, [b"12345678"] * 10)], TRAIN)
    assert form(ends[1], 1, RECEIVE_SIZE, False, True) == ([(None, None, [b"12345678"] * 10)], 0, 0, 0, 0)


@both(recv_datagrams)
def test_X8_the_train_is_found_behind_other_messages(form: Form) -> None:
    """Control messages are read in any order: a train is parted where UDP_GRO is not the first (X8)."""
    with bound(host="0.0.0.0") as server, bound() as sender:
        server.setsockopt(socket.IPPROTO_IP, 8, 1)
        server.setsockopt(socket.SOL_SOCKET, 40, 1)
        server.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
        sender.connect(("127.0.0.1", server.getsockname()[1]))
        send_datagrams(sender, [(None, None, [b"abcd"] * 5)], TRAIN)
        assert form(server, 64, RECEIVE_SIZE, True, True)[0] == [(sender.getsockname(), "127.0.0.1", [b"abcd"] * 5)]


@both(recv_datagrams)
def test_X9_a_message_has_its_own_control(form: Form) -> None:
    """What one message said is not said of the next: a datagram behind a train is one datagram (X9)."""
    with bound() as server, bound() as sender:
        server.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
        sender.connect(server.getsockname())
        send_datagrams(sender, [(None, None, [b"abcd"] * 5)], TRAIN)
        sender.send(b"0123456789")
        assert form(server, 64, RECEIVE_SIZE, False, True)[0] == [(None, None, [b"abcd"] * 5 + [b"0123456789"])]


@both(recv_datagrams)
def test_D15_a_datagram_that_is_cut_off_is_dropped(form: Form, ends: tuple[socket.socket, socket.socket]) -> None:
    """Of a datagram longer than there is room for nothing is kept, and it is counted (D15)."""
    for datagram in (b"1234", b"12345", b"12"):
        ends[0].send(datagram)
    assert form(ends[1], 64, 4, False, False) == ([(None, None, [b"1234", b"12"])], errno.EAGAIN, 0, 1, 0)


@both(recv_datagrams)
def test_D15_a_train_without_its_control_is_dropped(form: Form, ends: tuple[socket.socket, socket.socket]) -> None:
    """Where the control messages are cut off, so may be the datagrams' size: nothing is guessed (D15)."""
    one, other = ends
    for option in CROWD:
        other.setsockopt(*option, 1)
    other.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
    send_datagrams(one, [(None, None, [b"abcd"] * 5)], TRAIN)
    assert form(other, 64, RECEIVE_SIZE, False, True) == ([], errno.EAGAIN, 0, 1, 0)


@both(recv_datagrams)
def test_a_report_ends_the_call(form: Form, ends: tuple[socket.socket, socket.socket]) -> None:
    """What the network reports of a datagram sent is an errno, once; then the socket receives again (G1)."""
    one, other = ends
    address = other.getsockname()
    other.close()
    one.send(b"1")
    reported(one.fileno())
    assert form(one, 64, RECEIVE_SIZE, False, False) == ([], errno.ECONNREFUSED, 0, 0, 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind(address)
        again.sendto(b"2", one.getsockname())
        assert form(one, 64, RECEIVE_SIZE, False, False) == ([(None, None, [b"2"])], errno.EAGAIN, 0, 0, 0)


@both(recv_datagrams)
def test_receiving_from_a_closed_socket(form: Form) -> None:
    """A closed socket is EBADF."""
    sock = bound()
    sock.close()
    assert form(sock, 64, RECEIVE_SIZE, False, False) == ([], errno.EBADF, 0, 0, 0)


@both(recv_datagrams)
@pytest.mark.parametrize("size", [-1, 0, RECEIVE_SIZE + 1])
def test_room_for_no_datagram(form: Form, ends: tuple[socket.socket, socket.socket], size: int) -> None:
    """A room that no datagram has is a ValueError."""
    with pytest.raises(ValueError, match=f"a datagram has room for 1 to 65536 bytes, not {size}"):
        form(ends[0], 64, size, False, False)


@both(recv_datagrams)
@pytest.mark.parametrize("arguments", [(), ("limit", 1, False, False), (1, "size", False, False), (1,) * 5])
def test_receiving_with_wrong_arguments(
    form: Form, ends: tuple[socket.socket, socket.socket], arguments: tuple[Any, ...]
) -> None:
    """Arguments of other types, or another number of them, are a TypeError."""
    with pytest.raises(TypeError):
        form(ends[0], *arguments)


@only_c
@pytest.mark.parametrize("allocations", range(14))
def test_no_memory_for_a_datagram(ends: tuple[socket.socket, socket.socket], allocations: int) -> None:
    """Datagrams that Python has no memory for are counted, and those before them come."""
    testcapi = pytest.importorskip("_testcapi")
    sent = [b"%d" % number * 700 for number in range(8)]
    for datagram in sent:
        ends[0].send(datagram)
    recv_datagrams(ends[1], 0, RECEIVE_SIZE, False, False)  # the arena is there
    testcapi.set_nomemory(allocations, allocations + 1)
    try:
        runs, ended, _, _, lost = recv_datagrams(ends[1], 3, RECEIVE_SIZE, False, False)
    except MemoryError:
        runs, ended, lost = [], errno.ENOMEM, 0
    finally:
        testcapi.remove_mem_hooks()
    taken = [datagram for run in runs for datagram in run[2]]
    assert (ended, lost > 0) in [(0, False), (errno.ENOMEM, True), (errno.ENOMEM, False)]
    assert taken == sent[: len(taken)]
    left = received(ends[1])
    assert len(taken) + lost + len(left) in (8, 5)  # 5: no memory for the answer either
    assert left == sent[8 - len(left) :]


# --- sending --------------------------------------------------------------------------------------


@both(send_datagrams)
@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 200])
@pytest.mark.parametrize("segment", [0, TRAIN])
def test_a_run_goes_out(form: Form, ends: tuple[socket.socket, socket.socket], count: int, segment: int) -> None:
    """Datagrams of one size arrive each by itself and in order, in trains or without."""
    sent = [b"%04d" % number for number in range(count)]
    assert form(ends[0], [(None, None, sent)], segment) == (count, 0, 0)
    assert received(ends[1]) == sent


def trains(sock: socket.socket) -> list[list[bytes]]:
    """Return what arrived, train by train."""
    found: list[list[bytes]] = []
    while True:
        runs, ended, *_ = recv_datagrams(sock, 1, RECEIVE_SIZE, False, True)
        if ended:
            return found
        found += [list(run[2]) for run in runs]


@both(send_datagrams)
def test_a_train_is_of_one_size(form: Form, ends: tuple[socket.socket, socket.socket]) -> None:
    """A train is of datagrams of one size; a shorter one ends it, a longer or an empty one is none of it."""
    ends[1].setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
    batch = [b"aa", b"bb", b"c", b"dd", b"eee", b"fff", b"", b"g"]
    assert form(ends[0], [(None, None, batch)], TRAIN) == (8, 0, 0)
    assert trains(ends[1]) == [[b"aa", b"bb", b"c"], [b"dd"], [b"eee", b"fff"], [b"g"]]


@both(send_datagrams)
def test_a_train_has_bounds(form: Form, ends: tuple[socket.socket, socket.socket]) -> None:
    """A train has at most 64 datagrams and 65507 bytes, and those above the limit go alone (D17)."""
    ends[1].setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
    batch = [bytes(30000)] * 3 + [b"1"] * 65
    assert form(ends[0], [(None, None, batch)], TRAIN) == (68, 0, 0)
    assert [len(train) for train in trains(ends[1])] == [2, 2, 64]
    assert form(ends[0], [(None, None, [b"abcd"] * 3 + [b"abc"] * 3)], 3) == (6, 0, 0)
    assert [len(train) for train in trains(ends[1])] == [1, 1, 1, 3]


@both(send_datagrams)
def test_runs_to_many(form: Form, strangers: tuple[socket.socket, socket.socket, socket.socket]) -> None:
    """Runs go each to its address, in one call."""
    one, other, server = strangers
    here, there = one.getsockname(), other.getsockname()
    runs: list[Run] = [(here, None, [b"1", b"2"]), (there, None, (b"3",)), (there, None, []), (here, None, [b"4"])]
    assert form(server, runs, TRAIN) == (4, 0, 0)
    assert (received(one), received(other)) == ([b"1", b"2", b"4"], [b"3"])


@both(send_datagrams)
@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")])
@pytest.mark.parametrize("count", [1, 3])
def test_the_source_is_chosen(form: Form, family: int, host: str, count: int) -> None:
    """A run comes from the address of ours that it names, IPv4 on either family, with a train or without."""
    with bound(family, host) as server, bound() as peer:
        batch = [b"abcd"] * count
        assert form(server, [(peer.getsockname(), "127.0.0.7", batch)], TRAIN) == (count, 0, 0)
        assert [peer.recvfrom(100) for _ in batch] == [(b"abcd", ("127.0.0.7", server.getsockname()[1]))] * count


@both(send_datagrams)
def test_ipv6_from_a_source(form: Form) -> None:
    """An IPv6 datagram comes from the address that its run names."""
    with bound(socket.AF_INET6, "::") as server, bound(socket.AF_INET6, "::1") as peer:
        assert form(server, [(("::1", peer.getsockname()[1]), "::1", [b"1"])], TRAIN) == (1, 0, 0)
        assert peer.recvfrom(100)[1][:2] == ("::1", server.getsockname()[1])


@both(send_datagrams)
def test_sending_on_a_closed_socket(form: Form, ends: tuple[socket.socket, socket.socket]) -> None:
    """A closed socket is EBADF, which says how many datagrams were refused at once."""
    ends[0].close()
    assert form(ends[0], [(None, None, [b"1", b"2"])], TRAIN) == (0, errno.EBADF, 2)


@both(send_datagrams)
def test_an_error_says_where(form: Form, ends: tuple[socket.socket, socket.socket]) -> None:
    """A datagram too long for any packet ends the call at its place, alone; those before it went (G3)."""
    batch = [b"1", b"22", bytes(65508), b"3"]
    assert form(ends[0], [(None, None, batch)], TRAIN) == (2, errno.EMSGSIZE, 1)
    assert received(ends[1]) == [b"1", b"22"]


@both(send_datagrams)
def test_a_report_refuses_the_next(form: Form, ends: tuple[socket.socket, socket.socket]) -> None:
    """A datagram is refused for an earlier one's fate, and goes at the second try (G1)."""
    one, other = ends
    other.close()
    assert form(one, [(None, None, [b"1"])], TRAIN) == (1, 0, 0)
    reported(one.fileno())
    assert form(one, [(None, None, [b"2", b"3"])], TRAIN) == (0, errno.ECONNREFUSED, 2)
    assert form(one, [(None, None, [b"2", b"3"])], TRAIN) == (2, 0, 0)


@both(send_datagrams)
@pytest.mark.parametrize("datagram", ["text", bytearray(4), 7, None])
def test_what_is_not_bytes(form: Form, ends: tuple[socket.socket, socket.socket], datagram: Any) -> None:
    """What is no bytes is a TypeError, once what stands before it went."""
    with pytest.raises(TypeError):
        form(ends[0], [(None, None, [datagram])], TRAIN)
    assert form(ends[0], [(None, None, [b"123", b"1", datagram])], 0) == (2, 0, 0)
    assert received(ends[1]) == [b"123", b"1"]


@both(send_datagrams)
@pytest.mark.parametrize(
    "address",
    [("localhost", 9), ("::1", 9), ("127.0.0.1", -1), ("127.0.0.1", 65536), ("127.0.0.1", "9"), ("127.0.0.1",), "x"],
)
def test_what_is_no_address(form: Form, address: Any) -> None:
    """A name, a port that is none, or IPv6 on an IPv4 socket is a ValueError: nothing is looked up (G6)."""
    with bound() as sock, pytest.raises(ValueError, match="is no .host, port. that this socket can send to"):
        form(sock, [(address, None, [b"1"])], TRAIN)


@both(send_datagrams)
def test_what_is_no_source(form: Form) -> None:
    """A source that is no address is a ValueError."""
    with bound() as sock, pytest.raises(ValueError, match="'here' is no address that this socket can send from"):
        form(sock, [(("127.0.0.1", 9), "here", [b"1"])], TRAIN)


@both(send_datagrams)
def test_sending_leaves_the_batch_alone(form: Form, ends: tuple[socket.socket, socket.socket]) -> None:
    """The batch and its datagrams have the references they had before."""
    datagram = b"1234" * 100
    batch = [datagram] * 130
    before = sys.getrefcount(datagram), sys.getrefcount(batch)
    form(ends[0], [(None, None, batch)], TRAIN)
    assert (sys.getrefcount(datagram), sys.getrefcount(batch)) == before


def test_both_forms_say_the_same() -> None:
    """Whatever one form sends, in whatever trains, the other receives as it was."""
    chance = random.Random(1)
    sends = {speedups.pure["send_datagrams"], send_datagrams}
    receives = {speedups.pure["recv_datagrams"], recv_datagrams}
    for gro in (0, 1):
        with bound() as one, bound() as other:
            one.connect(other.getsockname())
            other.setsockopt(socket.IPPROTO_UDP, UDP_GRO, gro)
            for _ in range(50):
                sizes = [chance.choice([1, 7, 100, 1420]) for _ in range(chance.randrange(1, 12))]
                batch = [chance.randbytes(size) for size in sizes for _ in range(chance.randrange(1, 5))]
                for send in sends:
                    for receive in receives:
                        assert send(one, [(None, None, batch)], TRAIN) == (len(batch), 0, 0)
                        found: list[bytes] = []
                        while len(found) < len(batch):
                            runs = receive(other, 16, RECEIVE_SIZE, False, bool(gro))[0]
                            found += [datagram for run in runs for datagram in run[2]]
                        assert found == batch
