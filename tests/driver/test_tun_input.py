"""From the writer of a tun to the stack: the steps of input, and what is refused before it."""

from __future__ import annotations

import errno
import sys

import pytest

from aiotun.driver import Device, Family, Netisr
from aiotun.driver.tun_input import TUNMRU
from aiotun.errors import DeviceError, QueueFull, UnsupportedFamily
from aiotun.pipeline import Batch
from aiotun.queueing import Classified

from .fakes import FOREIGN, FRAME, IPV4, IPV6, open_tun, stack_of

HEAD_INET = bytes((0, 0, 0, 2))
HEAD_INET6 = bytes((0, 0, 0, 28))
HEAD_IPX = bytes((0, 0, 0, 23))


def test_the_stages() -> None:
    """Input has the steps of tunwrite()."""
    assert list(open_tun().input) == ["size", "bpf", "strip", "count", "demux"]


def test_the_mru() -> None:
    """A write has at most 16384 bytes."""
    assert TUNMRU == 16384


# --- which families -------------------------------------------------------------------------------


@pytest.mark.parametrize("packet", [IPV4, IPV6, FOREIGN])
def test_the_default_believes_everything(packet: bytes) -> None:
    """By default a write is an IPv4 packet; the driver does not look."""
    tun = open_tun()
    tun.write(packet)
    assert stack_of(tun).entered == [packet]


def test_bare_takes_both() -> None:
    """Under an endpoint IPv4 and IPv6 packets enter, in order."""
    tun = open_tun(bare=True)
    assert tun.write_many([IPV6, IPV4]) == 2
    assert stack_of(tun).entered == [IPV6, IPV4]


@pytest.mark.parametrize("foreign", [FOREIGN, FRAME])
def test_bare_refuses_others(foreign: bytes) -> None:
    """Under an endpoint what came before another family enters, nothing after it, and the error says how many."""
    tun = open_tun(bare=True)
    with pytest.raises(UnsupportedFamily, match="dev0: a packet is of a family that") as caught:
        tun.write_many([IPV4, IPV6, foreign, IPV4])
    assert (caught.value.sent, stack_of(tun).entered) == (2, [IPV4, IPV6])
    assert tun.counters().dropped == {"unsupported_family": 1}


def test_a_refused_packet_was_input() -> None:
    """As in C the refused packet counts as input, and what comes behind it does not."""
    tun = open_tun(bare=True)
    with pytest.raises(UnsupportedFamily):
        tun.write_many([IPV4, FOREIGN, FOREIGN])
    assert (tun.counts.ipackets, tun.counts.ibytes) == (2, 80)


@pytest.mark.parametrize("mode", ["ifhead", "lmode"])
def test_bare_has_nothing_in_front(mode: str) -> None:
    """An endpoint never writes what the mode would want in front."""
    tun = open_tun(bare=True)
    setattr(tun, mode, True)
    tun.write(IPV6)
    assert stack_of(tun).entered == [IPV6]


def test_lmode_is_for_the_reader() -> None:
    """LMODE changes nothing for the writer."""
    tun = open_tun()
    tun.lmode = True
    tun.write(IPV4)
    assert stack_of(tun).entered == [IPV4]


def test_ifhead_says_the_family() -> None:
    """With IFHEAD each packet goes by the family in front of it, in the order written."""
    tun = open_tun()
    tun.ifhead = True
    assert tun.write_many([HEAD_INET6 + IPV6, HEAD_INET + IPV4]) == 2
    assert stack_of(tun).entered == [IPV6, IPV4]
    assert all(type(packet) is bytes for packet in stack_of(tun).entered)


def test_ifhead_refuses_others() -> None:
    """With IFHEAD another family is refused, with what came behind it."""
    tun = open_tun()
    tun.ifhead = True
    with pytest.raises(UnsupportedFamily) as caught:
        tun.write_many([HEAD_INET + IPV4, HEAD_IPX + FOREIGN, HEAD_INET + IPV4])
    assert (caught.value.sent, stack_of(tun).entered) == (1, [IPV4])


def test_ipx_by_registration() -> None:
    """With IFHEAD a registered family goes to its queue, and not to the stack."""
    netisr = Netisr()
    tun = open_tun(netisr=netisr)
    tun.ifhead = True
    with netisr.register(Family.IPX) as queue:
        assert tun.write_many([HEAD_INET + IPV4, HEAD_IPX + FOREIGN]) == 2
        assert (queue.recv_nowait(), stack_of(tun).entered) == (FOREIGN, [IPV4])


def test_a_full_protocol_queue_is_counted_here() -> None:
    """What finds its protocol's queue full is dropped at the interface."""
    netisr = Netisr()
    tun = open_tun(netisr=netisr)
    tun.ifhead = True
    with netisr.register(Family.IPX, 1):
        tun.write_many([HEAD_IPX + FOREIGN] * 3)
    assert tun.counters().dropped == {"input_queue_full": 2}


def test_an_unregistered_family() -> None:
    """With protocols registered, a family that is not among them is refused."""
    netisr = Netisr()
    tun = open_tun(netisr=netisr)
    tun.ifhead = True
    with netisr.register(Family.LINK), pytest.raises(UnsupportedFamily):
        tun.write(HEAD_IPX + FOREIGN)


def test_a_packet_that_a_stage_made() -> None:
    """With IFHEAD a packet that a stage put in place of another goes by its version."""
    tun = open_tun()
    tun.ifhead = True
    tun.input.insert_before("demux", lambda batch: [IPV6, Classified(IPV4, "class"), FOREIGN, b""], name="make")
    tun.write(HEAD_INET + IPV4)
    assert stack_of(tun).entered == [IPV6, IPV4]
    assert tun.counters().dropped == {"unsupported_family": 2}


# --- sizes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [[b""], [IPV4, b""], [b"", IPV4]])
@pytest.mark.parametrize("bare", [False, True])
def test_a_write_of_nothing_is_nothing(batch: list[bytes], bare: bool) -> None:
    """A write of 0 bytes succeeds, and nothing enters or is counted for it."""
    tun = open_tun(bare=bare)
    assert tun.write_many(batch) == len(batch)
    assert stack_of(tun).entered == [packet for packet in batch if packet]
    assert tun.counts.ipackets == len(batch) - 1


def test_a_write_of_nothing_before_a_foreign_family() -> None:
    """sent counts a write of 0 bytes that came before the refused one."""
    tun = open_tun(bare=True)
    with pytest.raises(UnsupportedFamily) as caught:
        tun.write_many([b"", FOREIGN, IPV4])
    assert (caught.value.sent, stack_of(tun).entered) == (1, [])


def test_a_write_of_nothing_to_a_down_interface() -> None:
    """A write of 0 bytes to a device that is down is refused like any other."""
    with pytest.raises(DeviceError) as caught:
        open_tun(up=False).write(b"")
    assert caught.value.errno == errno.EHOSTDOWN


@pytest.mark.parametrize("bare", [False, True])
def test_the_longest_write(bare: bool) -> None:
    """16384 bytes enter; one more is EIO with both numbers, and stops the batch."""
    tun = open_tun(bare=bare)
    longest = IPV4.ljust(16384, b"\0")
    with pytest.raises(DeviceError, match="dev0: packet is 16385 bytes, the driver takes 16384") as caught:
        tun.write_many([longest, longest + b"\0", IPV4])
    assert (caught.value.errno, caught.value.sent, stack_of(tun).entered) == (errno.EIO, 1, [longest])
    assert (tun.counters().dropped, tun.counts.ipackets) == ({"bad_size": 1}, 1)


@pytest.mark.parametrize(("ifhead", "most"), [(False, 20000), (True, 20004)])
def test_a_raised_mtu_raises_the_mru(ifhead: bool, most: int) -> None:
    """An interface whose mtu was raised above 16384 takes a packet of the mtu, the family not counted."""
    tun = open_tun(mtu=20000)
    tun.ifhead = ifhead
    longest = (HEAD_INET * ifhead + IPV4).ljust(most, b"\0")
    assert tun.write(longest) == most
    with pytest.raises(DeviceError, match=f"packet is {most + 1} bytes, the driver takes {most}"):
        tun.write(longest + b"\0")


@pytest.mark.parametrize("size", [1, 3])
def test_shorter_than_the_family(size: int) -> None:
    """With IFHEAD a write shorter than the family is ENOBUFS with both numbers, and stops the batch."""
    tun = open_tun()
    tun.ifhead = True
    with pytest.raises(DeviceError, match=f"dev0: {size} bytes, the family alone is 4") as caught:
        tun.write_many([HEAD_INET + IPV4, HEAD_INET[:size], HEAD_INET + IPV4])
    assert (caught.value.errno, caught.value.sent, stack_of(tun).entered) == (errno.ENOBUFS, 1, [IPV4])
    assert tun.counters().dropped == {"bad_size": 1}


def test_a_short_write_without_ifhead() -> None:
    """Without IFHEAD one byte is a packet."""
    tun = open_tun()
    assert tun.write(b"\x45") == 1


def test_the_family_alone() -> None:
    """With IFHEAD the family alone is an empty packet."""
    tun = open_tun()
    tun.ifhead = True
    assert tun.write(HEAD_INET6) == 4
    assert (stack_of(tun).entered, tun.counts.ipackets, tun.counts.ibytes) == ([b""], 1, 0)


def test_a_path_that_is_called_by_itself() -> None:
    """The input path drops what does not fit and goes on with the rest, also where no write checked before."""
    tun = open_tun(bare=True)
    assert list(tun.input([IPV4, IPV4.ljust(16385, b"\0"), b"", FOREIGN, IPV6])) == [IPV4, IPV6]
    assert tun.counters().dropped == {"bad_size": 1, "unsupported_family": 2}


# --- bpf ------------------------------------------------------------------------------------------


def test_bpf_by_the_version() -> None:
    """Under an endpoint packet filters see each packet's own family."""
    tun = open_tun(bare=True)
    capture = tun.bpf.attach()
    tun.write_many([IPV4, IPV6])
    families = [one.packet[:4] for one in capture.recv_many_nowait()]
    assert families == [number.to_bytes(4, sys.byteorder) for number in (2, 28)]


def test_bpf_sees_what_is_refused() -> None:
    """A packet filter sees the packet of another family, as family 0 where nothing tells it."""
    tun = open_tun(bare=True)
    capture = tun.bpf.attach()
    with pytest.raises(UnsupportedFamily):
        tun.write(FOREIGN)
    assert capture.recv_nowait().packet == bytes(4) + FOREIGN


# --- where it goes --------------------------------------------------------------------------------


def test_the_stack_is_told_the_interface() -> None:
    """The stack gets one batch, with the interface that it came through."""
    tun = open_tun(bare=True)
    batches: list[tuple[object, list[bytes]]] = []
    tun._stack = lambda interface, batch: batches.append((interface, batch))
    tun.write_many([IPV4, IPV6])
    assert batches == [(tun, [IPV4, IPV6])]


def test_an_error_is_not_repeated() -> None:
    """A packet refused before does not make the next write fail, nor one that a stage took out."""
    tun = open_tun(bare=True)
    with pytest.raises(UnsupportedFamily):
        tun.write(FOREIGN)
    tun.input.insert_before("size", lambda batch: (), name="hole")
    assert tun.write_many([IPV4, FOREIGN, IPV4]) == 2


@pytest.mark.parametrize("method", ["output", "output_packet"])
@pytest.mark.parametrize(("refused", "code"), [(IPV4.ljust(16385), errno.EIO), (FOREIGN, errno.EAFNOSUPPORT)])
def test_a_stack_that_answers_at_once(method: str, refused: bytes, code: int) -> None:
    """What becomes of a packet that the stack outputs while it takes input is no answer to the write."""
    tun = open_tun(bare=True, queue_length=1)
    tun.output([IPV4])

    def stack(interface: object, batch: list[bytes]) -> None:
        if method == "output":
            tun.output(batch)
        else:
            with pytest.raises(QueueFull):
                tun.output_packet(batch[0])

    tun._stack = stack
    with pytest.raises(DeviceError) as caught:
        tun.write_many([IPV4, refused])
    assert (caught.value.errno, caught.value.sent) == (code, 1)


def test_counted_before_the_stack_has_it() -> None:
    """ipackets and ibytes count before the stack gets the packets."""
    tun = open_tun(bare=True)
    counted: list[tuple[int, int]] = []

    def stack(interface: object, batch: Batch) -> None:
        assert isinstance(interface, Device)
        counted.append((interface.counts.ipackets, interface.counts.ibytes))

    tun._stack = stack
    tun.write_many([IPV4, IPV6])
    assert counted == [(2, 80)]
