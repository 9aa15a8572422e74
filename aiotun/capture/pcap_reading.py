"""Reading pcap files, of either byte order, with micro- or nanoseconds."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from .reading import MAX_BLOCK, CaptureReader, Source
from .records import Recorded, RecordedInterface

__all__ = ["MAGICS", "read_pcap"]

# https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-04.html, section 4: byte order, and digits of a second.
MAGICS: dict[bytes, tuple[str, int]] = {
    struct.pack(f"{order}I", magic): (order, digits)
    for order in "<>"
    for magic, digits in ((0xA1B2C3D4, 6), (0xA1B23C4D, 9))
}


def read_pcap(reader: CaptureReader, source: Source, magic: bytes) -> Iterator[Recorded]:
    """Yield the packets of a file whose magic was read. Raises like CaptureReader.__next__()."""
    order, digits = MAGICS[magic]
    major, minor, _, _, snaplen, linktype = struct.unpack(f"{order}HHiIII", source.read(20))
    if (major, minor) not in ((2, 4), (2, 3)):
        source.refuse(f"it is of pcap version {major}.{minor}, 2.4 can be read", "bad_version")
    # The upper bits of the link type are of the frame check sequence.
    interface = RecordedInterface(index=0, linktype=linktype & 0xFFFF, snaplen=snaplen, tsresol=digits)
    reader.interfaces.append(interface)
    unpack, unit = struct.Struct(f"{order}IIII").unpack, 10 ** (9 - digits)
    while header := source.read_or_end(16):
        seconds, fraction, kept, length = unpack(header)
        if kept > MAX_BLOCK:
            source.refuse(f"packet at byte {source.at - 16} is {kept} bytes, the most is {MAX_BLOCK}", "bad_block")
        time_ns = seconds * 1_000_000_000 + fraction * unit
        yield Recorded(packet=source.read(kept), time_ns=time_ns, length=length, interface=interface)
