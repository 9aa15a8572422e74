"""Opening a capture to read it, whatever format it has."""

from __future__ import annotations

import os
from typing import BinaryIO

from .pcap_reading import MAGICS, read_pcap
from .pcapng_reading import MAGIC, read_pcapng
from .reading import CaptureReader, Formats

__all__ = ["open_capture"]

FORMATS: Formats = {MAGIC: read_pcapng, **dict.fromkeys(MAGICS, read_pcap)}


def open_capture(source: str | os.PathLike[str] | BinaryIO) -> CaptureReader:
    """
    Open a pcapng or pcap file for reading: ``with open_capture("vpn.pcapng") as packets: for recorded in packets``.

    Reads both byte orders, several sections, and every packet block and resolution of time there is. What it does not
    know it skips, what is wrong it refuses with where in the file it is.

    Args:
        source: A path, or a file object, which stays the caller's to close. Reading blocks.

    Raises:
        OSError: If the file cannot be opened.
    """
    if isinstance(source, str | os.PathLike):
        return CaptureReader(open(source, "rb"), os.fspath(source), FORMATS, owned=True)
    return CaptureReader(source, str(getattr(source, "name", "capture")), FORMATS, owned=False)
