"""The internet checksum against a slow reading of RFC 1071, at every length a packet can have here."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotun.packet import (
    checksum,
    ones_sum,
    pseudo_sum,
    transport_checksum,
    transport_checksum_ok,
    update_checksum,
)

from . import strategies as s
from .oracle import inet

RANDOM = random.Random(1071).randbytes(65536)


def reference(octets: bytes, total: int = 0) -> int:
    """RFC 1071 section 4.1, word by word with an end-around carry."""
    for i in range(0, len(octets) - 1, 2):
        total += octets[i] << 8 | octets[i + 1]
    if len(octets) % 2:
        total += octets[-1] << 8
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def test_rfc_1071_example() -> None:
    """The worked example of RFC 1071 section 3 sums to 0xddf2."""
    assert ones_sum(bytes.fromhex("0001f203f4f5f6f7")) == 0xDDF2


@pytest.mark.parametrize(
    ("fill", "lengths"),
    [("random", range(9002)), ("zeros", range(0, 9002, 97)), ("ones", range(0, 9002, 97))],
)
def test_every_length(fill: str, lengths: range) -> None:
    """The checksum equals the slow reference at every length up to a jumbo frame's."""
    octets = {"random": RANDOM, "zeros": bytes(9001), "ones": b"\xff" * 9001}[fill]
    # The reference is extended two bytes at a time, so that all lengths together stay quick.
    even = 0
    done = 0
    for length in lengths:
        whole = length & ~1
        for i in range(done, whole, 2):
            even += octets[i] << 8 | octets[i + 1]
        done = whole
        tail = octets[length - 1] << 8 if length & 1 else 0
        assert checksum(octets[:length]) == reference(b"", even + tail), length


@pytest.mark.parametrize("length", [65534, 65535, 65536])
def test_the_longest_packets(length: int) -> None:
    """The checksum equals the slow reference at the longest lengths there are."""
    assert checksum(RANDOM[:length]) == reference(RANDOM[:length])


@given(st.binary(max_size=70), st.integers(0, 1 << 40))
def test_initial(octets: bytes, initial: int) -> None:
    """An initial sum of any size counts like bytes that came before."""
    assert checksum(octets, initial) == reference(octets, initial)


@given(st.binary(max_size=70), st.integers(0, 1 << 40))
def test_the_sum_is_the_complement(octets: bytes, initial: int) -> None:
    """The one's complement sum is the checksum's complement."""
    assert ones_sum(octets, initial) == 0xFFFF - checksum(octets, initial)


def test_an_odd_last_byte_is_the_high_half() -> None:
    """An odd last byte counts as the high half of a word."""
    assert ones_sum(b"\x00\x01\x02") == 0x0201


@pytest.mark.parametrize(
    ("octets", "expected"),
    [(b"", 0xFFFF), (b"\0\0", 0xFFFF), (b"\xff\xff", 0), (b"\xff\xff\xff\xff", 0), (b"\xff\xfe\0\1", 0)],
)
def test_the_two_zeros(octets: bytes, expected: int) -> None:
    """Only all-zero bytes give 0xffff; any other multiple of 0xffff gives 0."""
    assert checksum(octets) == expected


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_buffers(kind: type) -> None:
    """Any buffer of bytes is summed."""
    assert checksum(kind(b"\x01\x02\x03")) == checksum(b"\x01\x02\x03")


@given(s.pairs, st.integers(0, 255), st.integers(0, 0xFFFFFFFF))
def test_pseudo_sum(pair: tuple[s.Address, s.Address], protocol: int, length: int) -> None:
    """The pseudo-header's sum is that of its bytes, laid out as in RFC 8200 section 8.1."""
    src, dst = pair[0].packed, pair[1].packed
    laid_out = src + dst + length.to_bytes(4, "big") + bytes((0, 0, 0, protocol))
    assert pseudo_sum(src, dst, protocol, length) == 0xFFFF - reference(laid_out)


@given(s.pairs, st.binary(max_size=60))
def test_transport_checksum_verifies(pair: tuple[s.Address, s.Address], body: bytes) -> None:
    """A segment with its transport checksum stored verifies."""
    src, dst = pair[0].packed, pair[1].packed
    total = transport_checksum(src, dst, 6, b"\0\0" + body)
    assert transport_checksum_ok(src, dst, 6, total.to_bytes(2, "big") + body)


@given(st.binary(max_size=60))
def test_transport_checksum_against_scapy(body: bytes) -> None:
    """The transport checksum is what scapy computes."""
    src, dst = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))
    assert transport_checksum(src, dst, 6, body) == inet.in4_chksum(6, inet.IP(src="10.0.0.1", dst="10.0.0.2"), body)


ZERO_BODY = (0xFFFF - pseudo_sum(b"\1\1\1\1", b"\2\2\2\2", 17, 2)).to_bytes(2, "big")
ZERO_TCP_BODY = (0xFFFF - pseudo_sum(b"\1\1\1\1", b"\2\2\2\2", 6, 2)).to_bytes(2, "big")


def test_udp_computes_no_zero() -> None:
    """A UDP checksum that computes to 0 is sent as 0xffff, RFC 768."""
    assert transport_checksum(b"\1\1\1\1", b"\2\2\2\2", 17, ZERO_BODY) == 0xFFFF


def test_tcp_computes_zero() -> None:
    """A TCP checksum that computes to 0 stays 0."""
    assert transport_checksum(b"\1\1\1\1", b"\2\2\2\2", 6, ZERO_TCP_BODY) == 0


def test_rfc_1624_example() -> None:
    """The worked example of RFC 1624 section 4 gives 0x0000, where RFC 1141 gave 0xffff."""
    assert update_checksum(0xDD2F, 0x5555, 0x3285) == 0x0000


@given(st.binary(min_size=2, max_size=64), st.data())
def test_update_equals_computing_again(octets: bytes, data: st.DataObject) -> None:
    """The updated checksum is the one over the changed bytes, for words of 16, 32 and 128 bits."""
    size = data.draw(st.sampled_from([n for n in (2, 4, 16) if n <= len(octets)]))
    at = data.draw(st.integers(0, (len(octets) - size) // 2)) * 2
    new = data.draw(st.binary(min_size=size, max_size=size))
    changed = octets[:at] + new + octets[at + size :]
    expected = checksum(changed) if any(changed) else 0  # see the docstring
    if not any(octets):
        return
    old = int.from_bytes(octets[at : at + size], "big")
    assert update_checksum(checksum(octets), old, int.from_bytes(new, "big")) == expected


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.integers(0, 0xFFFF))
def test_a_wrong_checksum_stays_wrong(field: int, old: int, new: int) -> None:
    """Updating and updating back gives the same checksum, right or wrong, up to the two zeros."""
    back = update_checksum(update_checksum(field, old, new), new, old)
    assert back % 0xFFFF == field % 0xFFFF
