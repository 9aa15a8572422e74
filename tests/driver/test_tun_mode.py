"""What stands in front of a packet at a tun, and which packets are IP's."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotun.driver import TunDevice
from aiotun.driver.tun_mode import HEAD, OF_VERSION, all_ip
from aiotun.errors import DeviceError

from .fakes import FOREIGN, IPV4, IPV6, open_tun, stack_of

PACKETS = st.lists(
    st.sampled_from([IPV4, IPV6, FOREIGN, b"", b"\x45", b"\0\0\0\2" + IPV4, b"\0\0\0\x1c" + IPV6, IPV4.ljust(1501)]),
    max_size=8,
)
MODES = st.sampled_from(["default", "bare", "ifhead", "lmode"])


def in_mode(mode: str) -> TunDevice:
    tun = open_tun(queue_length=5)
    if mode != "default":
        setattr(tun, mode, True)
    return tun


@pytest.mark.parametrize("first", range(256))
def test_what_is_ip(first: int) -> None:
    """A packet is IP's if the first nibble is 4 or 6; one that is not is enough to say no."""
    packet = bytes([first, 1, 2])
    assert all_ip([IPV4, packet, IPV6]) is (first >> 4 in (4, 6))


def test_nothing_is_not_ip() -> None:
    """An empty packet is not IP's; of no packets all are."""
    assert (all_ip([IPV4, b""]), all_ip([])) == (False, True)


def test_the_families() -> None:
    """The family stands in 4 bytes, and has the numbers of the BSDs."""
    assert (HEAD, OF_VERSION) == (4, {4: 2, 6: 28})


@pytest.mark.parametrize(
    ("ifhead", "bare", "head"), [(True, False, True), (True, True, False), (False, False, False), (False, True, False)]
)
def test_with_head(ifhead: bool, bare: bool, head: bool) -> None:
    """The family stands in front with IFHEAD, but not under an endpoint."""
    tun = open_tun(bare=bare)
    tun.ifhead = ifhead
    assert tun.with_head is head


def test_short() -> None:
    """The error for a packet shorter than its family has both numbers, and ENOBUFS."""
    error = open_tun().short(b"abc")
    assert (type(error), str(error), error.errno) == (
        DeviceError,
        "dev0: 3 bytes, the family alone is 4",
        errno.ENOBUFS,
    )


@given(batch=PACKETS, mode=MODES)
def test_a_batch_is_output_as_its_packets_are(batch: list[bytes], mode: str) -> None:
    """In every mode a batch gives the same packets and counters as its packets one by one, and none is lost."""
    whole, single = in_mode(mode), in_mode(mode)
    whole.output(batch)
    for packet in batch:
        single.output([packet])
    assert (whole.counts, whole.counters()) == (single.counts, single.counters())
    assert len(batch) == len(whole.snd) + sum(whole.counters().dropped.values())
    assert whole.read_many(9) == single.read_many(9)


@given(batch=PACKETS, mode=MODES)
def test_a_batch_is_written_as_its_packets_are(batch: list[bytes], mode: str) -> None:
    """In every mode a batch enters as its packets one by one do, up to the first that is refused."""
    whole, single = in_mode(mode), in_mode(mode)
    answers: list[tuple[object, str]] = []
    writes: list[Callable[[], int]] = [lambda: whole.write_many(batch), lambda: one_by_one(single, batch)]
    for write in writes:
        try:
            answers.append((write(), ""))
        except DeviceError as error:
            answers.append((error.sent, str(error)))
    assert answers[0] == answers[1]
    assert (whole.counts, whole.counters()) == (single.counts, single.counters())
    assert stack_of(whole).entered == stack_of(single).entered


def one_by_one(tun: TunDevice, batch: list[bytes]) -> int:
    for index, packet in enumerate(batch):
        try:
            tun.write(packet)
        except DeviceError as error:
            error.sent = index
            raise
    return len(batch)
