"""The device nodes of an in-process host: ``/dev/tun``, ``/dev/tun0``, ``/dev/tap``, ``/dev/tap4``."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator, Mapping

from ..driver import Credentials, DeviceNode, TapDevice, TunDevice, Units
from ..driver.tun import check_root
from ..errors import DeviceGone

__all__ = ["AnyDevice", "DevFs"]

AnyDevice = TunDevice | TapDevice

TUN_PREALLOCATED_UNITS = 4
TAP_CLONER = 0xFFFFF
"""The minor number of the node that makes a tap."""

_TAP = re.compile(r"tap(0|[1-9][0-9]*)")


class DevFs(Mapping[str, DeviceNode[AnyDevice]]):
    """
    The nodes by name; opening one gives a device to read, write and close.

    ============ ====================================================================================
    ``tun``      takes the next free unit, makes its node and opens it; the unit stays taken
    ``tun0``...  opens that unit, and makes its interface at the first open, which outlives the close
    ``tap``      makes an interface with the next free number, which dies with the close
    ``tap0``...  opens that interface, which must be there
    ============ ====================================================================================

    Args:
        interfaces: The interfaces of the host, by name.
        create: Makes an interface: ``create("tap4")``, or with the next free number, ``create("tap")``.

    Modelled on tunattach() and tunclone() in DragonFly if_tun.c, tap_cdev_open() and tap_dev_cloner() in
    NetBSD if_tap.c.
    """

    def __init__(self, interfaces: Mapping[str, AnyDevice], create: Callable[[str], AnyDevice]) -> None:
        self._interfaces = interfaces
        self._create = create
        self._tuns = Units("tun")
        for unit in range(TUN_PREALLOCATED_UNITS):
            self._tuns.set(unit)
        self._cloned = TUN_PREALLOCATED_UNITS

    def __getitem__(self, name: str) -> DeviceNode[AnyDevice]:
        if name == "tun":
            return DeviceNode(name=name, minor=self._tuns.limit, opens=self._clone_tun)
        if name == "tap":
            return DeviceNode(
                name=name, minor=TAP_CLONER, opens=self._clone_tap, owner="root", group="wheel", mode=0o600
            )
        if name in self._tun_names():
            return DeviceNode(name=name, minor=int(name[3:]), opens=lambda who: self._open_tun(name, who))
        if _TAP.fullmatch(name):
            return DeviceNode(
                name=name,
                minor=int(name[3:]),
                opens=lambda who: self._open_tap(name, who),
                owner="root",
                group="wheel",
                mode=0o600,
            )
        raise KeyError(f"{name}: no such device node; there are {', '.join(self)}")

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names: the cloning nodes, the units of tun, and the taps there are."""
        yield from ("tun", "tap", *self._tun_names())
        yield from (name for name in self._interfaces if _TAP.fullmatch(name))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _tun_names(self) -> list[str]:
        return [f"tun{unit}" for unit in range(self._cloned) if unit in self._tuns]

    def _clone_tun(self, who: Credentials) -> AnyDevice:
        check_root("tun", who)  # before a unit is taken
        unit = self._tuns.get()
        while f"tun{unit}" in self._interfaces:  # somebody made it without a node
            unit = self._tuns.get()
        self._cloned = unit + 1
        return self._open_tun(f"tun{unit}", who)

    def _open_tun(self, name: str, who: Credentials) -> AnyDevice:
        check_root(name, who)  # before the interface is made
        device = self._interfaces.get(name) or self._create(name)
        device.open(who)
        return device

    def _clone_tap(self, who: Credentials) -> AnyDevice:
        device = self._create("tap")
        device.dies_with_close = True
        device.open(who)
        return device

    def _open_tap(self, name: str, who: Credentials) -> AnyDevice:
        device = self._interfaces.get(name)
        if device is None:
            raise DeviceGone(f'{name}: no such interface; make it with host.create("{name}")', errno.ENXIO)
        device.open(who)
        return device
