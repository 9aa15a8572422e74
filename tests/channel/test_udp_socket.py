"""A UDP socket in batches: faults that cost a datagram and a count, and what is tried again."""

from __future__ import annotations

import errno
import socket
import struct
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from aiotun import DeviceError, DeviceGone
from aiotun.channel.udp_address import Address
from aiotun.channel.udp_datagrams import Run, send_datagrams
from aiotun.channel.udp_reports import Notice
from aiotun.channel.udp_socket import UdpSocket

from .fake_socket import Calls, fake_socket
from .reported import reported

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the fakes are of Linux")

PEER = ("192.0.2.9", 9)


def send(calls: Calls, *batches: list[bytes], source: str | None = None) -> tuple[int, dict[str, int]]:
    """Send runs over a fake; return how many were done with, and what was dropped."""
    dropped: Counter[str] = Counter()
    with fake_socket(calls) as udp:
        done = udp.send([(PEER, source, batch) for batch in batches], dropped)
        assert udp.sent == len(calls.sent)
        assert udp.sent_bytes == sum(map(len, calls.sent))
    return done, dict(dropped)


# --- receiving ------------------------------------------------------------------------------------


def test_recv_takes_one_call() -> None:
    """A batch is one call, and its packets and bytes are counted."""
    calls = Calls(receive=[[b"1", b"22"]])
    with fake_socket(calls) as udp:
        assert udp.recv(64, addressed=False) == [(None, None, [b"1", b"22"])]
        assert (udp.received, udp.received_bytes, calls.limits) == (2, 3, [64])


@pytest.mark.parametrize("code", [errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EMSGSIZE])
def test_a_report_ends_no_batch(code: int) -> None:
    """What the network reports about datagrams sent is passed over (G1)."""
    calls = Calls(receive=[code, [b"1"]])
    with fake_socket(calls) as udp:
        assert udp.recv(64, addressed=False) == [(None, None, [b"1"])]


def test_reports_without_end_do_not_hold_the_loop() -> None:
    """A socket that only ever reports is tried no more than limit times."""
    calls = Calls(receive=[errno.ECONNREFUSED] * 100)
    with fake_socket(calls) as udp:
        assert udp.recv(64, addressed=False) == []
    assert len(calls.receive_answers) == 36


def test_an_error_of_the_socket_is_raised() -> None:
    """What is wrong with the socket itself is the caller's, with its name in the text."""
    with fake_socket(Calls(receive=[errno.EBADF])) as udp:
        with pytest.raises(DeviceGone, match="udp fake: cannot receive: Bad file descriptor"):
            udp.recv(64, addressed=False)


def test_an_error_comes_after_what_was_received() -> None:
    """An error loses nothing that was received before it; it comes again."""
    calls = Calls(receive=[errno.ECONNREFUSED, [b"1"], errno.EBADF])
    with fake_socket(calls) as udp:
        assert udp.recv(64, addressed=False) == [(None, None, [b"1"])]
        with pytest.raises(DeviceGone):
            udp.recv(64, addressed=False)


def test_what_is_no_packet_is_counted() -> None:
    """Empty, cut off and lost datagrams have each a count (G7, D15)."""
    with fake_socket(Calls()) as udp:
        udp._receive = lambda *arguments: ([], errno.ENOMEM, 1, 2, 3)
        assert udp.recv(64, addressed=False) == []
        assert udp.dropped == {"empty": 1, "truncated": 2, "no_memory": 3}


def test_the_kernels_drops_are_counted() -> None:
    """What the kernel had no room for is receive_buffer_full, also when its 32-bit counter wraps (G11)."""

    class Counting:
        drops = 0

        def getsockopt(self, *asked: int) -> bytes:
            return struct.pack("=9I", *[0] * 8, self.drops)

    with fake_socket(Calls()) as udp:
        real, counting = udp.socket, Counting()
        udp.socket = counting  # type: ignore[assignment]
        try:
            for drops in (2**32 - 1, 4):
                counting.drops = drops
                udp.count_overflow()
            assert udp.dropped == {"receive_buffer_full": 2**32 + 4}
        finally:
            udp.socket = real


# --- sending --------------------------------------------------------------------------------------


def test_runs_go_out() -> None:
    """Everything goes out in order, in the fewest messages."""
    calls = Calls()
    assert send(calls, [b"1", b"2"], [], [b"3"]) == (3, {})
    assert (calls.sent, calls.messages) == ([b"1", b"2", b"3"], [2, 1])


def test_nothing_to_send_is_done_at_once() -> None:
    """Runs without a datagram are done with, and end."""
    assert send(Calls(), [], []) == (0, {})


def test_a_socket_without_room_ends_it() -> None:
    """Without room the count says where it ended, and nothing is dropped."""
    calls = Calls(send=[None, errno.EAGAIN])
    assert send(calls, [b"1"], [b"2", b"3"]) == (1, {})


def test_refused_is_tried_again() -> None:
    """What is refused for an earlier datagram's fate is tried once more, and goes out (G1)."""
    calls = Calls(send=[errno.ECONNREFUSED])
    assert send(calls, [b"1", b"2"]) == (2, {})
    assert calls.messages == [2]


def test_refused_twice_is_dropped() -> None:
    """The second refusal costs what it is about, and only that."""
    calls = Calls(send=[errno.ECONNREFUSED] * 2)
    assert send(calls, [b"1", b"2"], [b"3"]) == (3, {"refused": 2})
    assert calls.sent == [b"3"]


def test_each_gets_a_second_try() -> None:
    """After something went out, or was dropped, the next refusal is the first again."""
    calls = Calls(send=[errno.ECONNREFUSED, None, errno.ECONNREFUSED, None, *[errno.EHOSTUNREACH] * 2, *[errno.EACCES]])
    assert send(calls, [b"1"], [b"2"], [b"3"], [b"4"]) == (4, {"unreachable": 1})
    assert calls.sent == [b"1", b"2", b"4"]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.EMSGSIZE, "message_too_big"),
        (errno.ENETUNREACH, "unreachable"),
        (errno.EHOSTUNREACH, "unreachable"),
        (errno.ENETDOWN, "unreachable"),
        (errno.EADDRNOTAVAIL, "unreachable"),
        (errno.EPERM, "not_permitted"),
        (errno.EACCES, "not_permitted"),
        (errno.ENOBUFS, "no_memory"),
    ],
)
def test_a_datagram_that_cannot_go_is_dropped(code: int, reason: str) -> None:
    """A datagram that cannot go is counted under its reason, and those around it go out (G3, G4, G5)."""
    calls = Calls(send=[None, code, code])
    done, dropped = send(calls, [b"1"], [b"2"], [b"3"])
    assert (done, dropped) == ((3, {reason: 1}) if code in TWICE else (3, {reason: 2}))


TWICE = (errno.EMSGSIZE, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES)
"""What may be about an earlier datagram."""


def test_an_error_says_what_went() -> None:
    """What is wrong with the socket itself is raised, and says how many were done with."""
    with fake_socket(Calls(send=[None, errno.EPERM, errno.EBADF])) as udp:
        with pytest.raises(DeviceGone, match="udp fake: cannot send: Bad file descriptor") as caught:
            udp.send([(PEER, None, [one]) for one in (b"1", b"2", b"3")], Counter())
    assert caught.value.sent == 2


def test_a_configuration_that_cannot_be_is_raised() -> None:
    """EINVAL of a single datagram is the caller's to know (G6)."""
    with fake_socket(Calls(send=[errno.EINVAL])) as udp:
        with pytest.raises(DeviceError, match="udp fake: cannot send: Invalid argument"):
            udp.send([(PEER, None, [b"1"])], Counter())


# --- trains ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [errno.EIO, errno.EINVAL])
def test_a_train_that_is_refused_goes_one_by_one(code: int) -> None:
    """Where the kernel takes no train none of it is lost, no train is tried again, and it is said why (X12)."""
    calls = Calls(send=[code])
    with fake_socket(calls) as udp:
        assert udp.send([(PEER, None, [b"aa"] * 3)], Counter()) == 3
        assert udp.send([(PEER, None, [b"bb"] * 3)], Counter()) == 3
        assert calls.messages == [1] * 6
        why = "Input/output error" if code == errno.EIO else "Invalid argument"
        assert udp.offload.off["UDP_SEGMENT"] == f"the kernel refused a train of datagrams of 2 bytes: {why}"


def test_a_train_too_long_for_the_path_goes_one_by_one() -> None:
    """EMSGSIZE costs those that are too long, and trains go on: it is about the path (X12)."""
    calls = Calls(send=[errno.EMSGSIZE, errno.EMSGSIZE, None, errno.EMSGSIZE, errno.EMSGSIZE])
    dropped: Counter[str] = Counter()
    with fake_socket(calls) as udp:
        assert udp.send([(PEER, None, [b"aa", b"bb", b"c"])], dropped) == 3
        assert (calls.sent, dropped) == ([b"aa", b"c"], {"message_too_big": 1})
        assert udp.send([(PEER, None, [b"dd"] * 3)], dropped) == 3
    assert calls.messages == [1, 1, 3]


def test_an_unreachable_peer_costs_the_train() -> None:
    """Without a route every datagram of the train is counted, and trains go on once there is one (G4)."""
    calls = Calls(send=[errno.ENETUNREACH] * 2)
    assert send(calls, [b"aa"] * 3, [b"bb"] * 3) == (6, {"unreachable": 3})
    assert calls.messages == [3]


# --- the source -----------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EADDRNOTAVAIL])
def test_a_source_that_is_gone_is_left_out(code: int) -> None:
    """A datagram from an address that is not ours any more goes from another, and its peer's is forgotten (G9)."""
    calls = Calls(send=[code])
    lost: list[Address] = []
    with fake_socket(calls) as udp:
        udp.on_source_lost = lost.append
        assert udp.send([(PEER, "192.0.2.1", [b"1", b"2"]), (PEER, "192.0.2.1", [b"3"])], Counter()) == 3
    assert (calls.messages, calls.sources, lost) == ([2, 1], [None, None], [PEER])


# --- notices --------------------------------------------------------------------------------------


def connected(peer: Callable[[socket.socket], Any]) -> UdpSocket:
    """Return a UdpSocket that is connected to what *peer* makes of a socket of its own."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        sock.connect(peer(other))
    return UdpSocket(sock, "udp real")


def test_a_notice_is_heard_at_the_next_call() -> None:
    """A closed port is told by the next call, of whatever kind, with the peer and who says so (G1)."""
    udp = connected(lambda other: other.getsockname())
    heard: list[Notice] = []
    udp.on_notice = heard.append
    peer = udp.socket.getpeername()
    runs: list[Run] = [(None, None, [b"1"])]
    for _ in range(2):
        assert udp.send(runs, udp.dropped) == 1
        reported(udp.fileno())
    assert udp.recv(64, addressed=False) == []
    udp.close()
    reports = [(one.report.peer, one.report.errno, one.report.by, one.local) for one in heard]
    assert reports == [(peer, errno.ECONNREFUSED, "127.0.0.1", False)] * 2
    assert (udp.sent, dict(udp.dropped)) == (2, {})


def test_what_woke_without_a_datagram_is_heard() -> None:
    """What is in the error queue alone is taken by hear(), or the socket would poll ready for ever."""
    udp = connected(lambda other: other.getsockname())
    heard: list[Notice] = []
    udp.on_notice = heard.append
    udp.socket.send(b"1")
    reported(udp.fileno())
    udp.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # somebody took the errno
    assert udp.recv(64, addressed=False) == []
    udp.hear()
    assert len(heard) == 1
    udp.close()


def test_the_hot_path_is_one_call() -> None:
    """Sending a batch is one call of send_datagrams()."""
    count = 0

    def counting(sock: socket.socket, runs: Any, segment: int) -> tuple[int, int, int]:
        nonlocal count
        count += 1
        return send_datagrams(sock, runs, segment)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        udp = UdpSocket(sock, "udp real", send=counting)
        assert udp.send([(other.getsockname(), None, [b"1"] * 64)], udp.dropped) == 64
        udp.close()
    assert count == 1
