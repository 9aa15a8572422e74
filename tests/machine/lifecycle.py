"""Actions that make, open, close and delete interfaces."""

from __future__ import annotations

import errno
from typing import Any

from .core import DEVICES, MTUS, NODES, UIDS, Core, action, address_of
from .device import ModelDevice
from .model import ModelEndpoint
from .pair import answer, expected
from .paths import Refused
from .queues import Plain

__all__ = ["Lifecycle"]

NAMES = ("tun", "tap", "tun0", "tap0", "tun1", "tap1", "tun7", "tap7", "tun4", "eth0", "tap1048575")
TEMPLATES = ("tun%d", "tap%d", "tun0", "tap0", "tun1", "tap7")


class Lifecycle(Core):
    """Actions that make, open, close and delete interfaces."""

    @action(2, name=len(NAMES))
    def create(self, name: int) -> None:
        if self._full():
            return
        wanted = NAMES[name]
        real = answer(lambda: self.host.create(wanted))
        self._made(real, expected(lambda: self.model.create(wanted)))

    @action(1, which=DEVICES)
    def destroy(self, which: int) -> None:
        name = self._pair(which).model.name
        self._both(lambda: self.host.destroy(name), lambda: self.model.interface(name).destroy())

    @action(4, name=len(NODES), uid=len(UIDS))
    def open_node(self, name: int, uid: int) -> None:
        self.node(name, uid)

    @action(4, name=len(TEMPLATES), mtu=8, address=2, up=4, down=4)
    def open_endpoint(self, name: int, mtu: int, address: int, up: int, down: int) -> None:
        """Open by host.open_tun() or host.open_tap()."""
        template = TEMPLATES[name]
        kind = template[:3]
        wanted = self.model.free_name(kind) if "%" in template else template
        there = self.model.devices.get(wanted)
        if self._full() and there is None:
            return
        size = MTUS[mtu] if mtu < len(MTUS) else None
        given = [address_of(kind, wanted, 0)] if address else []
        opening = self.host.open_tun if kind == "tun" else self.host.open_tap
        when_down = "raise" if down == 0 else "wait"

        def model() -> ModelDevice:
            if there is not None and there.open:
                raise Refused("DeviceBusy", errno.EBUSY)
            device = there or ModelDevice(self.model, kind, wanted, 4, dies=True)
            if size is not None:
                device.set_mtu(size)
            if there is not None:
                device.requeue(Plain(4, device.header))
            for one in given:
                device.add_address(one)
            if there is None:
                self.model.devices[wanted] = device
                device.events.clear()
            if up:
                device.set_up(True)
            if there is None:
                device.events.clear()
            device.open_it()
            device.bare = True
            return device

        if there is not None:
            self._enable(self._pair_of(there))

        async def opened() -> Any:
            return await opening(template, mtu=size, address=given, queue_length=4, up=bool(up), when_down=when_down)  # type: ignore[arg-type]

        real = answer(lambda: self.loop.run(opened()))
        ours = expected(model)
        assert (real[0], real[1:] if real[0] == "raised" else 0) == (ours[0], ours[1:] if ours[0] == "raised" else 0)
        if real[0] == "returned":
            pair = self._pair_of(there) if there else self._add(self.host.interfaces[wanted], ours[1])
            pair.endpoint = real[1]
            pair.model_endpoint = ModelEndpoint(pair.model, raises_down=down == 0)

    @action(2, which=DEVICES)
    def close(self, which: int) -> None:
        pair = self._pair(which)
        if pair.endpoint is not None and pair.model_endpoint is not None:
            self.loop.run(pair.endpoint.aclose())
            pair.model_endpoint.close()
            if pair.reader is not None:
                self._read_on(pair)
            if pair.model.loose:
                self._sync_endpoint(pair)
            pair.endpoint = pair.model_endpoint = None
        else:
            self._both(pair.real.close, pair.model.close)
