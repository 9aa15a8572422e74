"""Clamping the segment size: what is lowered, what is left alone, and the checksums."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packet.oracle import inet, inet6

from aiotun.offload import complete
from aiotun.packet import TCP, TCPView, find_transport
from aiotun.stages import clamp_mss

from .packets import ENDS, MSS, fields_of, partial, rebuilt, superpacket, tcp, udp, wrap

SYN, SYN_ACK = 0x02, 0x12
EXTENSION = b"\x06\0" + bytes(6)


def mss_of(packet: bytes) -> int | None:
    protocol, start, end, _ = find_transport(packet)
    assert protocol == 6
    return TCPView(packet, start, end).mss


@pytest.mark.parametrize(("version", "expected"), [(4, 1360), (6, 1340)])
@pytest.mark.parametrize("flags", [SYN, SYN_ACK, 0xC2])
def test_a_syn_is_clamped(version: int, expected: int, flags: int) -> None:
    """A SYN of either end gets the mtu less the fixed headers, and right checksums."""
    (packet,) = clamp_mss(1400)([tcp(version, b"", flags=flags, options=MSS)])
    assert (mss_of(packet), rebuilt(packet)) == (expected, packet)


def test_scapy_reads_it() -> None:
    """Scapy reads the clamped option, others around it unchanged."""
    options = b"\x01\x01" + MSS + b"\x01\x03\x03\x07\x04\x02"
    (packet,) = clamp_mss(1400)([tcp(flags=SYN, options=options)])
    expected = [("NOP", None), ("NOP", None), ("MSS", 1360), ("NOP", None), ("WScale", 7), ("SAckOK", b"")]
    assert inet.IP(packet).payload.options == expected


@given(st.integers(0, 7), st.integers(61, 0xFFFF), st.integers(0, 0xFFFF), st.binary(max_size=5))
def test_it_is_the_segment_one_would_build(at: int, mtu: int, mss: int, payload: bytes) -> None:
    """Wherever the option lies, the packet is the one built with the lower of both sizes."""

    def built(size: int) -> bytes:
        option = bytes(at).replace(b"\0", b"\1") + b"\x02\x04" + size.to_bytes(2, "big")
        return tcp(payload=payload, flags=SYN, options=option.ljust(12, b"\1"))

    assert list(clamp_mss(mtu)([built(mss)])) == [built(min(mss, mtu - 40))]


@pytest.mark.parametrize(
    "packet",
    [
        tcp(options=MSS),
        tcp(flags=SYN, options=b"\x02\x04\x02\x00"),
        tcp(flags=SYN, options=b"\x02\x04\x05\x50"),
        tcp(flags=SYN),
        tcp(flags=SYN, options=b"\x02\x00\x05\xb4"),
        tcp(flags=SYN, options=b"\x02\x01\x05\xb4"),
        tcp(flags=SYN, options=b"\x01\x01\x02\x04"),
        tcp(flags=SYN, options=b"\x00" + MSS + b"\0\0\0"),
        tcp(flags=SYN, options=b"\x01" * 40),
        tcp(flags=SYN, options=MSS, more_fragments=True),
        tcp(flags=SYN, options=MSS)[:42],
        udp(payload=bytes(40)),
        wrap(6, 44, b"\x06\0\0\x01" + bytes(4) + tcp(6, flags=SYN, options=MSS)[40:]),
        b"",
        b"\x60" * 60,
    ],
    ids=[
        "no SYN",
        "low enough",
        "just low enough",
        "no option",
        "option length 0",
        "option length 1",
        "truncated option",
        "behind the end of options",
        "40 NOPs",
        "fragment",
        "cut short",
        "UDP",
        "IPv6 fragment",
        "empty",
        "garbage",
    ],
)
def test_left_alone(packet: bytes) -> None:
    """What has nothing to be clamped passes as the same object, in the same batch."""
    batch = [packet]
    assert clamp_mss(1400)(batch) is batch


def test_never_raised() -> None:
    """A segment size below the limit stays, however large the mtu."""
    packet = tcp(flags=SYN, options=MSS)
    assert list(clamp_mss(9000)([packet])) == [packet]


def test_behind_extension_headers() -> None:
    """A SYN behind a destination options header is found."""
    segment = TCP(1, 2, flags=SYN, options=MSS).build(*ENDS[6])
    (packet,) = clamp_mss(1400)([wrap(6, 60, EXTENSION + segment)])
    assert mss_of(packet) == 1340
    assert inet6.IPv6(rebuilt(packet)) == inet6.IPv6(packet)


def test_behind_ip_options() -> None:
    """A SYN behind IPv4 options is found."""
    segment = TCP(1, 2, flags=SYN, options=MSS).build(*ENDS[4])
    (packet,) = clamp_mss(1400)([wrap(4, 6, segment, options=b"\x01" * 8)])
    assert (mss_of(packet), rebuilt(packet)) == (1360, packet)


@pytest.mark.parametrize("version", [4, 6])
def test_a_partial_checksum_stays(version: int) -> None:
    """The pseudo-header's sum does not cover the option: finished, the packet is the one clamped after finishing."""
    whole = tcp(version, b"", flags=SYN, options=MSS)
    (packet,) = clamp_mss(1400)([partial(whole)])
    assert fields_of(packet) == fields_of(partial(whole))
    assert [complete(packet)] == list(clamp_mss(1400)([whole]))


def test_a_superpacket_is_passed() -> None:
    """A super-packet has no SYN, and passes as the same object."""
    packet = superpacket()
    assert clamp_mss(1400)([packet])[0] is packet


def test_a_wrong_checksum_stays_wrong() -> None:
    """A checksum that was wrong is not made right."""
    packet = bytearray(tcp(flags=SYN, options=MSS))
    packet[36] ^= 1
    (after,) = clamp_mss(1400)([bytes(packet)])
    assert rebuilt(after) != after


@pytest.mark.parametrize("mtu", [60, 65536])
def test_an_mtu_without_sense(mtu: int) -> None:
    """An mtu that leaves no room, or that no packet has, is refused."""
    with pytest.raises(ValueError, match=f"the mtu to clamp to is 61 to 65535 bytes, not {mtu}"):
        clamp_mss(mtu)
