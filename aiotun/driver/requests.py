"""
The ioctl requests of the two drivers: their numbers on the BSDs, and the structures they carry.

Numbers are DragonFly's; a request that only the tap driver knows has NetBSD's of 2008, where struct
ifreq is larger. Structures are those of a 64-bit machine, in this machine's byte order.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Callable
from typing import Any

import attrs

from .families import SOCKADDR, SockAddr
from .media import MediaStatus

__all__ = ["Request", "TunInfo", "decode", "encode"]

# sys/ioccom.h of the BSDs: direction, size, group and number in one word.
_IOC_VOID, _IOC_OUT, _IOC_IN = 0x20000000, 0x40000000, 0x80000000
_SIZE_MASK = 0x1FFF

IFNAMSIZ = 16
IFSTATMAX = 800

# Bytes of the structures, from DragonFly and NetBSD sys/net/if.h and DragonFly sys/net/tun/if_tun.h.
_INT, _TUNINFO, _IFREQ, _NETBSD_IFREQ = 4, 8, 32, 144
_IFSTAT, _IFALIASREQ, _IFMEDIAREQ = IFNAMSIZ + IFSTATMAX + 1, 64, 48


def _io(group: str, number: int) -> int:
    return _IOC_VOID | ord(group) << 8 | number


def _ior(group: str, number: int, size: int) -> int:
    return _IOC_OUT | size << 16 | ord(group) << 8 | number


def _iow(group: str, number: int, size: int) -> int:
    return _IOC_IN | size << 16 | ord(group) << 8 | number


def _iowr(group: str, number: int, size: int) -> int:
    return _ior(group, number, size) | _iow(group, number, size)


class Request(enum.IntEnum):
    """An ioctl request."""

    # DragonFly sys/net/tun/if_tun.h
    TUNGDEBUG = _ior("t", 89, _INT)
    TUNSDEBUG = _iow("t", 90, _INT)
    TUNSIFINFO = _iow("t", 91, _TUNINFO)
    TUNGIFINFO = _ior("t", 92, _TUNINFO)
    TUNSLMODE = _iow("t", 93, _INT)
    TUNSIFMODE = _iow("t", 94, _INT)
    TUNSIFPID = _io("t", 95)
    TUNSIFHEAD = _iow("t", 96, _INT)
    TUNGIFHEAD = _ior("t", 97, _INT)
    # NetBSD sys/net/if_tap.h
    TAPGIFNAME = _ior("e", 0, _NETBSD_IFREQ)
    # sys/filio.h of both
    FIOGETOWN = _ior("f", 123, _INT)
    FIOSETOWN = _iow("f", 124, _INT)
    FIOASYNC = _iow("f", 125, _INT)
    FIONBIO = _iow("f", 126, _INT)
    FIONREAD = _ior("f", 127, _INT)
    # sys/ttycom.h of both
    TIOCSPGRP = _iow("t", 118, _INT)
    TIOCGPGRP = _ior("t", 119, _INT)
    # DragonFly sys/sys/sockio.h
    SIOCSIFADDR = _iow("i", 12, _IFREQ)
    SIOCSIFDSTADDR = _iow("i", 14, _IFREQ)
    SIOCSIFFLAGS = _iow("i", 16, _IFREQ)
    SIOCGIFFLAGS = _iowr("i", 17, _IFREQ)
    SIOCADDMULTI = _iow("i", 49, _IFREQ)
    SIOCDELMULTI = _iow("i", 50, _IFREQ)
    SIOCGIFMTU = _iowr("i", 51, _IFREQ)
    SIOCSIFMTU = _iow("i", 52, _IFREQ)
    SIOCGIFSTATUS = _iowr("i", 59, _IFSTAT)
    # NetBSD sys/sys/sockio.h
    SIOCSIFMEDIA = _iowr("i", 53, _NETBSD_IFREQ)
    SIOCGIFMEDIA = _iowr("i", 54, _IFMEDIAREQ)
    SIOCSIFPHYADDR = _iow("i", 70, _IFALIASREQ)

    @property
    def size(self) -> int:
        """Bytes of the structure that the request carries."""
        return self >> 16 & _SIZE_MASK

    @property
    def takes(self) -> bool:
        """Whether the request takes a value in."""
        return bool(self & _IOC_IN)

    @property
    def gives(self) -> bool:
        """Whether the request gives a value out."""
        return bool(self & _IOC_OUT)


@attrs.frozen
class TunInfo:
    """What TUNSIFINFO sets and TUNGIFINFO tells: struct tuninfo."""

    baudrate: int = 0
    """Bits a second."""
    mtu: int = 1500
    """Bytes."""
    type: int = 23
    """The interface type; 23 is IFT_PPP."""


Value = int | str | TunInfo | SockAddr | MediaStatus | None
Argument = Value | bytes | bytearray | memoryview

_int = struct.Struct("=i")
_tuninfo = struct.Struct("=iHBx")
_flags = struct.Struct("=HH")  # ifr_flags and ifr_flagshigh
_ifmediareq = struct.Struct("=iiiii4xQ")  # current, mask, status, active, count, and the pointer to the words


@attrs.frozen
class _Layout:
    """How a structure carries its value."""

    kind: type
    parse: Callable[[bytes], Any]
    pack: Callable[[Any], bytes]
    room: int
    """Bytes the value may take."""
    offset: int = 0
    """Where the value is: behind the interface's name, if the structure has one."""


def _name(text: str) -> bytes:
    octets = text.encode()
    if len(octets) >= IFNAMSIZ:
        raise ValueError(f"{text}: name is {len(octets)} bytes, at most {IFNAMSIZ - 1} fit")
    return octets.ljust(IFNAMSIZ, b"\0")


def _text(octets: bytes) -> str:
    return octets.partition(b"\0")[0].decode(errors="replace")


def _parse_flags(octets: bytes) -> int:
    low, high = _flags.unpack_from(octets)
    return int(low | high << 16)


def _parse_media(octets: bytes) -> MediaStatus:
    current, _, status, active, _, _ = _ifmediareq.unpack(octets)
    return MediaStatus(current=current, active=active, status=status)


def _pack_media(media: MediaStatus) -> bytes:
    # The words themselves are in the caller's memory, where no pointer of ours reaches: their number is told.
    return _ifmediareq.pack(media.current, 0, media.status, media.active, len(media.supported), 0)


_NOTHING = _Layout(type(None), lambda octets: None, lambda value: b"", 0)
_NUMBER = _Layout(int, lambda octets: _int.unpack(octets)[0], _int.pack, _INT)
_INFO = _Layout(
    TunInfo,
    lambda octets: TunInfo(*_tuninfo.unpack(octets)),
    lambda info: _tuninfo.pack(info.baudrate, info.mtu, info.type),
    _TUNINFO,
)
_NAME = _Layout(str, _text, _name, IFNAMSIZ)
_STATUS = _Layout(str, _text, str.encode, IFSTATMAX, IFNAMSIZ)
_ADDRESS = _Layout(SockAddr, lambda octets: SockAddr.parse(octets[:SOCKADDR]), SockAddr.pack, SOCKADDR, IFNAMSIZ)
_FLAGS = _Layout(int, _parse_flags, lambda flags: _flags.pack(flags & 0xFFFF, flags >> 16), _INT, IFNAMSIZ)
_IFR_NUMBER = _Layout(int, lambda octets: _int.unpack_from(octets)[0], _int.pack, _INT, IFNAMSIZ)
_MEDIA = _Layout(MediaStatus, _parse_media, _pack_media, _ifmediareq.size, IFNAMSIZ)

_LAYOUTS: dict[Request, _Layout] = {request: _NUMBER for request in Request if request.size == _INT} | {
    Request.TUNSIFPID: _NOTHING,
    Request.TUNSIFINFO: _INFO,
    Request.TUNGIFINFO: _INFO,
    Request.TAPGIFNAME: _NAME,
    Request.SIOCGIFSTATUS: _STATUS,
    Request.SIOCSIFADDR: _ADDRESS,
    Request.SIOCSIFDSTADDR: _ADDRESS,
    Request.SIOCADDMULTI: _ADDRESS,
    Request.SIOCDELMULTI: _ADDRESS,
    Request.SIOCSIFPHYADDR: _ADDRESS,
    Request.SIOCSIFFLAGS: _FLAGS,
    Request.SIOCGIFFLAGS: _FLAGS,
    Request.SIOCSIFMTU: _IFR_NUMBER,
    Request.SIOCGIFMTU: _IFR_NUMBER,
    Request.SIOCSIFMEDIA: _IFR_NUMBER,
    Request.SIOCGIFMEDIA: _MEDIA,
}


def decode(request: Request, argument: Argument = None) -> Value:
    """
    Return the value that a request takes in: of the packed structure, or *argument* itself if it is a value.

    None for a request that only gives something out, whose structure is just looked at for its size.

    Raises:
        ValueError: If the structure is not of the request's size, or cannot be read.
        TypeError: If the request takes another value.
    """
    if isinstance(argument, bytes | bytearray | memoryview):
        octets = bytes(argument)
        if len(octets) != request.size:
            raise ValueError(f"{request.name}: structure is {len(octets)} bytes, it must be {request.size}")
        layout = _LAYOUTS[request]
        return layout.parse(octets[layout.offset :]) if request.takes else None
    kind = _LAYOUTS[request].kind if request.takes else type(None)
    if not (isinstance(argument, kind) or (argument is None and request.gives)):
        raise TypeError(f"{request.name}: argument is {type(argument).__name__}, it must be {_kind(kind)} or bytes")
    return argument


def encode(request: Request, value: Value, name: str = "") -> bytes:
    """
    Return the packed structure with *value* in it, and the interface's *name* where the structure has one.

    Raises:
        ValueError: If something does not fit.
        TypeError: If the request carries another value.
    """
    layout = _LAYOUTS[request]
    if not isinstance(value, layout.kind):
        raise TypeError(f"{request.name}: value is {type(value).__name__}, it must be {_kind(layout.kind)}")
    try:
        body = layout.pack(value)
    except struct.error:
        raise ValueError(f"{request.name}: {value} does not fit its structure") from None
    if len(body) > layout.room:
        raise ValueError(f"{request.name}: {value} takes {len(body)} bytes, its structure has room for {layout.room}")
    return _name(name)[: layout.offset] + body.ljust(request.size - layout.offset, b"\0")


def _kind(kind: type) -> str:
    return "None" if kind is type(None) else kind.__name__
