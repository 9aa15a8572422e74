"""What a device has, and why it lacks the rest."""

from __future__ import annotations

import os

import pytest

from aiotun import Capabilities
from aiotun.linux.capabilities import OFFLOADS, OPTIONAL, SINCE, device_capabilities, kernel_features

PLAIN = frozenset({"IFF_TUN", "IFF_NO_PI"})
ALL = PLAIN | {"IFF_MULTI_QUEUE", "IFF_NAPI", "IFF_NAPI_FRAGS", "IFF_NO_CARRIER", "IFF_VNET_HDR"}


def off(
    *,
    asked: frozenset[str] = PLAIN,
    granted: frozenset[str] = PLAIN,
    features: frozenset[str] = ALL,
    probe: Capabilities | None = None,
) -> dict[str, str]:
    found = device_capabilities(asked=asked, granted=granted, features=features, probe=probe)
    return dict(found.off)


def test_what_was_not_asked_for() -> None:
    """A flag the kernel knows and nobody wanted is off for that reason."""
    assert off()["IFF_MULTI_QUEUE"] == "not asked for"


def test_what_was_granted_is_not_off() -> None:
    """A flag the device has is not listed."""
    granted = PLAIN | {"IFF_NAPI"}
    assert "IFF_NAPI" not in off(asked=granted, granted=granted)


def test_what_the_kernel_does_not_know() -> None:
    """A flag the driver does not offer could not be had."""
    assert off(features=ALL - {"IFF_NO_CARRIER"})["IFF_NO_CARRIER"] == "the kernel does not know it"


def test_a_driver_that_may_not_be_asked_knows_all() -> None:
    """Without the driver's word nothing is said to be unknown."""
    assert set(off(features=frozenset()).values()) == {"not asked for", "needs IFF_VNET_HDR, which was not asked for"}


def test_offloads_need_a_header() -> None:
    """Without IFF_VNET_HDR no offload can be had; with it, it was only not asked for."""
    assert off()["TUN_F_TSO4"] == "needs IFF_VNET_HDR, which was not asked for"
    granted = PLAIN | {"IFF_VNET_HDR"}
    assert off(asked=granted, granted=granted)["TUN_F_TSO4"] == "not asked for"


def test_an_offload_that_was_refused() -> None:
    """One that was asked for and not granted was refused."""
    asked = PLAIN | {"IFF_VNET_HDR", "TUN_F_USO4"}
    assert off(asked=asked, granted=asked - {"TUN_F_USO4"})["TUN_F_USO4"] == "the kernel refused it"


def test_a_probe_knows_better() -> None:
    """What the kernel was found to refuse is off for that reason, and what works is told."""
    probe = Capabilities(probed=frozenset({"TUN_F_CSUM"}), off={"TUN_F_USO4": "EINVAL"})
    found = device_capabilities(asked=PLAIN, granted=PLAIN, features=ALL, probe=probe)
    assert (found.off["TUN_F_USO4"], set(found.probed)) == ("EINVAL", {"TUN_F_CSUM"})


def test_every_choice_has_its_say() -> None:
    """Each flag that is a choice and each offload is either granted or off."""
    names = {name for offload in OFFLOADS for name in offload.names}
    assert len(off()) == len(OPTIONAL) + len(names)
    assert set(SINCE) - {"IFF_NO_CARRIER"} <= names


@pytest.mark.kernel
def test_a_descriptor_without_features() -> None:
    """What is no tun has no features, and no error."""
    fd = os.open("/dev/null", os.O_RDONLY)
    try:
        assert kernel_features(fd) == frozenset()
    finally:
        os.close(fd)


@pytest.mark.kernel
def test_the_kernels_features() -> None:
    """The driver knows tun and tap, several queues and the vnet header; before a device is attached, too."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    try:
        assert {"IFF_TUN", "IFF_TAP", "IFF_NO_PI", "IFF_MULTI_QUEUE", "IFF_VNET_HDR"} <= kernel_features(fd)
    finally:
        os.close(fd)
