"""
Filter expressions as tcpdump takes them, compiled and run by libpcap.

The library is loaded at the first expression, and so is ctypes. libpcap(3PCAP), pcap-filter(7).
"""

from __future__ import annotations

import errno
import weakref
from functools import cache
from typing import Any

__all__ = ["Program"]

_SNAPLEN = 0x40000
_OPTIMIZE = 1
_NETMASK_UNKNOWN = 0xFFFFFFFF  # PCAP_NETMASK_UNKNOWN


class Program:
    """
    A compiled filter expression: a predicate over packets.

    Compiling a name that is not a number asks the resolver for it, which blocks.

    Args:
        expression: Such as ``"tcp port 443 and not net 10.0.0.0/8"``.
        ethernet: Whether it looks at Ethernet frames (a tap) or at IP packets (a tun).

    Raises:
        FileNotFoundError: If libpcap is not installed.
        ValueError: If the expression is none; the text has libpcap's own.

    pcap_compile(3PCAP), pcap_offline_filter(3PCAP).
    """

    __slots__ = ("__weakref__", "_filter", "_header", "_program", "expression")

    expression: str
    """The expression as it was given."""

    def __init__(self, expression: str, *, ethernet: bool = False) -> None:
        library = _library()
        self.expression = expression
        self._program = library.compile(expression, "EN10MB" if ethernet else "RAW")
        weakref.finalize(self, library.free, self._program)
        self._header = library.header()
        self._filter = library.filter

    def __repr__(self) -> str:
        return f"<Program {self.expression!r}>"

    def __call__(self, packet: bytes) -> bool:
        """Return whether the expression is true of *packet*; never raises."""
        header = self._header
        header.captured = header.length = len(packet)
        return bool(self._filter(self._program, header, packet))


@cache
def _library() -> _Library:
    return _Library()


class _Library:
    """What of libpcap is used."""

    def __init__(self) -> None:
        import ctypes
        import ctypes.util

        class Header(ctypes.Structure):
            """struct pcap_pkthdr in pcap/pcap.h."""

            _fields_ = (
                ("seconds", ctypes.c_long),
                ("microseconds", ctypes.c_long),
                ("captured", ctypes.c_uint32),
                ("length", ctypes.c_uint32),
            )

        class Instructions(ctypes.Structure):
            """struct bpf_program in pcap/bpf.h."""

            _fields_ = (("count", ctypes.c_uint), ("first", ctypes.c_void_p))

        name = ctypes.util.find_library("pcap")
        if name is None:
            raise FileNotFoundError(
                errno.ENOENT,
                "a filter expression is compiled by libpcap, which is not installed: apt install libpcap0.8; "
                "a predicate in Python needs none",
            )
        # PyDLL keeps the interpreter's lock: letting go of it costs more than a filter does, and pcap_compile() is not
        # safe in two threads before libpcap 1.8.
        pcap: Any = ctypes.PyDLL(name)
        program, opened = ctypes.POINTER(Instructions), ctypes.c_void_p
        pcap.pcap_open_dead.argtypes = ctypes.c_int, ctypes.c_int
        pcap.pcap_open_dead.restype = opened
        pcap.pcap_close.argtypes = (opened,)
        pcap.pcap_close.restype = None
        pcap.pcap_compile.argtypes = opened, program, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint32
        pcap.pcap_geterr.argtypes = (opened,)
        pcap.pcap_geterr.restype = ctypes.c_char_p
        pcap.pcap_freecode.argtypes = (program,)
        pcap.pcap_freecode.restype = None
        pcap.pcap_offline_filter.argtypes = program, ctypes.POINTER(Header), ctypes.c_char_p
        pcap.pcap_datalink_name_to_val.argtypes = (ctypes.c_char_p,)
        self._pcap = pcap
        self._instructions = Instructions
        self.header = Header
        self.filter = pcap.pcap_offline_filter
        self.free = pcap.pcap_freecode

    def compile(self, expression: str, link: str) -> Any:
        """Return the instructions of an expression, for the caller to free()."""
        if "\0" in expression:
            raise ValueError(f"filter {expression!r}: there is a zero byte in it")
        pcap = self._pcap
        opened = pcap.pcap_open_dead(pcap.pcap_datalink_name_to_val(link.encode()), _SNAPLEN)
        if not opened:
            raise MemoryError("libpcap: pcap_open_dead() has no memory")
        try:
            program = self._instructions()
            if pcap.pcap_compile(opened, program, expression.encode(), _OPTIMIZE, _NETMASK_UNKNOWN):
                raise ValueError(f"filter {expression!r}: {pcap.pcap_geterr(opened).decode(errors='replace')}")
            return program
        finally:
            pcap.pcap_close(opened)
