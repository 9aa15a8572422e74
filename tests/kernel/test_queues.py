"""Several queues of one interface: rows B5 to B9 and J4 of the fault catalogue, and the flows of packets over them."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import resource
import socket
import struct
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import pytest
import uvloop
from rights import programs_needed

import aiotun
from aiotun import EventKind, Queues, packet
from aiotun.endpoint import Opening, turn
from aiotun.linux import constants
from aiotun.routing import Rule
from aiotun.testing import CHECKS, Check, Rig
from aiotun.testing.kernel import KernelRig

from .cancelling import cancelled
from .nobody import nobody_needed, output_of

pytestmark = pytest.mark.kernel

HERE = "10.17.0.1"
PEER = "10.17.0.2"
ADDRESS = f"{HERE}/24"

PORTS = range(20000, 20064)
"""Source ports, one a flow."""

RETURN_0 = struct.pack("<BBhi", 0xB7, 0, 0, 0) + struct.pack("<BBhi", 0x95, 0, 0, 0)
RETURN_1 = struct.pack("<BBhi", 0xB7, 0, 0, 1) + struct.pack("<BBhi", 0x95, 0, 0, 0)
"""Two instructions of eBPF: a result into register 0, and exit (Linux include/uapi/linux/bpf.h)."""

Open = Callable[..., Any]
both_kinds = pytest.mark.parametrize("open", [aiotun.open_tun, aiotun.open_tap], ids=["tun", "tap"])


def ip(*arguments: str) -> None:
    """Change the network with the tool an administrator uses."""
    subprocess.run(["ip", *arguments], check=True)


def exists(name: str) -> bool:
    try:
        return bool(socket.if_nametoindex(name))
    except OSError:
        return False


@pytest.fixture
def flows() -> Iterator[list[socket.socket]]:
    """Sockets of the kernel's own stack, each with a source port of its own."""
    sockets = []
    try:
        for port in PORTS:
            sockets.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            sockets[-1].bind(("", port))
        yield sockets
    finally:
        for sock in sockets:
            sock.close()


def send_round(flows: list[socket.socket], number: int) -> None:
    """Send one datagram of every flow."""
    for sock in flows:
        sock.sendto(number.to_bytes(4, "big"), (PEER, 9))


def taken(endpoint: aiotun.Tun) -> list[tuple[int, int]]:
    """Take what is queued, as source port and number."""
    found: list[tuple[int, int]] = []
    while True:
        try:
            batch = endpoint.recv_many_nowait()
        except aiotun.WouldBlock:
            return found
        found += [(int.from_bytes(one[20:22], "big"), int.from_bytes(one[28:32], "big")) for one in batch]


def datagram(port: int, size: int = 4) -> bytes:
    """A datagram of the peer to a port of ours."""
    return packet.IPv4(PEER, HERE, 17, payload=packet.UDP(9, port, bytes(size)).build(PEER, HERE)).build()


# --- opening --------------------------------------------------------------------------------------


@both_kinds
async def test_as_many_queues_as_were_asked_for(open: Open) -> None:
    """``queues=4`` gives four endpoints of one interface, and the kernel counts four."""
    async with open("mq0", queues=4, mtu=1300) as queues:
        assert (len(queues), queues.name, queues.mtu) == (4, "mq0", 1300)
        assert {queue.name for queue in queues} == {"mq0"}
        assert len({queue.fileno() for queue in queues}) == 4
        assert queues[0].device.queues == 4
    assert not exists("mq0")


async def test_one_queue_may_be_asked_for() -> None:
    """``queues=1`` is a multi-queue interface that others may join, which a plain one is not."""
    async with aiotun.open_tun("mq1", queues=1) as queues:
        assert "IFF_MULTI_QUEUE" in queues[0].capabilities.granted
    async with aiotun.open_tun("mq1") as tun:
        assert "IFF_MULTI_QUEUE" not in tun.capabilities.granted


async def test_a_template_names_one_interface() -> None:
    """With ``%d`` all queues are of the one interface that the first made."""
    async with aiotun.open_tun("mqt%d", queues=3) as queues:
        assert {queue.name for queue in queues} == {"mqt0"}


async def test_an_opening_joins_what_is_there() -> None:
    """Who opens the same name with ``queues`` gets more queues of it, and changes none of its settings."""
    async with aiotun.open_tun("mq2", queues=2, mtu=1234, queue_length=77) as first:
        async with aiotun.open_tun("mq2", queues=2) as second:
            assert first[0].device.queues == 4
            assert second.mtu == 1234
        link = subprocess.run(["ip", "link", "show", "mq2"], check=True, capture_output=True, text=True).stdout
        assert "qlen 77" in link
        assert first[0].device.queues == 2


async def test_256_queues_are_the_most() -> None:
    """256 queues open, the 257th is E2BIG with both numbers, and the 256 are undisturbed (J4)."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit[1], limit[1]))
    try:
        async with aiotun.open_tun("mq3", queues=256) as queues:
            with pytest.raises(aiotun.DeviceError, match="mq3: cannot have 257 queues, 256 is the most") as caught:
                await aiotun.open_tun("mq3", queues=1)
            assert caught.value.errno == errno.E2BIG
            assert queues[0].device.queues == 256
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)


async def test_257_queues_are_refused_before_one_is_opened() -> None:
    """Asked for at once, 257 queues are refused in the same words, and nothing was made."""
    with pytest.raises(aiotun.DeviceError, match="mq4: cannot have 257 queues, 256 is the most"):
        await aiotun.open_tun("mq4", queues=257)
    assert not exists("mq4")


@contextmanager
def descriptors_left(count: int) -> Iterator[None]:
    """Let this process open so many descriptors more."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(fd) for fd in os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + count + 1, limit[1]))
    filling: list[int] = []
    try:
        with suppress(OSError):
            while True:
                filling.append(os.dup(0))
        for _ in range(count):
            os.close(filling.pop())
        yield
    finally:
        for fd in filling:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)


@pytest.mark.parametrize("left", [1, 2, 3, 4, 5, 6, 7, 8, 20, 41])
async def test_running_out_of_descriptors_in_the_middle_leaves_nothing(left: int) -> None:
    """EMFILE anywhere among the queues closes those that were open, and the interface is gone (J1)."""
    before = len(os.listdir("/proc/self/fd"))
    with descriptors_left(left), pytest.raises(OSError) as caught:
        await aiotun.open_tun("mq5", queues=64)
    assert caught.value.errno == errno.EMFILE
    assert len(os.listdir("/proc/self/fd")) == before
    assert not exists("mq5")


async def test_a_cancelled_opening_leaves_nothing() -> None:
    """Cancelled at any turn, an opening of several queues closes all it opened."""
    for ticks in range(5):
        await cancelled(_open("mq6", queues=8), ticks)
        assert not exists("mq6")


async def _open(name: str, **options: Any) -> Any:
    return await aiotun.open_tun(name, **options)


@pytest.mark.parametrize(
    ("multi_queue", "options", "text"),
    [
        (False, {"queues": 2}, "is a tun, not a multi-queue tun; open it without queues="),
        (True, {}, "is a multi-queue tun, not a tun with a single queue; open it with queues=1, or more"),
    ],
)
async def test_the_other_sort_of_queue_is_told(multi_queue: bool, options: dict[str, Any], text: str) -> None:
    """A persistent device of one queue is not opened for several, nor the reverse: EINVAL says which it is (B15)."""
    extra = ["multi_queue"] if multi_queue else []
    ip("tuntap", "add", "dev", "mq7", "mode", "tun", "user", "root", *extra)
    try:
        with pytest.raises(aiotun.DeviceError, match=f"mq7: .*{text}") as caught:
            await aiotun.open_tun("mq7", **options)
        assert caught.value.errno == errno.EINVAL
    finally:
        ip("link", "del", "mq7")


@pytest.mark.parametrize("flag", [0, constants.IFF_NO_PI | constants.IFF_VNET_HDR])
async def test_another_framing_is_noticed(flag: int) -> None:
    """The kernel ignores an extra queue's flags without a word: with other framing than ours it is refused."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    try:
        flags = constants.IFF_TUN | constants.IFF_MULTI_QUEUE | flag
        fcntl.ioctl(fd, constants.TUNSETIFF, constants.IFREQ.pack(b"mq8", flags))
        with pytest.raises(aiotun.DeviceError, match="mq8: asked for .*, but the device is "):
            await aiotun.open_tun("mq8", queues=1)
    finally:
        os.close(fd)


async def test_packet_information_is_noticed_at_adoption() -> None:
    """A descriptor with a header in front of each packet is not adopted, though the kernel shows IFF_NO_PI for it."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, constants.TUNSETIFF, constants.IFREQ.pack(b"pi0", constants.IFF_TUN))
        _, flags = constants.IFREQ.unpack(fcntl.ioctl(fd, constants.TUNGETIFF, constants.IFREQ.pack(b"", 0)))
        assert flags & constants.IFF_NO_PI, "the kernel tells the truth by now"
        with pytest.raises(aiotun.DeviceError, match="but the device is IFF_TUN;"):
            aiotun.Tun.from_fd(fd)
    finally:
        os.close(fd)


# --- who may attach -------------------------------------------------------------------------------


JOIN = """
    import fcntl, struct
    from aiotun.linux import constants
    fd = os.open("/dev/net/tun", os.O_RDWR)
    drop()
    flags = constants.IFF_TUN | constants.IFF_NO_PI | constants.IFF_MULTI_QUEUE
    try:
        fcntl.ioctl(fd, constants.TUNSETIFF, constants.IFREQ.pack(sys.argv[1].encode(), flags))
        print("joined")
    except OSError as error:
        print(os.strerror(error.errno))
"""
"""What a user without any right does, having got hold of /dev/net/tun."""


@nobody_needed
async def test_a_stranger_does_not_get_a_queue() -> None:
    """A new multi-queue device is its opener's: another user cannot take a part of its packets."""
    async with aiotun.open_tun("own0", queues=2) as queues:
        assert queues[0].device.owner == os.getuid()
        assert output_of(JOIN, "own0") == ["Operation not permitted"]


@nobody_needed
async def test_the_owner_gets_a_queue() -> None:
    """The owner that was named attaches without a privilege."""
    async with aiotun.open_tun("own1", queues=1, owner="nobody"):
        assert output_of(JOIN, "own1") == ["joined"]


@nobody_needed
async def test_a_group_gets_a_queue() -> None:
    """With a group and no owner its members attach."""
    async with aiotun.open_tun("own2", queues=1, owner_group=65534) as queues:
        assert (queues[0].device.owner, queues[0].device.owner_group) == (None, 65534)
        assert output_of(JOIN, "own2") == ["joined"]


# --- flows ----------------------------------------------------------------------------------------


async def test_a_flow_stays_in_one_queue_and_in_order(flows: list[socket.socket]) -> None:
    """Of 64 flows over two queues each comes out of one queue only, in order, and both queues have some."""
    rounds = 12
    async with aiotun.open_tun("flow0", queues=2, address=ADDRESS, queue_length=5000) as queues:
        for number in range(rounds):
            send_round(flows, number)
        seen = [taken(queue) for queue in queues]
    ports = [{port for port, _ in one} for one in seen]
    assert not ports[0] & ports[1]
    assert ports[0] | ports[1] == set(PORTS)
    assert all(ports)
    numbers = {port: [number for each, number in seen[0] + seen[1] if each == port] for port in PORTS}
    assert numbers == {port: list(range(rounds)) for port in PORTS}


async def test_a_flow_comes_back_where_it_was_sent(flows: list[socket.socket]) -> None:
    """A flow whose packets are sent through a queue comes out of that queue: tun_flow_update() in the kernel."""
    async with aiotun.open_tun("flow1", queues=2, address=ADDRESS) as queues:
        for port in PORTS:
            await queues[port % 2].send(datagram(port))
        send_round(flows, 0)
        assert [{port % 2 for port, _ in taken(queue)} for queue in queues] == [{0}, {1}]


async def test_the_ledger_of_all_queues_is_the_interfaces(flows: list[socket.socket]) -> None:
    """What all queues took and sent is what the interface counted, to the packet."""
    async with aiotun.open_tun("flow2", queues=3, address=ADDRESS) as queues:
        for number in range(5):
            send_round(flows, number)
        for queue in queues:
            taken(queue)
            await queue.send_many([datagram(PORTS[0])] * 7)
        counted = queues.statistics()
    assert (counted.taken_packets, counted.sent_packets) == (5 * len(PORTS), 21)
    assert counted.received_packets == counted.taken_packets
    assert counted.interface is not None
    assert (counted.interface.opackets, counted.interface.ipackets) == (5 * len(PORTS), 21)
    assert queues.statistics() == counted


@pytest.mark.parametrize(("program", "queue"), [(RETURN_0, 0), (RETURN_1, 1)])
@programs_needed
async def test_a_steering_program_chooses(program: bytes, queue: int, flows: list[socket.socket]) -> None:
    """Under a program that returns a constant, given as bytecode, every packet comes out of that queue."""
    async with aiotun.open_tun("steer0", queues=2, address=ADDRESS) as queues:
        queues[0].device.steer(program)
        send_round(flows, 0)
        found = [len(taken(each)) for each in queues]
    assert found == [len(PORTS) * (queue == 0), len(PORTS) * (queue == 1)]


@programs_needed
async def test_steering_ends(flows: list[socket.socket]) -> None:
    """With None the kernel chooses again, by the flow."""
    async with aiotun.open_tun("steer1", queues=2, address=ADDRESS) as queues:
        queues[0].device.steer(RETURN_1)
        queues[0].device.steer(None)
        send_round(flows, 0)
        assert all(taken(queue) for queue in queues)


# --- out of service, and back ---------------------------------------------------------------------


async def test_a_detached_queue_refuses_to_send() -> None:
    """Sending through a detached queue is refused, where the kernel takes the packet; others go on (B7)."""
    async with aiotun.open_tun("det0", queues=2, address=ADDRESS) as queues:
        queues[1].device.detach_queue()
        assert os.write(queues[1].fileno(), datagram(9)) == len(datagram(9)), "the kernel refuses by itself by now"
        for sending in (queues[1].send(datagram(9)), queues[1].send_many([datagram(9)] * 2)):
            with pytest.raises(aiotun.QueueDetached, match="det0: the queue is detached") as caught:
                await sending
            assert (caught.value.errno, caught.value.sent) == (errno.EBUSY, 0)
        with pytest.raises(aiotun.QueueDetached):
            queues[1].send_nowait(datagram(9))
        await queues[0].send(datagram(9))
        assert queues.statistics().sent_packets == 1


async def test_what_is_forwarded_into_a_detached_queue_is_counted() -> None:
    """``send_many(drop=True)`` drops under the reason ``detached``."""
    async with aiotun.open_tun("det1", queues=2) as queues:
        queues[1].device.detach_queue()
        await queues[1].send_many([datagram(9)] * 3, drop=True)
        assert queues.statistics().dropped == {"detached": 3}


@programs_needed
async def test_a_detached_queue_waits_and_goes_on(flows: list[socket.socket]) -> None:
    """Receiving from a detached queue waits; after attach the same task gets what comes, and sending works."""
    async with aiotun.open_tun("det2", queues=2, address=ADDRESS) as queues:
        queues[0].device.steer(RETURN_1)
        queues[1].device.detach_queue()
        assert not queues[1].device.attached
        waiting = asyncio.ensure_future(queues[1].recv_many())
        for _ in range(4):
            await turn()
        send_round(flows, 0)
        assert len(taken(queues[0])) == len(PORTS)
        await turn()
        assert not waiting.done()
        queues[1].device.attach_queue()
        assert queues[1].device.attached
        send_round(flows, 1)
        assert {one[-1] for one in await waiting} == {1}
        await queues[1].send(datagram(9))


async def test_all_detached(flows: list[socket.socket]) -> None:
    """With every queue detached the interface stays, the kernel drops and counts, and attaching is enough (B8)."""
    async with aiotun.open_tun("det3", queues=2, address=ADDRESS) as queues:
        for queue in queues:
            queue.device.detach_queue()
        send_round(flows, 0)
        interface = queues.statistics().interface
        assert interface is not None
        assert interface.dropped == {"kernel_queue_full": len(PORTS)}
        for queue in queues:
            queue.device.attach_queue()
        send_round(flows, 1)
        assert sum(len(taken(queue)) for queue in queues) == len(PORTS)


async def test_twice_is_refused() -> None:
    """Detaching what is detached and attaching what is attached are EINVAL, in words."""
    async with aiotun.open_tun("det4", queues=1) as queues:
        device = queues[0].device
        with pytest.raises(aiotun.DeviceError, match="det4: cannot attach the queue") as attaching:
            device.attach_queue()
        device.detach_queue()
        with pytest.raises(aiotun.DeviceError, match="det4: cannot detach the queue") as detaching:
            device.detach_queue()
        assert [one.value.errno for one in (attaching, detaching)] == [errno.EINVAL] * 2


async def test_a_single_queue_is_not_detached() -> None:
    """A device opened without ``queues`` cannot be detached, and goes on."""
    async with aiotun.open_tun("det5") as tun:
        with pytest.raises(aiotun.DeviceError, match="det5: cannot detach the queue"):
            tun.device.detach_queue()
        assert tun.device.attached
        await tun.send(datagram(9))


async def test_a_queue_closed_leaves_the_others(flows: list[socket.socket]) -> None:
    """When one of three queues is closed its flows move to the others, and none is lost (B9)."""
    async with aiotun.open_tun("close0", queues=3, address=ADDRESS) as queues:
        await queues[1].aclose()
        assert (queues.closed, queues[0].device.queues) == (False, 2)
        send_round(flows, 0)
        assert len(taken(queues[0]) + taken(queues[2])) == len(PORTS)
    assert queues.closed
    assert not exists("close0")


async def test_settings_outlive_the_first_queue() -> None:
    """What is undone at the end is undone when the last queue is closed, not the first: rules stay until then."""

    def rules() -> str:
        return subprocess.run(["ip", "rule"], check=True, capture_output=True, text=True).stdout

    rule = Rule(destination="10.99.0.0/16", table=77)
    async with aiotun.open_tun("close1", queues=2, address=ADDRESS, rules=[rule]) as queues:
        await queues[0].aclose()
        assert "lookup 77" in rules()
    assert "lookup 77" not in rules()


# --- the five orders of tools/testing/selftests/net/tun.c (B6) -------------------------------------


async def pair(open: Open, name: str) -> Queues[Any]:
    """Open an interface with two queues, the second one detached."""
    queues: Queues[Any] = await open(name, queues=2)
    queues[1].device.detach_queue()
    return queues


@both_kinds
async def test_delete_detach_close(open: Open) -> None:
    """Deleted, then detached: EINVAL as DeviceGone, then closed (B5)."""
    async with await pair(open, "order0") as queues:
        ip("link", "del", "order0")
        for queue in queues:
            with pytest.raises(aiotun.DeviceGone, match="order0: the interface was deleted") as caught:
                queue.device.detach_queue()
            assert caught.value.errno == errno.EINVAL
            with pytest.raises(aiotun.DeviceGone):
                queue.device.attach_queue()


@both_kinds
async def test_detach_delete(open: Open) -> None:
    """Deleted with a detached queue: both queues say gone."""
    async with await pair(open, "order1") as queues:
        ip("link", "del", "order1")
        for queue in queues:
            with pytest.raises(aiotun.DeviceGone):
                await queue.recv()
    assert not exists("order1")


@both_kinds
async def test_detach_close_delete(open: Open) -> None:
    """The detached queue closed, then deleted: the other one says gone."""
    async with await pair(open, "order2") as queues:
        await queues[1].aclose()
        ip("link", "del", "order2")
        with pytest.raises(aiotun.DeviceGone):
            await queues[0].recv()


@both_kinds
async def test_reattach_delete(open: Open) -> None:
    """Attached again, then deleted: both queues say gone."""
    async with await pair(open, "order3") as queues:
        queues[1].device.attach_queue()
        ip("link", "del", "order3")
        for queue in queues:
            with pytest.raises(aiotun.DeviceGone):
                await queue.recv()


@both_kinds
async def test_reattach_close_delete(open: Open) -> None:
    """Attached again and closed, then deleted: the other one says gone."""
    async with await pair(open, "order4") as queues:
        queues[1].device.attach_queue()
        await queues[1].aclose()
        ip("link", "del", "order4")
        with pytest.raises(aiotun.DeviceGone):
            await queues[0].recv()
    assert not exists("order4")


@both_kinds
async def test_the_orders_leave_an_interface_that_can_be_made_again(open: Open) -> None:
    """After each order the name is free, and a new interface of it works."""
    for _ in range(3):
        async with await pair(open, "order5") as queues:
            ip("link", "del", "order5")
        assert queues.closed
        async with open("order5", queues=2) as queues:
            assert [queue.device.attached for queue in queues] == [True, True]


# --- the contract ---------------------------------------------------------------------------------


def one_queue(name: str, **options: Any) -> Opening[aiotun.Tun]:
    """Open a multi-queue interface as an endpoint: the one queue of it."""

    async def first() -> aiotun.Tun:
        (queue,) = await aiotun.open_tun(name, queues=1, **options)
        return queue

    return Opening(first)


@asynccontextmanager
async def queue_rig(**options: Any) -> AsyncIterator[Rig]:
    """Open a rig of a queue."""
    async with one_queue("rig%d", **options) as endpoint:
        rig = KernelRig(endpoint, one_queue)
        try:
            yield rig
        finally:
            rig.close()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_a_queue_is_an_endpoint(check: Check) -> None:
    """A queue of a multi-queue interface keeps every promise of the endpoint contract."""
    await check(queue_rig)


# --- threads and processes ------------------------------------------------------------------------


def in_thread_loop(
    factory: Callable[[], asyncio.AbstractEventLoop], main: Callable[[], Awaitable[Any]]
) -> tuple[threading.Thread, list[Any]]:
    """Run *main* in a thread with an event loop of its own, and return the thread and where its result will be."""
    result: list[Any] = []

    def run() -> None:
        async def body() -> Any:
            return await main()

        with asyncio.Runner(loop_factory=factory) as runner:
            result.append(runner.run(body()))

    thread = threading.Thread(target=run)
    thread.start()
    return thread, result


@pytest.mark.parametrize("factory", [asyncio.SelectorEventLoop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
async def test_a_loop_each_in_threads(factory: Callable[[], Any], flows: list[socket.socket]) -> None:
    """Queues are received from, watched and closed in a thread's loop each, whatever loop opened them."""
    queues = await aiotun.open_tun("thr0", queues=2, address=ADDRESS)
    expected = 2 * len(PORTS)
    left = threading.Semaphore(0)

    def served(queue: aiotun.Tun) -> Callable[[], Awaitable[Any]]:
        async def main() -> tuple[set[int], list[EventKind]]:
            ports: set[int] = set()
            events: list[EventKind] = []
            async with queue:
                stream = queue.events()
                left.release()
                async for one in queue:
                    if one[-1] == 255:  # the last packet, to each queue
                        break
                    ports.add(int.from_bytes(one[20:22], "big"))
                ip("link", "set", "thr0", "mtu", str(1200 + queues.index(queue)))
                async for event in stream:
                    events.append(event.kind)
                    break
            return ports, events

        return main

    threads = [in_thread_loop(factory, served(queue)) for queue in queues]
    for _ in threads:
        await asyncio.get_running_loop().run_in_executor(None, left.acquire)
    send_round(flows, 0)
    send_round(flows, 1)
    send_round(flows, 255)  # 64 flows: some for each queue
    for thread, _ in threads:
        await asyncio.get_running_loop().run_in_executor(None, thread.join)
    await asyncio.get_running_loop().shutdown_default_executor()
    (first, first_events), (second, second_events) = (result[0] for _, result in threads)
    assert not first & second
    assert first | second == set(PORTS)
    assert EventKind.MTU in first_events + second_events
    assert queues.closed
    assert queues.statistics().taken_packets >= expected
    await queues.aclose()
    assert not exists("thr0")


async def test_a_queue_in_use_elsewhere_is_not_closed() -> None:
    """Closing all while a thread receives from one is refused for that one; the others are closed, and it later."""
    queues = await aiotun.open_tun("thr1", queues=2)
    waiting, leave = threading.Event(), threading.Event()

    async def main() -> None:
        task = asyncio.create_task(queues[0].recv())
        await turn()
        await turn()
        waiting.set()
        while not leave.is_set():
            await turn()
        task.cancel()

    thread, _ = in_thread_loop(asyncio.SelectorEventLoop, main)
    assert waiting.wait(10)
    with pytest.raises(RuntimeError, match="thr1: cannot close it here, it is used in another thread's event loop"):
        await queues.aclose()
    assert [queue.closed for queue in queues] == [False, True]
    leave.set()
    thread.join()
    await queues.aclose()
    assert not exists("thr1")


async def test_a_queue_in_another_process(flows: list[socket.socket]) -> None:
    """A queue given to another process, as a descriptor, is adopted there, and the flows are shared by both."""
    script = textwrap.dedent("""
        import asyncio, os, sys, aiotun
        async def main():
            async with aiotun.Tun.from_fd(int(sys.argv[1])) as tun:
                print(tun.name, "IFF_MULTI_QUEUE" in tun.capabilities.granted, flush=True)
                sys.stdin.readline()
                print(len(await tun.recv_many(1000)), flush=True)
        asyncio.run(main())
    """)
    async with aiotun.open_tun("proc0", queues=2, address=ADDRESS) as queues:
        fd = queues[1].detach_fd()
        command = [sys.executable, "-W", "error", "-c", script, str(fd)]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, pass_fds=[fd]) as child:
            os.close(fd)
            assert child.stdin is not None and child.stdout is not None
            assert child.stdout.readline() == "proc0 True\n"
            send_round(flows, 0)
            child.stdin.write("\n")
            child.stdin.flush()
            theirs = int(child.stdout.readline())
        ours = len(taken(queues[0]))
        assert 0 < theirs < len(PORTS)
        assert ours + theirs == len(PORTS)
        assert queues[0].device.queues == 1, "the other process has ended"


async def test_a_detached_queue_is_adopted_detached() -> None:
    """Who adopts a queue that is out of service is told so: sending is refused until it is attached."""
    async with aiotun.open_tun("adopt5", queues=2) as queues:
        queues[1].device.detach_queue()
        async with aiotun.Tun.from_fd(queues[1].detach_fd()) as tun:
            with pytest.raises(aiotun.QueueDetached):
                await tun.send(datagram(9))
            tun.device.attach_queue()
            await tun.send(datagram(9))


async def test_queues_of_a_private_host(flows: list[socket.socket]) -> None:
    """A private host opens queues too, without a privilege, and closes them with itself."""
    async with aiotun.PrivateHost() as host:
        queues = await host.open_tun("priv0", queues=3, address=ADDRESS)
        assert queues[0].device.queues == 3
        for port in PORTS:
            with host.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.bind(("", port))
                sock.sendto(b"1234", (PEER, 9))
        assert sum(len(taken(queue)) for queue in queues) == len(PORTS)
    assert queues.closed


async def test_queues_share_the_work() -> None:
    """Every packet of many senders is received by one of four tasks, one a queue, in one loop."""
    async with aiotun.open_tun("work0", queues=4, address=ADDRESS, queue_length=10000) as queues:
        received: Counter[int] = Counter()
        done = asyncio.Event()

        async def receive(at: int) -> None:
            async for _ in queues[at]:
                received[at] += 1
                if received.total() == 4000:
                    done.set()

        tasks = [asyncio.create_task(receive(at)) for at in range(4)]
        for port in range(30000, 30400):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.bind(("", port))
                for _ in range(10):
                    sock.sendto(b"x", (PEER, 9))
        await done.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert received.total() == 4000
        assert len(received) == 4
