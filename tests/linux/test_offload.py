"""The offload of a device: what the kernel grants, and how it is switched."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator

import pytest

from aiotun.endpoint.offload import ENVIRONMENT
from aiotun.linux import offload as module
from aiotun.linux.constants import IFF_VNET_HDR, INT, TUNSETOFFLOAD, TUNSETVNETHDRSZ
from aiotun.linux.offload import Offloading, own_header, own_offload, shared_header
from aiotun.linux.terms import Terms
from aiotun.linux.tunfile import TunFile
from aiotun.linux.tunopen import adopt_device, open_device

ALL = frozenset(("tso", "uso", "tcp_gro", "udp_gro"))
TUNNELS = ALL | {"tunnel"}
TSO = frozenset(("TUN_F_CSUM", "TUN_F_TSO4", "TUN_F_TSO6"))
USO = frozenset(("TUN_F_CSUM", "TUN_F_USO4", "TUN_F_USO6"))
TUNNEL = frozenset(("TUN_F_UDP_TUNNEL_GSO", "TUN_F_UDP_TUNNEL_GSO_CSUM"))
IN_TUNNELS = frozenset((0x21, 0x24, 0x25, 0x41, 0x44, 0x45))


# --- the kernel -----------------------------------------------------------------------------------


@pytest.fixture
def file() -> Iterator[TunFile]:
    opened = open_device("tun", "off%d", terms=Terms(offload=ALL))
    yield opened
    opened.close()


def offloading(file: TunFile) -> Offloading:
    assert file.offloading is not None
    return file.offloading


@pytest.mark.kernel
def test_all_is_granted(file: TunFile) -> None:
    """This kernel grants all there is: TCP and UDP both ways."""
    assert (offloading(file).features, offloading(file).flags) == (ALL, TSO | USO)
    assert not offloading(file).off


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("wanted", "flags"),
    [({"tso"}, TSO), ({"uso"}, USO), ({"tcp_gro"}, set()), (set(), set()), ({"tso", "udp_gro"}, TSO)],
)
def test_it_is_switched(file: TunFile, wanted: set[str], flags: set[str]) -> None:
    """What is wanted is what is on, and back again."""
    offloading(file).switch(file.fd, frozenset(wanted))
    assert (set(offloading(file).features), set(offloading(file).flags)) == (wanted, flags)
    offloading(file).switch(file.fd, ALL)
    assert offloading(file).features == ALL


def refusing(monkeypatch: pytest.MonkeyPatch, *masks: int) -> list[int]:
    """A kernel that answers EINVAL to a mask with one of these bits; return the masks that it was given."""
    asked: list[int] = []

    def ioctl(fd: int, request: int, argument: object) -> int:
        if request == TUNSETOFFLOAD and isinstance(argument, int):
            asked.append(argument)
            if any(argument & mask for mask in masks):
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return 0

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    return asked


def test_X11_a_kernel_without_uso(monkeypatch: pytest.MonkeyPatch) -> None:
    """X11: TCP is asked for first, so a kernel that refuses USO still grants that, and it is said why."""
    asked = refusing(monkeypatch, 0x60)
    offload = Offloading(10)
    offload.switch(0, ALL)
    assert (asked, offload.features, offload.flags) == ([0, 0x07, 0x67], ALL - {"uso"}, TSO)
    assert offload.off == dict.fromkeys(("TUN_F_USO4", "TUN_F_USO6"), "the kernel refuses it: EINVAL")


def test_a_kernel_without_tso(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that refuses TSO is asked for USO by itself."""
    asked = refusing(monkeypatch, 0x06)
    offload = Offloading(10)
    offload.switch(0, ALL)
    assert (asked, offload.features, offload.flags) == ([0, 0x07, 0x61], ALL - {"tso"}, USO)


def test_the_environment_is_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment switched off is off for that reason."""
    refusing(monkeypatch)
    monkeypatch.setenv(ENVIRONMENT, "-uso")
    offload = Offloading(10)
    offload.switch(0, ALL)
    assert offload.off == {"uso": "switched off by AIOTUN_OFFLOAD=-uso"}


@pytest.mark.parametrize(
    ("features", "cut"), [(ALL, set()), (ALL - {"tcp_gro"}, {1, 4}), (ALL - {"udp_gro"}, {5}), (set(), {1, 4, 5})]
)
def test_what_is_cut(monkeypatch: pytest.MonkeyPatch, features: set[str], cut: set[int]) -> None:
    """Super-packets of a kind that is off are cut before they are written, in tunnels those of all kinds."""
    refusing(monkeypatch)
    offload = Offloading(10)
    offload.switch(0, frozenset(features))
    assert offload.cut == cut | IN_TUNNELS


def test_what_is_refused_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal switches off its kind alone, and stays until it is switched on again."""
    refusing(monkeypatch)
    offload = Offloading(10)
    offload.switch(0, ALL)
    offload.refuse(5, "why")
    assert (offload.features, offload.cut) == (ALL - {"udp_gro"}, IN_TUNNELS | {5})
    assert offload.off == {"udp_gro": "why"}
    offload.switch(0, ALL)
    assert (offload.features, offload.off) == (ALL, {})


def test_tunnels_are_asked_for_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the header for it, tunnels are the third step, and their super-packets are written in one piece."""
    asked = refusing(monkeypatch)
    offload = Offloading(24)
    offload.switch(0, TUNNELS)
    assert (asked, offload.features, offload.flags) == ([0, 0x07, 0x67, 0x1E7], TUNNELS, TSO | USO | TUNNEL)
    assert not offload.cut | offload.unwanted
    assert not offload.off


def test_X11_a_kernel_without_tunnels(monkeypatch: pytest.MonkeyPatch) -> None:
    """X11: a kernel before 6.17 refuses tunnels; all else stays, the header is the short one, and it is said why."""
    asked = refusing(monkeypatch, 0x180)
    sizes: list[int] = []

    def own(fd: int, size: int = 10) -> int:
        sizes.append(size)
        return size

    monkeypatch.setattr(module, "own_header", own)
    offload = own_offload(0, TUNNELS)
    assert (asked, offload.features, offload.flags) == ([0, 0x07, 0x67, 0x1E7], ALL, TSO | USO)
    assert (sizes, offload.header, offload.cut) == ([24, 10], 10, IN_TUNNELS)
    assert offload.off == dict.fromkeys(TUNNEL, "the kernel refuses it: EINVAL")


def test_tunnels_without_uso(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where USO is refused tunnels are asked for with TSO alone."""
    asked = refusing(monkeypatch, 0x60)
    offload = Offloading(24)
    offload.switch(0, TUNNELS)
    assert (asked[-1], offload.features) == (0x187, TUNNELS - {"uso"})


@pytest.mark.parametrize(
    ("features", "unwanted"),
    [
        ({"tso", "uso"}, IN_TUNNELS),
        ({"uso", "tunnel"}, IN_TUNNELS | {1, 4}),
        (set(), IN_TUNNELS | {1, 4}),
        ({"tso", "tunnel"}, set()),
    ],
)
def test_tunnels_are_never_switched_off(
    monkeypatch: pytest.MonkeyPatch, features: set[str], unwanted: set[int]
) -> None:
    """The kernel goes on to grant tunnels, with what they rest on; what is off is to be cut by who reads."""
    asked = refusing(monkeypatch)
    offload = Offloading(24)
    offload.switch(0, TUNNELS)
    del asked[:]
    offload.switch(0, frozenset(features))
    assert all(mask & 0x187 == 0x187 for mask in asked)
    assert (set(offload.features), set(offload.unwanted)) == (
        features - ({"tunnel"} if "tso" not in features else set()),
        unwanted,
    )


def test_a_refusal_in_a_tunnel(monkeypatch: pytest.MonkeyPatch) -> None:
    """One in a tunnel that is refused is cut from then on; what is read stays as it is."""
    refusing(monkeypatch)
    offload = Offloading(24)
    offload.switch(0, TUNNELS)
    offload.refuse(0x25, "why")
    assert (offload.features, set(offload.cut), dict(offload.off)) == (TUNNELS, {0x25}, {})


# --- devices that were there before ---------------------------------------------------------------


@pytest.mark.kernel
def test_an_adopted_device_keeps_its_header() -> None:
    """The header's size, on which other queues may count, is asked and not set."""
    opened = open_device("tun", "off%d", terms=Terms(offload=ALL))
    fcntl.ioctl(opened.fd, TUNSETVNETHDRSZ, INT.pack(12))
    adopted = adopt_device(opened.detach(), "tun")
    try:
        assert (offloading(adopted).header, offloading(adopted).features) == (12, ALL)
    finally:
        adopted.close()


@pytest.mark.kernel
def test_an_earlier_holders_header() -> None:
    """A device opened by name gets the header of 10 bytes, whatever an earlier holder left."""
    opened = open_device("tun", "off%d", terms=Terms(offload=ALL))
    try:
        fcntl.ioctl(opened.fd, TUNSETVNETHDRSZ, INT.pack(12))
        assert own_header(opened.fd) == 10
        assert shared_header(opened.fd) == 10
    finally:
        opened.close()


@pytest.mark.kernel
@pytest.mark.parametrize("offload", [ALL, frozenset[str]()])
def test_the_vnet_header_is_there_if_asked_for(offload: frozenset[str]) -> None:
    """A device has a vnet header where there is offload, and only there."""
    opened = open_device("tun", "off%d", terms=Terms(offload=offload))
    try:
        assert bool(opened.granted & IFF_VNET_HDR) == bool(offload) == (opened.offloading is not None)
    finally:
        opened.close()


@pytest.mark.kernel
def test_X22_an_opening_that_fails_leaves_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    """X22: where the offload cannot be set the device is closed, and its name is free again."""
    before = sorted(os.listdir("/proc/self/fd"))

    def refuse(self: Offloading, fd: int, wanted: frozenset[str]) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(Offloading, "switch", refuse)
    with pytest.raises(OSError, match="Invalid argument"):
        open_device("tun", "off0", terms=Terms(offload=ALL))
    assert sorted(os.listdir("/proc/self/fd")) == before
    assert not os.path.exists("/sys/class/net/off0")


@pytest.mark.kernel
def test_X22_no_program_inherits_the_descriptor(file: TunFile) -> None:
    """X22: the descriptor is close-on-exec."""
    assert not os.get_inheritable(file.fd)
