"""What ethtool's ioctls tell of a device."""

from __future__ import annotations

import fcntl
import socket

import pytest

from aiotun.linux.constants import TUNSETOFFLOAD
from aiotun.linux.ethtool import active_features
from aiotun.linux.terms import Terms
from aiotun.linux.tunopen import open_device

pytestmark = pytest.mark.kernel

CSUM, TSO4, TSO6, USO = "tx-checksum-ip-generic", "tx-tcp-segmentation", "tx-tcp6-segmentation", "tx-udp-segmentation"


@pytest.mark.parametrize(
    ("mask", "expected"),
    [(0, set()), (0x01, {CSUM}), (0x07, {CSUM, TSO4, TSO6}), (0x61, {CSUM, USO}), (0x67, {CSUM, TSO4, TSO6, USO})],
)
def test_the_mask_of_the_device(mask: int, expected: set[str]) -> None:
    """The features that TUNSETOFFLOAD switched on are those that are told."""
    file = open_device("tun", "eth%d", terms=Terms(offload=frozenset({"tso"})))
    try:
        fcntl.ioctl(file.fd, TUNSETOFFLOAD, mask)
        assert active_features(socket.socket, file.interface()[0]) & {CSUM, TSO4, TSO6, USO} == expected
    finally:
        file.close()


def test_no_such_interface() -> None:
    """An interface there is not is an error."""
    with pytest.raises(OSError, match="No such device"):
        active_features(socket.socket, "nosuch0")
