"""One interface of the model: what the two C drivers do, packet by packet, with plain lists and counters."""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from ipaddress import IPv4Interface, IPv6Interface
from typing import Any

from .paths import Flight, ModelPath, Refused
from .queues import Bag, ModelQueue, Plain

__all__ = ["ModelBpf", "ModelDevice", "ModelKnote"]

INET, INET6, UNSPEC = 2, 28, 0
OF_VERSION = {4: INET, 6: INET6}
TUNMRU = 16384
DOWN = Refused("DeviceDown", errno.EHOSTDOWN, "down")
BLOCKED = Refused("BlockingIOError", errno.EAGAIN)
POINTOPOINT, BROADCAST, MULTICAST, SIMPLEX = 0x10, 0x2, 0x8000, 0x800

TUN_OUTPUT = ("ready", "classify", "unspec", "size", "bpf", "segment", "prepend", "enqueue", "count", "start")
TUN_START = ("enabled", "poll", "wakeup", "sigio", "filters")
TUN_INPUT = ("size", "bpf", "strip", "count", "demux")
TAP_OUTPUT = ("ready", "size", "segment", "enqueue", "start")
TAP_START = ("in_use", "enabled", "poll", "oactive", "wakeup", "filters", "sigio")
TAP_INPUT = ("count", "bpf", "input")
OUTPUT_REASONS = {
    "ready": "down",
    "unspec": "short_header",
    "size": "too_big",
    "prepend": "unsupported_family",
    "enqueue": "queue_full",
}
START_REASONS = {"in_use": "not_open", "enabled": "disabled", "poll": "held_back"}
INPUT_REASONS = {"size": "bad_size", "demux": "unsupported_family"}
MEDIA_AUTO = 0x20


def link_header(frame: bytes) -> int:
    """Ethernet, and up to two tags."""
    if frame[12:14] not in (b"\x81\x00", b"\x88\xa8"):
        return 14
    return 22 if frame[16:18] in (b"\x81\x00", b"\x88\xa8") else 18


class ModelBpf:
    """A listener."""

    def __init__(self, limit: int, snaplen: int, even: bool) -> None:
        self.limit, self.snaplen, self.even = limit, snaplen, even
        self.queue: list[tuple[str, bytes, int]] = []
        self.received = self.accepted = self.taken = self.dropped = 0
        self.end: Refused | None = None

    def catch(self, direction: str, packet: bytes) -> None:
        self.received += 1
        if self.even and len(packet) & 1:
            return
        self.accepted += 1
        if len(self.queue) >= self.limit:
            self.dropped += 1
        else:
            self.queue.append((direction, packet[: self.snaplen], len(packet)))

    def recv(self, limit: int) -> list[tuple[str, bytes, int]]:
        if not self.queue:
            raise self.end or BLOCKED
        out, self.queue = self.queue[:limit], self.queue[limit:]
        self.taken += len(out)
        return out

    def close(self) -> None:
        self.end = self.end or Refused("DeviceClosed")
        self.dropped += len(self.queue)
        self.queue = []


class ModelKnote:
    """An armed filter."""

    def __init__(self, reading: bool) -> None:
        self.reading = reading
        self.count = 0
        self.error: Refused | None = None

    @property
    def ready(self) -> bool:
        return self.error is None and (not self.reading or self.count > 0)


class ModelDevice:
    """A tun or a tap."""

    def __init__(self, host: Any, kind: str, name: str, queue_length: int, *, dies: bool) -> None:
        self.host, self.kind, self.name, self.dies = host, kind, name, dies
        self.tun = kind == "tun"
        self.header = 0 if self.tun else 14
        self.mtu = 1500
        self.up = self.open = self.bare = self.gone = False
        self.mode = POINTOPOINT | MULTICAST if self.tun else BROADCAST | SIMPLEX | MULTICAST
        self.oactive = False
        self.changed = False  # whether lastchange is set
        self.addresses: list[IPv4Interface | IPv6Interface] = []
        self.dropped: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.queue: ModelQueue = Plain(queue_length, self.header)
        self.output_path = ModelPath(TUN_OUTPUT if self.tun else TAP_OUTPUT, self.dropped)
        self.start_path = ModelPath(TUN_START if self.tun else TAP_START, None)
        self.input_path = ModelPath(TUN_INPUT if self.tun else TAP_INPUT, self.dropped)
        self.level = False
        self.woken = False
        self.timer: Fraction | None = None
        self.enabled = True
        self.asynchronous = self.nonblocking = self.scheduled = False
        self.owner = 0
        self.bands: list[int] = []
        self.events: list[tuple[str, object]] = []
        self.knotes: list[ModelKnote] = []
        self.bpfs: list[ModelBpf] = []
        self.lmode = self.ifhead = self.iaset = False
        self.type, self.baudrate = 23, 0
        self.destination: Any = None
        self.mac = b""
        self.medium = MEDIA_AUTO
        self.groups: Counter[str] = Counter()
        self.side: list[bytes] | None = None  # the queue of its network side, if that is open
        self.side_taken = 0
        self.offered = self.read_out = 0
        self.requeued: Counter[str] = Counter()  # drops of the queues before this one
        self.refusal: Refused | None = None
        self.family: int | None = None
        self.to: Any = None

    # --- small things -----------------------------------------------------------------------------

    @property
    def loose(self) -> bool:
        return isinstance(self.queue, Bag)

    def stamp(self) -> int:
        """A number that is another one once something moved through a path."""
        paths = (self.output_path, self.start_path, self.input_path)
        return sum(node.entered for path in paths for node in path.nodes) + self.read_out

    def alive(self) -> None:
        if self.gone:
            raise Refused("DeviceGone", errno.ENXIO, "gone")

    def released(self) -> bool:
        if self.queue.released(self.host.now):
            return True
        due = self.queue.due(self.host.now)
        if due is not None and (self.timer is None or due < self.timer):
            self.timer = due
        return False

    def nread(self) -> int:
        if not self.released() or self.loose:
            return 0
        return len(self.queue.first() or b"")

    def notify(self) -> None:
        for knote in self.knotes:
            if knote.error is None and knote.reading:
                knote.count = self.nread()

    def show(self, direction: str, packets: list[bytes]) -> None:
        for listener in self.bpfs:
            if listener.end is None:
                for packet in packets:
                    listener.catch(direction, packet)

    # --- output -----------------------------------------------------------------------------------

    def output(self, packets: list[bytes]) -> list[bytes]:
        self.offered += len(packets)
        steps = {
            "ready": self.check_ready,
            "classify": lambda flights: [(packet, self.queue.mark(packet)) for packet, _ in flights],
            "unspec": self.take_family,
            "size": self.hold_to_mtu,
            "bpf": self.tap_output,
            "segment": lambda flights: flights,  # no packet here is a super-packet
            "prepend": self.prepend,
            "enqueue": self.enqueue,
            "count": self.count_output,
            "start": self.maybe_start,
        }
        flights = self.output_path.run([(packet, None) for packet in packets], steps, OUTPUT_REASONS, "enqueue")
        return [packet for packet, _ in flights]

    def output_packet(self, packet: bytes) -> None:
        self.refusal = None
        if not self.output([packet]) and self.refusal is not None:
            raise self.refusal

    def output_to(self, to: Any, family: int, packets: list[bytes]) -> int:
        queued = 0
        try:
            for batch in [[packet] for packet in packets] if family == UNSPEC else [packets]:
                self.to, self.family = to, family
                queued += len(self.output(batch))
        finally:
            self.to = self.family = None
        return queued

    def inject(self, packet: bytes) -> None:
        if not self.tun:
            self.output_packet(packet)
            return
        self.refusal = None
        if not self.output_to(None, UNSPEC, [packet]) and self.refusal is not None:
            raise self.refusal

    def ready(self) -> bool:
        return self.up and (self.open or not self.tun)

    def check_ready(self, flights: list[Flight]) -> list[Flight]:
        if not self.ready():
            self.alive()
            raise DOWN
        return flights

    def take_family(self, flights: list[Flight]) -> list[Flight]:
        if self.family != UNSPEC:
            return flights
        fit: list[Flight] = []
        for packet, _ in flights:
            if len(packet) < 4:
                self.refusal = Refused("DeviceError", errno.ENOBUFS)
            else:
                fit.append((packet[4:], None))
        if fit:
            self.family = int.from_bytes(flights[0][0][:4], sys.byteorder)
        return fit

    def hold_to_mtu(self, flights: list[Flight]) -> list[Flight]:
        fit = [flight for flight in flights if len(flight[0]) - self.link_header(flight[0]) <= self.mtu]
        if len(fit) < len(flights):
            self.refusal = Refused("PacketTooBig", errno.EMSGSIZE)
        return fit

    def link_header(self, packet: bytes) -> int:
        return 0 if self.tun else link_header(packet)

    def family_of(self, packet: bytes) -> int:
        if self.family is not None:
            return self.family
        return OF_VERSION.get(packet[0] >> 4, 0) if packet else 0

    def tap_output(self, flights: list[Flight]) -> list[Flight]:
        self.show("out", [struct.pack("=I", self.family_of(packet)) + packet for packet, _ in flights])
        return flights

    def prepend(self, flights: list[Flight]) -> list[Flight]:
        fit: list[Flight] = []
        for packet, mark in flights:
            family = self.family_of(packet)
            if self.bare:
                if family in (INET, INET6):
                    fit.append((packet, mark))
            elif self.ifhead:
                if family:
                    fit.append((struct.pack("!I", family) + packet, mark))
            elif family == INET:
                fit.append(((self.sockaddr(packet) if self.lmode else b"") + packet, mark))
        if len(fit) < len(flights):
            self.refusal = Refused("UnsupportedFamily", errno.EAFNOSUPPORT)
        return fit

    def sockaddr(self, packet: bytes) -> bytes:
        address = socket.inet_aton(self.to) if self.to else packet[16:20].ljust(4, b"\0")
        return b"\x10\x02\0\0" + address + bytes(8)

    def enqueue(self, flights: list[Flight]) -> list[Flight]:
        if self.tun:
            self.queue.offset = 0 if self.bare else 4 if self.ifhead else 16 if self.lmode else 0
        fit = [flight for flight in flights if self.queue.offer(*flight)]
        if len(fit) < len(flights):
            self.counts["collisions"] += len(flights) - len(fit)
            self.refusal = Refused("QueueFull", errno.ENOBUFS)
        return fit

    def count_output(self, flights: list[Flight]) -> list[Flight]:
        self.counts["opackets"] += len(flights)
        self.counts["obytes"] += sum(len(packet) for packet, _ in flights)
        return flights

    def maybe_start(self, flights: list[Flight]) -> list[Flight]:
        if self.tun or not self.oactive:
            self.start(flights)
        return flights

    # --- start ------------------------------------------------------------------------------------

    def start(self, flights: list[Flight]) -> None:
        steps: dict[str, Callable[[list[Flight]], list[Flight]]] = {
            "in_use": self.drain,
            "enabled": lambda flights: flights if self.enabled else [],
            "poll": lambda flights: flights if self.released() else [],
            "oactive": self.set_oactive,
            "wakeup": self.wake_up,
            "filters": self.notify_filters,
            "sigio": self.signal,
        }
        self.start_path.run(list(flights), steps, START_REASONS)

    def wake_up(self, flights: list[Flight]) -> list[Flight]:
        self.level = self.up
        return flights

    def set_oactive(self, flights: list[Flight]) -> list[Flight]:
        self.oactive = True
        return flights

    def drain(self, flights: list[Flight]) -> list[Flight]:
        if self.open:
            return flights
        self.purge("not_open")
        return []

    def notify_filters(self, flights: list[Flight]) -> list[Flight]:
        self.notify()
        return flights

    def signal(self, flights: list[Flight]) -> list[Flight]:
        if self.tun and self.asynchronous:
            self.bands.append(1)
        elif self.asynchronous:
            self.scheduled = True
        return flights

    def softintr(self) -> None:
        """What was scheduled happens on the loop's next turn."""
        if self.scheduled:
            self.scheduled = False
            if self.asynchronous:
                self.bands.append(1 if self.up else 6)

    def ring(self) -> None:
        """The timer, if it is due."""
        if self.timer is not None and self.timer <= self.host.now:
            self.timer = None
            self.start_head()

    def start_head(self) -> None:
        if self.released():
            self.start([(b"" if self.loose else self.queue.first() or b"", None)])

    # --- read and purge ---------------------------------------------------------------------------

    def taken(self, packets: list[bytes]) -> None:
        """A tap counts what leaves when it leaves."""
        if not self.tun:
            self.oactive = False
            self.counts["opackets"] += len(packets)
            self.counts["obytes"] += sum(map(len, packets))
            self.show("out", packets)

    def purge(self, reason: str) -> None:
        if not self.loose:
            self.taken(self.queue.purge(reason))
        self.level = self.level and self.gone

    def check_readable(self, sleeper: bool) -> None:
        self.alive()
        if not (self.open and self.up):
            raise DOWN
        if sleeper and not self.tun:
            raise BLOCKED

    def read(self, size: int, sleeper: bool) -> bytes:
        self.check_readable(sleeper)
        batch = self.read_many(1)
        if not batch:
            raise BLOCKED
        self.counts["truncated"] += len(batch[0]) > size
        return batch[0][:size]

    def read_many(self, limit: int) -> list[bytes]:
        if not self.up:
            self.alive()
            return []
        batch = self.queue.take(limit, self.host.now)
        self.read_out += len(batch)
        self.taken(batch)
        if not self.released():
            self.level = False
        return batch

    # --- write ------------------------------------------------------------------------------------

    def write_many(self, packets: list[bytes]) -> int:
        if not self.tun or all(packets):
            return self.write_all(packets)
        for packet in packets:
            self.write_all([packet] if packet else [])
        return len(packets)

    def write_all(self, packets: list[bytes]) -> int:
        if not self.up:
            self.alive()
            raise DOWN
        fit = 0
        while fit < len(packets) and not (self.tun and self.refuses(packets[fit])):
            fit += 1
        self.refusal = None
        self.input(packets[: fit + 1])
        if fit < len(packets):
            if self.refusal is not None:
                error = Refused(self.refusal.kind, self.refusal.code, self.refusal.reason)
                error.sent = fit
                raise error
            return fit + 1
        return fit

    @property
    def headed(self) -> bool:
        return self.ifhead and not self.bare

    def misfit(self, packet: bytes) -> Refused | None:
        if self.headed and len(packet) < 4:
            return Refused("DeviceError", errno.ENOBUFS)
        return Refused("DeviceError", errno.EIO) if len(packet) > self.mru() else None

    def mru(self) -> int:
        return max(TUNMRU, self.mtu + (4 if self.headed else 0))

    def written_family(self, packet: bytes) -> int:
        if self.headed:
            return int.from_bytes(packet[:4], "big")
        if self.bare:
            return OF_VERSION.get(packet[0] >> 4, 0) if packet else 0
        return INET

    def refuses(self, packet: bytes) -> bool:
        family = self.written_family(packet)
        return self.misfit(packet) is not None or not (family in (INET, INET6) or family in self.host.protocols)

    def input(self, packets: list[bytes]) -> None:
        steps = {
            "size": self.check_write,
            "bpf": self.tap_input,
            "strip": self.strip,
            "count": self.count_input,
            "demux": self.demux,
            "input": self.deliver_frames,
        }
        try:
            self.input_path.run([(packet, None) for packet in packets], steps, INPUT_REASONS)
        except Refused:
            self.counts["ierrors"] += len(packets)
            raise

    def check_write(self, flights: list[Flight]) -> list[Flight]:
        fit = [flight for flight in flights if self.misfit(flight[0]) is None]
        for packet, _ in flights:
            self.refusal = self.misfit(packet) or self.refusal
        return fit

    def tap_input(self, flights: list[Flight]) -> list[Flight]:
        if self.tun:
            head = 4 if self.headed else 0
            pairs = [(self.written_family(packet), packet[head:]) for packet, _ in flights]
            self.show("in", [struct.pack("=I", family) + packet for family, packet in pairs])
        else:
            self.show("in", [packet for packet, _ in flights])
        return flights

    def strip(self, flights: list[Flight]) -> list[Flight]:
        return [(packet[4:], self.written_family(packet)) for packet, _ in flights] if self.headed else flights

    def count_input(self, flights: list[Flight]) -> list[Flight]:
        self.counts["ipackets"] += len(flights)
        self.counts["ibytes"] += sum(len(packet) for packet, _ in flights)
        return flights

    def demux(self, flights: list[Flight]) -> list[Flight]:
        fit = []
        for packet, mark in flights:
            version = OF_VERSION.get(packet[0] >> 4, 0) if packet else 0
            family = version if mark is None else mark
            if not self.headed:
                if self.bare and not version:
                    continue
            elif family not in (INET, INET6):
                if family not in self.host.protocols:
                    continue
                self.host.protocol_input(self, family, [packet])
            fit.append((packet, mark))
            if not (self.headed and family not in (INET, INET6)):
                self.deliver([packet]) if self.headed else None
        if not self.headed:
            self.deliver([packet for packet, _ in fit])
        if len(fit) < len(flights):
            self.refusal = Refused("UnsupportedFamily", errno.EAFNOSUPPORT)
        return fit

    def deliver_frames(self, flights: list[Flight]) -> list[Flight]:
        self.deliver([packet for packet, _ in flights])
        return flights

    def deliver(self, packets: list[bytes]) -> None:
        """To the network side, or to the host's own stack."""
        if self.side is None:
            self.host.stack_input(self, packets)
            return
        for packet in packets:
            if len(self.side) < self.host.SIDE_QUEUE:
                self.side.append(packet)
            else:
                self.dropped["input_queue_full"] += 1

    # --- up, down, open, close, gone --------------------------------------------------------------

    def link_changed(self) -> None:
        self.level = self.gone or (self.up and self.released())
        self.woken = True
        self.notify()
        if not self.tun:
            if not self.up:
                self.scheduled = self.scheduled or self.asynchronous
            else:
                self.start_head()

    def set_up(self, up: bool) -> None:
        self.alive()
        if up == self.up:
            return
        self.up, self.changed = up, True
        self.link_changed()
        self.events.append(("up" if up else "down", None))

    def open_it(self) -> None:
        self.alive()
        if self.open:
            raise Refused("DeviceBusy", errno.EBUSY)
        self.open = True

    def close(self) -> None:
        if not self.open:
            return
        self.open = self.bare = self.asynchronous = False
        self.purge("closed")
        self.timer = None
        if not self.gone:
            if self.tun:
                self.set_up(False)
                for address in list(self.addresses):
                    self.remove_address(address)
                self.owner = 0
            else:
                self.oactive = self.nonblocking = False
        for knote in self.knotes:
            knote.error = knote.error or Refused("DeviceClosed")
        self.woken = True
        if self.dies:
            self.destroy()

    def destroy(self) -> None:
        if self.gone:
            return
        self.gone = True
        if self.up:
            self.up = False
            self.events.append(("down", None))
        self.purge("gone")
        self.addresses = []
        self.link_changed()
        self.events.append(("gone", None))
        self.timer = None
        for knote in self.knotes:
            knote.error = knote.error or Refused("DeviceGone", errno.ENXIO)
        for listener in self.bpfs:
            listener.end = listener.end or Refused("DeviceGone", errno.ENODEV)
        self.host.forget(self)

    def requeue(self, queue: ModelQueue) -> None:
        self.purge("requeued")
        self.dropped.update(self.queue.dropped)
        self.requeued.update(self.queue.dropped)
        self.queue = queue

    # --- configuration ----------------------------------------------------------------------------

    def add_address(self, address: IPv4Interface | IPv6Interface) -> None:
        self.alive()
        if address not in self.addresses:
            self.addresses.append(address)
            self.events.append(("address", (address, "usable")))

    def remove_address(self, address: IPv4Interface | IPv6Interface) -> None:
        self.alive()
        if address not in self.addresses:
            raise Refused("DeviceError", errno.EADDRNOTAVAIL)
        self.addresses.remove(address)
        self.events.append(("address", (address, "removed")))

    def set_mtu(self, mtu: int) -> None:
        self.alive()
        if mtu < 72:
            raise Refused("ValueError")
        if mtu != self.mtu:
            self.mtu = mtu
            self.events.append(("mtu", mtu))

    def flags(self) -> int:
        return self.mode | (0x41 if self.up else 0) | (0x400 if self.oactive else 0)

    def pid(self) -> int | None:
        return os.getpid() if self.open else None
