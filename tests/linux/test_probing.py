"""Trying what a kernel can do: what works, what is refused and why, and that nothing is left of it."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

import aiotun
from aiotun.errors import DeviceError
from aiotun.linux import probing
from aiotun.linux.constants import IFREQ, TUNSETIFF, TUNSETOFFLOAD
from aiotun.linux.kept import KeptNamespace
from aiotun.linux.origin import HERE
from aiotun.linux.probing import known_probe, probe_now, probe_origin, shortfall


@pytest.fixture(autouse=True)
def unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what was found out before."""
    monkeypatch.setattr(probing, "_known", None)


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Have the kernel refuse some ioctls: by request, and by a bit of its argument."""
    ioctl = fcntl.ioctl
    refused: dict[int, tuple[int, int]] = {}

    def call(fd: int, request: int, argument: Any = 0) -> Any:
        mask, code = refused.get(request, (0, 0))
        value = IFREQ.unpack(argument)[1] if request == TUNSETIFF else argument
        if mask and (not isinstance(value, int) or value & mask):
            raise OSError(code, os.strerror(code))
        return ioctl(fd, request, argument)

    monkeypatch.setattr(fcntl, "ioctl", call)
    yield refused


@pytest.mark.parametrize(
    ("release", "said"),
    [
        ("5.15.0-91-generic", "the kernel refuses it: EINVAL; it needs Linux 6.2, this is 5.15.0-91-generic"),
        ("6.1.9", "the kernel refuses it: EINVAL; it needs Linux 6.2, this is 6.1.9"),
        ("6.2.0", "the kernel refuses it: EINVAL"),
        ("10.0", "the kernel refuses it: EINVAL"),
        ("odd", "the kernel refuses it: EINVAL"),
    ],
)
def test_an_old_kernel_is_told_which_has_it(release: str, said: str) -> None:
    """The reason says which Linux began to have it, if that is what is wrong."""
    assert shortfall("TUN_F_USO4", errno.EINVAL, release) == said


def test_a_missing_privilege_is_no_missing_feature() -> None:
    """EPERM speaks of the user, not of the kernel."""
    assert shortfall("IFF_NAPI_FRAGS", errno.EPERM, "6.1") == (
        "not allowed (EPERM): it takes CAP_NET_ADMIN in the machine's own user namespace"
    )


def test_an_errno_without_a_name() -> None:
    """An errno nobody named is a number."""
    assert shortfall("TUN_F_CSUM", 524, "6.1") == "the kernel refuses it: 524"


@pytest.mark.kernel
def test_what_every_kernel_does() -> None:
    """Checksums, TCP segments, several queues and the header's sizes work on every kernel in use."""
    found = probe_origin(HERE)
    assert {
        "TUN_F_CSUM",
        "TUN_F_TSO4",
        "TUN_F_TSO6",
        "IFF_MULTI_QUEUE",
        "IFF_VNET_HDR",
        "TUNSETVNETHDRSZ",
    } <= found.probed
    assert "IFF_TUN" in found.features


@pytest.mark.kernel
def test_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scratch devices are gone, in this network as well."""
    before = socket.if_nameindex()
    probe_origin(HERE)
    assert socket.if_nameindex() == before


@pytest.mark.kernel
def test_a_refused_offload_is_told(refusing: dict[int, tuple[int, int]]) -> None:
    """USO that the kernel refuses is off with its errno; what it does not refuse works."""
    refusing[TUNSETOFFLOAD] = (0x60, errno.EINVAL)
    found = probe_origin(HERE)
    assert {"TUN_F_CSUM", "TUN_F_TSO4"} <= found.probed
    assert {name for name, why in found.off.items() if "EINVAL" in why} == {"TUN_F_USO4", "TUN_F_USO6"}


@pytest.mark.kernel
def test_a_kernel_without_a_flag(refusing: dict[int, tuple[int, int]]) -> None:
    """A kernel that refuses IFF_MULTI_QUEUE still tells the rest, from a plainer scratch device."""
    refusing[TUNSETIFF] = (0x0100, errno.EINVAL)
    found = probe_origin(HERE)
    assert "IFF_MULTI_QUEUE" in found.off
    assert {"TUN_F_CSUM", "IFF_VNET_HDR"} <= found.probed


@pytest.mark.kernel
def test_who_may_have_no_device_may_not_probe(refusing: dict[int, tuple[int, int]]) -> None:
    """Without CAP_NET_ADMIN it is a PermissionError with the remedy."""
    refusing[TUNSETIFF] = (0xFFFF, errno.EPERM)
    with pytest.raises(PermissionError, match="it takes CAP_NET_ADMIN"):
        probe_origin(HERE)


@pytest.mark.kernel
def test_without_a_private_network_this_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who may have no namespace may still have a device."""

    def refuse() -> KeptNamespace:
        raise DeviceError("no namespace", errno.ENOSPC)

    monkeypatch.setattr(KeptNamespace, "start", refuse)
    assert "TUN_F_CSUM" in probe_now().probed


@pytest.mark.kernel
async def test_it_is_found_out_once_and_told_to_who_opens_later() -> None:
    """Before probe() an endpoint knows nothing of it; afterwards those that are opened do."""
    async with aiotun.open_tun("before7") as tun:
        assert (known_probe(), tun.capabilities.probed) == (None, frozenset())
    found = await aiotun.probe()
    assert await aiotun.probe() is found is known_probe()
    async with aiotun.open_tun("after7") as tun:
        assert "TUN_F_CSUM" in tun.capabilities.probed
        assert tun.capabilities.off["IFF_NAPI"] == "not asked for"
        assert tun.capabilities.features == found.features
