"""
What the kernel's tun driver does, asked of it directly: the facts that aiotun is built on.

Measured on Linux 6.18. Where a kernel may differ and aiotun does not mind, only what it relies on is claimed.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import platform
import select
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from children import in_child

from aiotun.packet import UDP, IPv4, IPv6

from .nobody import nobody_needed

pytestmark = pytest.mark.kernel

# Linux include/uapi/linux/if_tun.h
TUNSETIFF = 0x400454CA
TUNSETPERSIST = 0x400454CB
TUNGETFEATURES = 0x800454CF
TUNSETOFFLOAD = 0x400454D0
TUNGETIFF = 0x800454D2
TUNSETVNETHDRSZ = 0x400454D8
TUNSETQUEUE = 0x400454D9

IFF_TUN, IFF_TAP = 0x0001, 0x0002
IFF_MULTI_QUEUE = 0x0100
IFF_ATTACH_QUEUE, IFF_DETACH_QUEUE = 0x0200, 0x0400
IFF_NO_PI, IFF_VNET_HDR = 0x1000, 0x4000
TUN = IFF_TUN | IFF_NO_PI
TAP = IFF_TAP | IFF_NO_PI

CSUM, TSO4, TSO6, USO4, USO6, TUNNEL, TUNNEL_CSUM = 0x01, 0x02, 0x04, 0x20, 0x40, 0x80, 0x100

IFREQ = struct.Struct("16sH22x")
VNET = struct.Struct("=BBHHHH")
"""struct virtio_net_hdr: flags, GSO type, header length, segment size, checksum start and offset."""
NEEDS_CSUM, GSO_UDP_L4 = 1, 5

ADDRESS, PEER = "10.7.0.1", "10.7.0.2"
ADDRESS6, PEER6 = "fd07::1", "fd07::2"

Open = Callable[..., int]


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def attach(fd: int, name: str, flags: int) -> None:
    fcntl.ioctl(fd, TUNSETIFF, IFREQ.pack(name.encode(), flags))


def name_of(fd: int) -> str:
    name: bytes = IFREQ.unpack(fcntl.ioctl(fd, TUNGETIFF, bytes(40)))[0]
    return name.rstrip(b"\0").decode()


def refused(call: Callable[..., object], *arguments: object) -> int | None:
    """Return the errno that a call is refused with, None if it is not."""
    try:
        call(*arguments)
    except OSError as error:
        return error.errno
    return None


def polled(fd: int, timeout: int = 0) -> int:
    """Return what poll() says of a descriptor."""
    poll = select.poll()
    poll.register(fd, select.POLLIN | select.POLLOUT)
    return dict(poll.poll(timeout)).get(fd, 0)


@pytest.fixture
def open_tun() -> Iterator[Open]:
    """Opens the clone device, non-blocking and attached, and closes it at the end."""
    fds: list[int] = []

    def open(name: str = "", flags: int = TUN, *, blocking: bool = False) -> int:
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | (0 if blocking else os.O_NONBLOCK))
        fds.append(fd)
        if name:
            attach(fd, name, flags)
        return fd

    yield open
    for fd in fds:
        try:
            os.close(fd)
        except OSError:  # the test closed it
            continue


@pytest.fixture
def tun(open_tun: Open) -> int:
    """A tun called truth0, up, with addresses, and nothing queued."""
    fd = open_tun("truth0")
    configure("truth0")
    return fd


def configure(name: str) -> None:
    Path(f"/proc/sys/net/ipv6/conf/{name}/addr_gen_mode").write_text("1")  # or it would solicit routers
    ip("address", "add", f"{ADDRESS}/24", "dev", name)
    ip("address", "add", f"{ADDRESS6}/64", "dev", name, "nodad")
    ip("link", "set", name, "up")


def send(*payloads: bytes, port: int = 9) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for payload in payloads:
            sock.sendto(payload, (PEER, port))


def read_all(fd: int) -> list[bytes]:
    packets = []
    try:
        while True:
            packets.append(os.read(fd, 65536))
    except BlockingIOError:
        return packets


def statistic(name: str, of: str) -> int:
    link = subprocess.run(["ip", "-s", "-j", "link", "show", name], check=True, capture_output=True, text=True).stdout
    direction, _, key = of.partition("_")
    value: int = json.loads(link)[0]["stats64"][direction][key]
    return value


PACKET = IPv4(PEER, ADDRESS, 253, bytes(20)).build()


# --- down -----------------------------------------------------------------------------------------


def test_writing_while_down_is_eio(tun: int) -> None:
    """A write to a device that is down is EIO (A6)."""
    ip("link", "set", "truth0", "down")
    assert refused(os.write, tun, PACKET) == errno.EIO


def test_reading_while_down_is_eagain(tun: int) -> None:
    """A read from a device that is down, with nothing queued, is EAGAIN (A1)."""
    ip("link", "set", "truth0", "down")
    assert refused(os.read, tun, 65536) == errno.EAGAIN


def test_down_polls_nothing_and_up_writable_again(tun: int) -> None:
    """While it is down a device polls neither readable nor writable; once it is up again, writable (fact 7)."""
    ip("link", "set", "truth0", "down")
    down = polled(tun)
    ip("link", "set", "truth0", "up")
    assert (down, polled(tun)) == (0, select.POLLOUT)


def test_down_wakes_nobody(tun: int) -> None:
    """Going down is no event of epoll for who waits to read (B1)."""
    with select.epoll() as epoll:
        epoll.register(tun, select.EPOLLIN)
        ip("link", "set", "truth0", "down")
        assert epoll.poll(0) == []


def test_what_is_queued_stays_readable_while_down(tun: int) -> None:
    """Five packets that were queued before are read after the device went down, and then there are none (fact 7)."""
    send(*(bytes([number]) for number in range(5)))
    ip("link", "set", "truth0", "down")
    assert [packet[-1] for packet in read_all(tun)] == [0, 1, 2, 3, 4]


def test_a_device_without_carrier_takes_packets(tun: int) -> None:
    """Carrier off leaves the device writable: it is not up and down (B14)."""
    ip("link", "set", "truth0", "carrier", "off")
    assert os.write(tun, PACKET) == len(PACKET)


# --- sizes and garbage ----------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [TUN, TUN | IFF_VNET_HDR])
@pytest.mark.parametrize("up", [False, True])
def test_an_empty_write_is_einval(up: bool, flags: int, open_tun: Open) -> None:
    """Nothing written is EINVAL, up and down, with a vnet header and without: it tells nobody which it is (fact 8)."""
    fd = open_tun("truth0", flags)
    if up:
        configure("truth0")
    assert refused(os.write, fd, b"") == errno.EINVAL


@pytest.mark.parametrize("version", [0, 1, 2, 3, 5, 7, 8, 9, 15])
def test_another_version_is_einval(version: int, tun: int) -> None:
    """A tun refuses what begins with neither 4 nor 6 (A8)."""
    assert refused(os.write, tun, bytes([version << 4]) + bytes(39)) == errno.EINVAL


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x45",
        b"\x45" + bytes(19),
        b"\x44" + PACKET[1:],
        PACKET[:10] + b"\xff\xff" + PACKET[12:],
        PACKET[:2] + b"\xff\xff" + PACKET[4:],
        PACKET.ljust(4 << 20, b"\0"),
    ],
    ids=["1 byte", "zeros", "IHL 4", "checksum", "length", "4 MiB"],
)
def test_a_write_proves_little(garbage: bytes, tun: int) -> None:
    """Garbage with the right nibble is accepted whole, and the kernel loses it (A9, fact 11)."""
    assert os.write(tun, garbage) == len(garbage)


@pytest.mark.parametrize(("size", "code"), [(13, errno.EINVAL), (14, None)])
def test_a_frame_has_a_header(size: int, code: int | None, open_tun: Open) -> None:
    """A tap refuses less than an Ethernet header, and takes one alone (A16)."""
    fd = open_tun("truth0", TAP)
    ip("link", "set", "truth0", "up")
    assert refused(os.write, fd, bytes(size)) == code


@pytest.mark.parametrize(
    ("written", "code"),
    [(bytes(3), errno.EINVAL), (b"\0\0\x08\0" + PACKET, None), (b"\0\0\xde\xad" + PACKET, None)],
)
def test_packet_information_is_not_checked(written: bytes, code: int | None, open_tun: Open) -> None:
    """With IFF_NO_PI off, less than the 4 bytes are refused, and a protocol that is a lie is not (A15)."""
    fd = open_tun("truth0", IFF_TUN)
    ip("link", "set", "truth0", "up")
    assert refused(os.write, fd, written) == code


def test_a_short_read_loses_the_rest(tun: int) -> None:
    """A read with too little room says nothing of what it cut off, and that is gone (fact 10)."""
    send(bytes(100))
    assert (len(os.read(tun, 10)), read_all(tun)) == (10, [])


def test_a_read_without_room_takes_nothing(tun: int) -> None:
    """A read of 0 bytes returns nothing, and the packet stays (A5)."""
    send(b"stays")
    assert (os.read(tun, 0), [packet[-5:] for packet in read_all(tun)]) == (b"", [b"stays"])


def test_more_buffers_than_iov_max_are_einval(tun: int) -> None:
    """writev() takes 1024 buffers (A10)."""
    assert refused(os.writev, tun, [b"\x45"] * 1025) == errno.EINVAL


def test_a_larger_packet_than_the_mtu_enters(tun: int) -> None:
    """The mtu is not checked on what is written (B13)."""
    ip("link", "set", "truth0", "mtu", "1300")
    os.write(tun, PACKET.ljust(1400, b"\0"))
    assert (statistic("truth0", "rx_packets"), statistic("truth0", "rx_bytes")) == (1, 1400)


# --- the queue ------------------------------------------------------------------------------------


def test_a_full_queue_drops_without_a_word(tun: int) -> None:
    """Of 3,000 packets as many as the queue is long can be read; the sender is not told, the kernel counts (fact 9)."""
    ip("link", "set", "truth0", "txqueuelen", "500")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_IP, 11, 1)  # IP_RECVERR
        for _ in range(3000):
            sock.sendto(b"x", (PEER, 9))
    received = len(read_all(tun))
    assert 490 <= received <= 500
    assert received + statistic("truth0", "tx_dropped") == 3000


# --- checksums ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("checksum", "delivered"), [(0x0000, False), (0xFFFF, True)])
def test_a_udp_checksum_of_zero_over_ipv6(checksum: int, delivered: bool, tun: int) -> None:
    """A datagram whose checksum computes to 0 is dropped if it says 0, and delivered if it says 0xffff (fact 15)."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.bind((ADDRESS6, 0))
        sock.settimeout(10)
        port = sock.getsockname()[1]
        plain = UDP(9, port, bytes(2)).build(PEER6, ADDRESS6)
        fitting = (int.from_bytes(plain[6:8], "big")).to_bytes(2, "big")  # a payload that makes the sum 0
        datagram = bytearray(UDP(9, port, fitting).build(PEER6, ADDRESS6))
        assert datagram[6:8] == b"\xff\xff", "the payload does not do what it is for"
        datagram[6:8] = checksum.to_bytes(2, "big")
        os.write(tun, IPv6(PEER6, ADDRESS6, 17, bytes(datagram)).build())
        os.write(tun, IPv6(PEER6, ADDRESS6, 17, UDP(9, port, b"next").build(PEER6, ADDRESS6)).build())
        assert sock.recv(100) == (fitting if delivered else b"next")


# --- names and flags ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "code"),
    [(TUN, errno.EBUSY), (TAP, errno.EINVAL), (TUN | IFF_MULTI_QUEUE, errno.EINVAL)],
    ids=["same", "tap", "several queues"],
)
def test_a_second_opening_of_a_name(flags: int, code: int, tun: int, open_tun: Open) -> None:
    """The same kind is EBUSY; the other kind, and several queues where there is one, are EINVAL (B15)."""
    assert refused(attach, open_tun(), "truth0", flags) == code


def test_a_name_of_another_interface_is_einval(open_tun: Open) -> None:
    """What is no tun is not attached to (B15)."""
    assert refused(attach, open_tun(), "lo", TUN) == errno.EINVAL


def test_an_attached_descriptor_is_not_attached_again(tun: int) -> None:
    """TUNSETIFF on a descriptor that has a device is EEXIST (B17)."""
    assert refused(attach, tun, "truth1", TUN) == errno.EEXIST


def test_a_stale_descriptor_can_be_attached_again(tun: int) -> None:
    """After its device was deleted a descriptor can have another: nobody does that by mistake (B18)."""
    ip("link", "del", "truth0")
    attach(tun, "truth1", TUN)
    assert name_of(tun) == "truth1"


def test_a_rename_shows_by_the_descriptor_alone(tun: int) -> None:
    """TUNGETIFF has the new name, and the descriptor works (B10)."""
    ip("link", "set", "truth0", "name", "truth1")
    assert (name_of(tun), os.write(tun, PACKET)) == ("truth1", len(PACKET))


def test_the_features_that_aiotun_asks_for(open_tun: Open) -> None:
    """TUNGETFEATURES, 0x7173 on Linux 6.18, has what aiotun may ask for."""
    (features,) = struct.unpack("I", fcntl.ioctl(open_tun(), TUNGETFEATURES, bytes(4)))
    wanted = IFF_TUN | IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE | IFF_VNET_HDR
    assert features & wanted == wanted


# --- several queues -------------------------------------------------------------------------------


def queue(fd: int, flag: int) -> int | None:
    return refused(fcntl.ioctl, fd, TUNSETQUEUE, IFREQ.pack(b"", flag))


@pytest.fixture
def queues(open_tun: Open) -> list[int]:
    """Two queues of a tun called truth0, up."""
    fds = [open_tun("truth0", TUN | IFF_MULTI_QUEUE) for _ in range(2)]
    configure("truth0")
    return fds


def test_another_queue_with_other_flags_has_the_first_ones(queues: list[int], open_tun: Open) -> None:
    """The flags of a further queue are ignored: with IFF_VNET_HDR asked for, packets come without."""
    third = open_tun("truth0", TUN | IFF_MULTI_QUEUE | IFF_VNET_HDR)
    for fd in queues:
        queue(fd, IFF_DETACH_QUEUE)
    send(b"bare")
    assert read_all(third)[0][0] == 0x45


def test_a_detached_queue_is_silent_and_still_writable(queues: list[int]) -> None:
    """Detached, a queue reads EAGAIN, polls writable, and what is written enters the stack (B7, fact 16)."""
    assert queue(queues[0], IFF_DETACH_QUEUE) is None
    assert refused(os.read, queues[0], 65536) == errno.EAGAIN
    assert polled(queues[0]) == select.POLLOUT
    before = statistic("truth0", "rx_packets")
    os.write(queues[0], PACKET)
    assert statistic("truth0", "rx_packets") - before == 1


def test_a_queue_is_attached_again(queues: list[int]) -> None:
    """Attached again, a queue has its share of packets: all, when the other is detached."""
    queue(queues[0], IFF_DETACH_QUEUE)
    assert queue(queues[0], IFF_ATTACH_QUEUE) is None
    queue(queues[1], IFF_DETACH_QUEUE)
    send(b"again")
    assert [packet[-5:] for packet in read_all(queues[0])] == [b"again"]


def test_twice_is_einval(queues: list[int]) -> None:
    """Attaching what is attached, and detaching what is detached, are EINVAL."""
    attached = queue(queues[0], IFF_ATTACH_QUEUE)
    queue(queues[0], IFF_DETACH_QUEUE)
    assert (attached, queue(queues[0], IFF_DETACH_QUEUE)) == (errno.EINVAL, errno.EINVAL)


@pytest.mark.parametrize("flag", [IFF_ATTACH_QUEUE, IFF_DETACH_QUEUE])
def test_a_queue_of_a_deleted_device_is_einval(flag: int, queues: list[int]) -> None:
    """After the deletion a queue is neither attached nor detached (B5)."""
    ip("link", "del", "truth0")
    assert queue(queues[0], flag) == errno.EINVAL


def test_with_every_queue_detached_the_device_stays(queues: list[int]) -> None:
    """Without a queue the interface is there, up, and loses what is sent (B8)."""
    for fd in queues:
        queue(fd, IFF_DETACH_QUEUE)
    send(b"lost")
    assert (name_of(queues[0]), [read_all(fd) for fd in queues]) == ("truth0", [[], []])


def test_the_257th_queue_is_e2big(open_tun: Open) -> None:
    """A device has 256 queues (J4)."""
    for _ in range(256):
        open_tun("truth0", TUN | IFF_MULTI_QUEUE)
    assert refused(attach, open_tun(), "truth0", TUN | IFF_MULTI_QUEUE) == errno.E2BIG


# --- offloads -------------------------------------------------------------------------------------

NEW = tuple(map(int, platform.release().split(".")[:2])) >= (6, 17)


@pytest.mark.parametrize(
    ("offloads", "code"),
    [
        (0, None),
        (CSUM, None),
        (CSUM | TSO4 | TSO6, None),
        (CSUM | TSO4 | TSO6 | USO4 | USO6, None),
        (TSO4, errno.EINVAL),
        (USO4, errno.EINVAL),
        (CSUM | USO4, errno.EINVAL),
        pytest.param(
            CSUM | TSO4 | TSO6 | USO4 | USO6 | TUNNEL | TUNNEL_CSUM,
            None,
            marks=pytest.mark.skipif(not NEW, reason="tunnel offloads came with Linux 6.17"),
        ),
        (0x8000, errno.EINVAL),
    ],
)
def test_offloads_go_together(offloads: int, code: int | None, open_tun: Open) -> None:
    """Segmentation needs checksums, USO is of both IP versions, and an unknown bit is EINVAL (B19, fact 13)."""
    fd = open_tun("truth0", TUN | IFF_VNET_HDR)
    assert refused(fcntl.ioctl, fd, TUNSETOFFLOAD, offloads) == code


@pytest.mark.parametrize(("size", "code"), [(0, errno.EINVAL), (9, errno.EINVAL), (-1, errno.EINVAL), (12, None)])
def test_the_size_of_a_vnet_header(size: int, code: int | None, open_tun: Open) -> None:
    """A header is 10 bytes or more: the kernel has an upper bound for none of our sizes (B20)."""
    fd = open_tun("truth0", TUN | IFF_VNET_HDR)
    assert refused(fcntl.ioctl, fd, TUNSETVNETHDRSZ, struct.pack("i", size)) == code


SEGMENT = 10


@pytest.mark.parametrize(
    ("segments", "flags", "offset", "size", "code"),
    [
        (128, NEEDS_CSUM, 6, SEGMENT, None),
        (129, NEEDS_CSUM, 6, SEGMENT, errno.EINVAL),
        (2, 0, 6, SEGMENT, errno.EINVAL),
        (2, NEEDS_CSUM, 16, SEGMENT, errno.EINVAL),
        (2, NEEDS_CSUM, 6, 0, errno.EINVAL),
        (2, NEEDS_CSUM, 6, 0xFFFF, errno.EINVAL),
    ],
    ids=["128 segments", "129 segments", "no NEEDS_CSUM", "offset 16", "size 0", "size 65535"],
)
def test_what_a_super_packet_of_udp_needs(
    segments: int, flags: int, offset: int, size: int, code: int | None, open_tun: Open
) -> None:
    """UDP segments in one write: a checksum to finish at offset 6, a size, and 128 of them at most (fact 13)."""
    fd = open_tun("truth0", TUN | IFF_VNET_HDR)
    configure("truth0")
    packet = IPv4(PEER, ADDRESS, 17, UDP(9, 9, bytes(SEGMENT * segments)).build(PEER, ADDRESS)).build()
    header = VNET.pack(flags, GSO_UDP_L4, 28, size, 20, offset)
    assert refused(os.write, fd, header + packet) == code


# --- the end --------------------------------------------------------------------------------------


def test_a_deleted_device_polls_an_error_and_answers_ebadfd(tun: int) -> None:
    """After the deletion there is POLLERR alone, and every call is EBADFD (A7, A14, fact 3)."""
    send(b"queued")
    ip("link", "del", "truth0")
    assert polled(tun) == select.POLLERR
    codes = [refused(os.read, tun, 65536), refused(os.write, tun, PACKET), refused(name_of, tun)]
    assert codes == [errno.EBADFD] * 3


@pytest.mark.parametrize("waited", [False, True])
def test_a_deletion_wakes_who_waits(waited: bool, tun: int) -> None:
    """epoll tells a deletion, whether the descriptor was added before or after it (B3, B4)."""
    with select.epoll() as epoll:
        if waited:
            epoll.register(tun, select.EPOLLIN)
        ip("link", "del", "truth0")
        if not waited:
            epoll.register(tun, select.EPOLLIN)
        assert epoll.poll(0) == [(tun, select.EPOLLERR)]


def test_a_close_does_not_wake_a_blocked_reader(open_tun: Open) -> None:
    """A thread that blocks in read() goes on when the descriptor is closed, and keeps the device (fact 18)."""
    fd = open_tun("truth0", blocking=True)
    configure("truth0")
    read: list[bytes] = []
    thread = threading.Thread(target=lambda: read.append(os.read(fd, 65536)))
    thread.start()
    while hex(fd) not in _call(thread.native_id):
        pass
    os.close(fd)
    assert refused(attach, open_tun(), "truth0", TUN) == errno.EBUSY
    send(b"waited for")
    thread.join()
    assert read[0].endswith(b"waited for")


def _call(task: int | None) -> list[str]:
    """Return the system call that a thread sleeps in: its number and arguments."""
    return Path(f"/proc/self/task/{task}/syscall").read_text().split()


# --- namespaces and rights ------------------------------------------------------------------------


@pytest.fixture
def other() -> Iterator[str]:
    """Another network namespace, called truth."""
    ip("netns", "add", "truth")
    yield "truth"
    subprocess.run(["ip", "netns", "del", "truth"], stderr=subprocess.DEVNULL)


def test_a_moved_device_works_by_its_descriptor(other: str, tun: int) -> None:
    """Moved to another namespace a device has lost its addresses; its descriptor works, its name does not (B11)."""
    ip("link", "set", "truth0", "netns", other)
    with pytest.raises(OSError):
        socket.if_nametoindex("truth0")
    ip("-n", other, "address", "add", f"{ADDRESS}/24", "dev", "truth0")
    ip("-n", other, "link", "set", "truth0", "up")
    assert (name_of(tun), os.write(tun, PACKET)) == ("truth0", len(PACKET))


def test_a_deleted_namespace_takes_the_device_along(other: str, tun: int) -> None:
    """With the namespace it was moved to, a device goes, and its descriptor is EBADFD (B12, fact 17)."""
    ip("link", "set", "truth0", "netns", other)
    ip("netns", "del", other)
    assert polled(tun, 10_000) & select.POLLERR  # comes a moment earlier than the errno
    while (code := refused(os.read, tun, 100)) == errno.EAGAIN:
        pass
    assert code == errno.EBADFD


@nobody_needed
@pytest.mark.parametrize(
    ("options", "told"),
    [((), "attached"), (("user", "0"), "Operation not permitted")],
    ids=["nobody's", "root's"],
)
def test_anybody_attaches_to_a_persistent_device_that_nobody_owns(options: tuple[str, ...], told: str) -> None:
    """Without an owner a persistent device is everybody's; with one, that user's, or CAP_NET_ADMIN's (I3, fact 20)."""
    ip("tuntap", "add", "dev", "truth0", "mode", "tun", *options)

    def attached() -> str:
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        try:
            attach(fd, "truth0", TUN)
        except OSError as error:
            return os.strerror(error.errno or 0)
        return "attached"

    said = in_child(attached)
    ip("link", "del", "truth0")
    assert said == told
