"""The host of the model: its interfaces, device nodes, protocols and stack; and the endpoints on its interfaces."""

from __future__ import annotations

import errno
from collections import Counter
from fractions import Fraction
from ipaddress import ip_address

from .device import BLOCKED, DOWN, INET, INET6, ModelDevice
from .packets import BROADCAST, IPX
from .paths import Refused

__all__ = ["ModelEndpoint", "ModelHost", "ModelProtocol"]


class ModelProtocol:
    """The queue of one family."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.packets: list[bytes] = []
        self.offered = self.taken = self.full = 0

    def offer(self, packet: bytes) -> bool:
        self.offered += 1
        if len(self.packets) >= self.limit:
            self.full += 1
            return False
        self.packets.append(packet)
        return True


class ModelEndpoint:
    """What holds a device open for a program, or its network side."""

    def __init__(self, device: ModelDevice, raises_down: bool = False) -> None:
        self.device = device
        self.raises_down = raises_down
        self.held: list[bytes] = []
        self.taken = self.sent = self.sent_bytes = self.dropped = 0
        self.closed = False

    def check(self, packet: bytes) -> None:
        """What an endpoint refuses by itself."""
        device = self.device
        if device.tun:
            least = {4: 20, 6: 40}.get(packet[0] >> 4) if packet else 1
            if least is None:
                raise Refused("UnsupportedFamily", errno.EAFNOSUPPORT)
            if len(packet) < least:
                raise Refused("PacketError")
            size = len(packet)
        else:
            if len(packet) < 14:
                raise Refused("PacketError")
            size = len(packet) - device.link_header(packet)
        if size > device.mtu:
            raise Refused("PacketTooBig", errno.EMSGSIZE)

    def send(self, packets: list[bytes]) -> int:
        if self.closed:
            raise Refused("DeviceClosed")
        device = self.device
        sizes = [len(packet) for packet in packets]
        if packets and (min(sizes) < (40 if device.tun else 14) or max(sizes) > device.mtu + device.header):
            for packet in packets:  # else the device alone looks into them
                self.check(packet)
        sent = 0
        try:
            sent = device.write_many(packets)
        except Refused as refused:
            sent = refused.sent
            raise
        finally:
            self.sent += sent
            self.sent_bytes += sum(map(len, packets[:sent]))
        return sent

    def read(self, limit: int) -> list[bytes]:
        """From the device, [] if there is nothing."""
        batch = self.device.read_many(limit)
        self.taken += len(batch)
        return batch

    def recv_many(self, limit: int) -> list[bytes]:
        if self.held:
            out, self.held = self.held[:limit], self.held[limit:]
            return out
        if self.closed:
            raise Refused("DeviceClosed")
        batch = self.read(limit)
        if not batch:
            if self.raises_down and not self.device.up:
                raise DOWN
            raise BLOCKED
        return batch

    def close(self) -> None:
        if self.closed:
            return
        self.dropped += len(self.held)
        self.held = []
        if self.device.up and not self.device.loose:
            while batch := self.read(64):
                self.dropped += len(batch)
        self.closed = True
        self.device.close()


class ModelHost:
    """Interfaces by name, and whatever is not of one interface."""

    SIDE_QUEUE = 8

    def __init__(self, now: float) -> None:
        self.now = Fraction(now)
        self.devices: dict[str, ModelDevice] = {}
        self.units = {0, 1, 2, 3}
        self.cloned = 4
        self.protocols: dict[int, ModelProtocol] = {}
        self.debug = 0
        self.received = self.delivered = 0
        self.stack_dropped: Counter[str] = Counter()

    def forget(self, device: ModelDevice) -> None:
        del self.devices[device.name]

    def free_name(self, kind: str) -> str:
        unit = 0
        while f"{kind}{unit}" in self.devices:
            unit += 1
        return f"{kind}{unit}"

    def create(self, name: str, *, queue_length: int = 50, dies: bool = False) -> ModelDevice:
        if name in ("tun", "tap"):
            name = self.free_name(name)
        kind = name.rstrip("0123456789")
        if kind not in ("tun", "tap"):
            raise Refused("DeviceError", errno.EINVAL)
        if int(name[3:]) >= 0xFFFFF:
            raise Refused("DeviceError", errno.ENXIO)
        if name in self.devices:
            raise Refused("DeviceBusy", errno.EEXIST)
        self.devices[name] = ModelDevice(self, kind, name, queue_length, dies=dies)
        return self.devices[name]

    def interface(self, name: str) -> ModelDevice:
        if name not in self.devices:
            raise Refused("DeviceGone", errno.ENODEV)
        return self.devices[name]

    def open_node(self, name: str, uid: int) -> ModelDevice:
        """Open what is under /dev; only the numbers 0 (root), 66 (uucp) and others are known here."""
        node_of_tun = name == "tun" or (
            name[:3] == "tun" and int(name[3:]) < self.cloned and int(name[3:]) in self.units
        )
        if not node_of_tun and name[:3] != "tap":
            raise Refused("KeyError")
        if uid and not (node_of_tun and uid == 66):
            raise Refused("PermissionError", errno.EACCES)
        if uid:
            raise Refused("PermissionError", errno.EPERM)
        if name == "tun":
            unit = 0
            while unit in self.units or f"tun{unit}" in self.devices:
                self.units.add(unit)
                unit += 1
            self.units.add(unit)
            self.cloned = unit + 1
            name = f"tun{unit}"
        if name == "tap":
            device = self.create("tap", dies=True)
        elif name[:3] == "tap" and name not in self.devices:
            raise Refused("DeviceGone", errno.ENXIO)
        else:
            device = self.devices.get(name) or self.create(name)
        device.open_it()
        return device

    # --- the stack --------------------------------------------------------------------------------

    def protocol_input(self, device: ModelDevice, family: int, packets: list[bytes], *, stack: bool = False) -> None:
        for packet in packets:
            protocol = self.protocols.get(family)
            reason = "no_protocol" if protocol is None else "input_queue_full"
            if protocol is not None and protocol.offer(packet):
                self.delivered += stack
            else:
                device.dropped[reason] += 1
                self.stack_dropped[reason] += stack

    def stack_input(self, device: ModelDevice, packets: list[bytes]) -> None:
        self.received += len(packets)
        found: dict[int, list[bytes]] = {INET: [], INET6: [], IPX: []}
        for packet in packets:
            family: int | str = tun_family(packet) if device.tun else tap_family(device.mac, packet)
            if isinstance(family, str):
                device.dropped[family] += 1
                self.stack_dropped[family] += 1
            else:
                found[family].append(whole(packet) if device.tun else payload(packet))
        for family, batch in found.items():
            self.protocol_input(device, family, batch, stack=True)

    def send(self, packet: bytes) -> None:
        """Send by the route; destinations on taps are not asked for."""
        try:
            self._send(packet)
        except Refused as refused:
            self.stack_dropped[refused.reason or "fault"] += 1
            raise

    def _send(self, packet: bytes) -> None:
        version = packet[0] >> 4
        target = ip_address(packet[16:20] if version == 4 else packet[24:40])
        for device in self.devices.values():
            if any(address.ip == target for address in device.addresses):
                self.received += 1
                self.protocol_input(device, INET if version == 4 else INET6, [packet], stack=True)
                return
        for device in self.devices.values():
            if any(target in address.network for address in device.addresses):
                if len(packet) > device.mtu:
                    raise Refused("PacketTooBig", errno.EMSGSIZE, "too_big")
                if not device.up:
                    raise DOWN
                device.refusal = None
                if not device.output([packet]):
                    refused = device.refusal or Refused("Filtered", errno.EPERM)
                    raise Refused(refused.kind, refused.code, REASONS[refused.kind])
                return
        raise Refused("NoRoute", errno.ENETUNREACH, "no_route")


REASONS = {
    "Filtered": "filtered",
    "PacketTooBig": "too_big",
    "QueueFull": "queue_full",
    "UnsupportedFamily": "unsupported_family",
    "DeviceError": "refused",
}
"""What the stack counts a refused packet under, by the error's class."""


def tun_family(packet: bytes) -> int | str:
    """What ip_input() and ip6_input() make of a packet: a family, or the reason to drop it."""
    version = packet[0] >> 4 if packet else 4
    if version not in (4, 6):
        return "unsupported_family"
    least = 20 if version == 4 else 40
    if len(packet) < least:
        return "short_header"
    return (INET if version == 4 else INET6) if least <= len_said(packet) <= len(packet) else "bad_length"


def len_said(packet: bytes) -> int:
    return int.from_bytes(packet[2:4], "big") if packet[0] >> 4 == 4 else 40 + int.from_bytes(packet[4:6], "big")


def whole(packet: bytes) -> bytes:
    return packet[: len_said(packet)]


def tap_family(mac: bytes, frame: bytes) -> int | str:
    """What ether_input() makes of a frame: a family, or the reason to drop it."""
    if len(frame) < 14:
        return "short_header"
    if frame[:6] != BROADCAST and frame[:6] != mac:
        return "not_for_us"
    if frame[6] & 1:
        return "bad_source"
    kind, packet = frame[12:14], frame[14:]
    if kind == b"\x08\0":
        if len(packet) < 20:
            return "short_header"
        if packet[0] >> 4 != 4:
            return "bad_version"
        total = int.from_bytes(packet[2:4], "big")
        return INET if 20 <= total <= len(packet) else "bad_length"
    if kind == b"\x86\xdd":
        if len(packet) < 40:
            return "short_header"
        if packet[0] >> 4 != 6:
            return "bad_version"
        return INET6 if 40 + int.from_bytes(packet[4:6], "big") <= len(packet) else "bad_length"
    if kind == b"\x81\x37":
        return IPX
    return "vlan" if kind in (b"\x81\0", b"\x88\xa8") else "unsupported_family"


def payload(frame: bytes) -> bytes:
    """The packet in a frame, without padding where its header tells."""
    packet = frame[14:]
    if frame[12:14] == b"\x08\0":
        return packet[: int.from_bytes(packet[2:4], "big")]
    if frame[12:14] == b"\x86\xdd":
        return packet[: 40 + int.from_bytes(packet[4:6], "big")]
    return packet
