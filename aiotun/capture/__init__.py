"""Keeping what was captured: files that other tools read."""

from .pcap import CapturedPacket, LinkType, PcapWriter

__all__ = ["CapturedPacket", "LinkType", "PcapWriter"]
