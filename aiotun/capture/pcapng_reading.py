"""Reading pcapng: sections of either byte order, blocks that are not known skipped."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from ..errors import PacketError
from . import superpackets
from .blocks import COMMENT, ORDER_MAGIC, BlockType, Direction, EpbOption, IdbOption, IsbOption
from .reading import MAX_BLOCK, CaptureReader, Source
from .records import Recorded, RecordedInterface, RecordedStatistics

__all__ = ["MAGIC", "read_pcapng"]

MAGIC = int(BlockType.SECTION).to_bytes(4, "big")  # reads the same in both orders
MAX_INTERFACES = 65536
"""Interfaces of a section, at most: what keeps a file of nothing else from taking all memory."""

_DIRECTIONS: tuple[Direction | None, ...] = (None, "in", "out", None)
_UNKNOWN_DROPS = 0xFFFF  # of the obsolete packet block


def read_pcapng(reader: CaptureReader, source: Source, magic: bytes) -> Iterator[Recorded]:
    """Yield the packets of a file whose first 4 bytes were read. Raises like CaptureReader.__next__()."""
    section = _Section(reader, source, source.read(8))
    while octets := source.read_or_end(4):
        if octets == MAGIC:
            section = _Section(reader, source, source.read(8))
            continue
        start = source.at - 4
        kind, body = section.block(octets)
        read = _BLOCKS.get(kind)
        if read is None:
            continue
        try:
            recorded = read(section, body)
        except struct.error:
            source.refuse(f"block at byte {start} is {len(body) + 12} bytes, too few for its type {kind}", "bad_block")
        except PacketError as error:
            source.refuse(f"block at byte {start}: {error}", error.reason)
        if recorded is not None:
            yield recorded


class _Section:
    """A section: everything in it is in one byte order, and counts interfaces from 0."""

    def __init__(self, reader: CaptureReader, source: Source, start: bytes) -> None:
        """Read the section's header, whose type, length and magic were read."""
        self._reader, self._source = reader, source
        magics = {struct.pack(f"{order}I", ORDER_MAGIC): order for order in "<>"}
        order = magics.get(start[4:])
        if order is None:
            source.refuse(f"section at byte {source.at - 12} has no byte order, but {start[4:].hex()}", "bad_block")
        self.order = order
        self.u32 = struct.Struct(f"{order}I")
        self.words3 = struct.Struct(f"{order}III")
        self.words5 = struct.Struct(f"{order}IIIII")
        self.obsolete = struct.Struct(f"{order}HHIIII")
        self.description = struct.Struct(f"{order}HHI")
        self._option = struct.Struct(f"{order}HH")
        self._pair = struct.Struct(f"{order}II")
        self.interfaces: list[RecordedInterface] = []
        self.statistics: dict[int, RecordedStatistics] = {}
        reader.interfaces, reader.statistics = self.interfaces, self.statistics
        (total,) = self.u32.unpack_from(start)
        begins = source.at - 12
        body = self._body(total, begins, 28, start[4:])
        major, minor = struct.unpack_from(f"{order}HH", body, 4)
        if major != 1:
            source.refuse(f"it is of pcapng version {major}.{minor}, 1.0 can be read", "bad_version")
        try:
            options = self.options(body, 16)
        except PacketError as error:
            source.refuse(f"section at byte {begins}: {error}", error.reason)
        reader.comments = tuple(_text(value) for code, value in options if code == COMMENT)

    def block(self, kind: bytes) -> tuple[int, bytes]:
        """Read the block whose type was read; return that and its body."""
        start = self._source.at - 4
        (total,) = self.u32.unpack(self._source.read(4))
        return self.u32.unpack(kind)[0], self._body(total, start, 12, b"")

    def options(self, body: bytes, start: int) -> list[tuple[int, bytes]]:
        """Return the options from *start* on."""
        options = []
        while len(body) - start >= 4:
            code, length = self._option.unpack_from(body, start)
            if code == 0:
                break
            value = body[start + 4 : start + 4 + length]
            if len(value) < length:
                text = f"option {code} is {length} bytes, there are {len(value)}"
                raise PacketError(text, reason="bad_option")
            options.append((code, value))
            start += 4 + (length + 3 & ~3)
        return options

    def interface(self, index: int) -> RecordedInterface:
        """Return an interface by its number."""
        if index >= len(self.interfaces):
            text = f"it names interface {index}, the section has {len(self.interfaces)}"
            raise PacketError(text, reason="no_interface")
        return self.interfaces[index]

    def number(self, value: bytes) -> int:
        """Return a number of as many bytes as it has."""
        return int.from_bytes(value, "little" if self.order == "<" else "big")

    def _body(self, total: int, start: int, least: int, begun: bytes) -> bytes:
        """Return what is between a block's two lengths, of which *begun* was read."""
        source = self._source
        if total % 4 or not least <= total <= MAX_BLOCK:
            text = f"block at byte {start} is {total} bytes, it must be {least} to {MAX_BLOCK}, by 4"
            source.refuse(text, "bad_block")
        rest = source.read(total - 8 - len(begun))
        if rest[-4:] != self.u32.pack(total):
            (other,) = self.u32.unpack(rest[-4:])
            source.refuse(f"block at byte {start} is {total} bytes at its front and {other} at its end", "bad_block")
        return begun + rest[:-4]


def _describe(section: _Section, body: bytes) -> None:
    linktype, _, snaplen = section.description.unpack_from(body)
    options = dict(section.options(body, 8))
    if len(section.interfaces) == MAX_INTERFACES:
        raise PacketError(f"there are more than {MAX_INTERFACES} interfaces", reason="too_many_interfaces")
    tsoffset = int.from_bytes(
        options.get(IdbOption.TSOFFSET, b""), "little" if section.order == "<" else "big", signed=True
    )
    section.interfaces.append(
        RecordedInterface(
            index=len(section.interfaces),
            linktype=linktype,
            snaplen=snaplen,
            name=_text(options.get(IdbOption.NAME, b"")),
            description=_text(options.get(IdbOption.DESCRIPTION, b"")),
            filter=_text(options.get(IdbOption.FILTER, b"")[1:]),
            tsresol=(options.get(IdbOption.TSRESOL) or b"\6")[0],
            tsoffset=tsoffset,
        )
    )


def _enhanced(section: _Section, body: bytes) -> Recorded:
    return _packet(section, body, *section.words5.unpack_from(body))


def _obsolete(section: _Section, body: bytes) -> Recorded:
    index, drops, *rest = section.obsolete.unpack_from(body)
    high, low, kept, length = rest
    return _packet(section, body, index, high, low, kept, length, 0 if drops == _UNKNOWN_DROPS else drops)


def _packet(
    section: _Section, body: bytes, index: int, high: int, low: int, kept: int, length: int, drops: int = 0
) -> Recorded:
    interface = section.interface(index)
    packet = _kept(body, 20, kept)
    time_ns = interface.to_ns(high << 32 | low)
    end = 20 + (kept + 3 & ~3)
    if end >= len(body):
        return Recorded(packet=packet, time_ns=time_ns, length=length, interface=interface, dropped=drops)
    pairs = section.options(body, end)
    options = dict(pairs)
    comments = tuple(_text(value) for code, value in pairs if code == COMMENT)
    if kept == length:
        for comment in comments:
            packet = superpackets.restore(packet, comment)
    packet_id = options.get(EpbOption.PACKETID)
    return Recorded(
        packet=packet,
        time_ns=time_ns,
        length=length,
        interface=interface,
        direction=_DIRECTIONS[section.number(options.get(EpbOption.FLAGS, b"")) & 3],
        comments=comments,
        dropped=section.number(options.get(EpbOption.DROPCOUNT, b"")) or drops,
        packet_id=None if packet_id is None else section.number(packet_id),
    )


def _simple(section: _Section, body: bytes) -> Recorded:
    (length,) = section.u32.unpack_from(body)
    interface = section.interface(0)
    kept = min(length, interface.snaplen or length)
    return Recorded(packet=_kept(body, 4, kept), time_ns=None, length=length, interface=interface)


def _count(section: _Section, body: bytes) -> None:
    index, _, _ = section.words3.unpack_from(body)
    section.interface(index)
    options = dict(section.options(body, 12))
    received, dropped = (
        section.number(options[code]) if code in options else None for code in (IsbOption.IFRECV, IsbOption.IFDROP)
    )
    section.statistics[index] = RecordedStatistics(received=received, dropped=dropped)


_BLOCKS: dict[int, Callable[[_Section, bytes], Recorded | None]] = {
    BlockType.INTERFACE: _describe,
    BlockType.PACKET: _obsolete,
    BlockType.SIMPLE_PACKET: _simple,
    BlockType.STATISTICS: _count,
    BlockType.ENHANCED_PACKET: _enhanced,
}


def _kept(body: bytes, start: int, kept: int) -> bytes:
    packet = body[start : start + kept]
    if len(packet) < kept:
        raise PacketError(f"its packet is {kept} bytes, there are {len(packet)}", reason="bad_block")
    return packet


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "replace")
