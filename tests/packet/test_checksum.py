"""The internet checksum against a slow reading of RFC 1071, at every length a packet can have here."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twins import both

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

Sum = Callable[..., int]

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


@both(ones_sum)
def test_rfc_1071_example(form: Sum) -> None:
    """The worked example of RFC 1071 section 3 sums to 0xddf2."""
    assert form(bytes.fromhex("0001f203f4f5f6f7")) == 0xDDF2


@both(checksum)
@pytest.mark.parametrize(
    ("fill", "lengths"),
    [("random", range(9002)), ("zeros", range(0, 9002, 97)), ("ones", range(0, 9002, 97))],
)
def test_every_length(form: Sum, fill: str, lengths: range) -> None:
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
        assert form(octets[:length]) == reference(b"", even + tail), length


@both(checksum)
@pytest.mark.parametrize("length", [65534, 65535, 65536])
def test_the_longest_packets(form: Sum, length: int) -> None:
    """The checksum equals the slow reference at the longest lengths there are."""
    assert form(RANDOM[:length]) == reference(RANDOM[:length])


@both(checksum)
@given(octets=st.binary(max_size=70), initial=st.integers(0, 1 << 40) | st.integers(0, 1 << 100))
def test_initial(form: Sum, octets: bytes, initial: int) -> None:
    """An initial sum of any size counts like bytes that came before."""
    assert form(octets, initial) == reference(octets, initial)


@given(st.binary(max_size=70), st.integers(0, 1 << 40))
def test_the_sum_is_the_complement(octets: bytes, initial: int) -> None:
    """The one's complement sum is the checksum's complement."""
    assert ones_sum(octets, initial) == 0xFFFF - checksum(octets, initial)


@both(ones_sum)
def test_an_odd_last_byte_is_the_high_half(form: Sum) -> None:
    """An odd last byte counts as the high half of a word."""
    assert form(b"\x00\x01\x02") == 0x0201


@both(checksum)
@pytest.mark.parametrize(
    ("octets", "expected"),
    [(b"", 0xFFFF), (b"\0\0", 0xFFFF), (b"\xff\xff", 0), (b"\xff\xff\xff\xff", 0), (b"\xff\xfe\0\1", 0)],
)
def test_the_two_zeros(form: Sum, octets: bytes, expected: int) -> None:
    """Only all-zero bytes give 0xffff; any other multiple of 0xffff gives 0."""
    assert form(octets) == expected


@both(checksum)
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_buffers(form: Sum, kind: type) -> None:
    """Any buffer of bytes is summed."""
    assert form(kind(b"\x01\x02\x03")) == form(b"\x01\x02\x03")


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


# --- the twins --------------------------------------------------------------------------------------


@both(checksum)
@pytest.mark.parametrize("offset", range(9))
def test_every_alignment(form: Sum, offset: int) -> None:
    """Bytes are summed from wherever they begin."""
    for length in [*range(70), 1500, 9001]:
        octets = memoryview(RANDOM)[offset : offset + length]
        assert form(octets) == reference(bytes(octets)), length


@both(ones_sum)
@given(octets=st.binary(max_size=70), initial=st.integers(0, 1 << 100))
def test_the_sum_in_both_forms(form: Sum, octets: bytes, initial: int) -> None:
    """The one's complement sum is the reference's complement, whatever it starts from."""
    assert form(octets, initial) == form(octets, initial=initial) == 0xFFFF - reference(octets, initial)


@both(checksum)
@pytest.mark.parametrize("initial", [0xFFFF, 0xFFFF * 5, 0xFFFF << 100, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, 1 << 64])
def test_initial_at_the_edges(form: Sum, initial: int) -> None:
    """A sum to start from counts by its value modulo 0xffff, also beyond a machine's word, and is 0 only if it is 0."""
    assert form(b"", initial) == 0xFFFF - (initial % 0xFFFF or 0xFFFF)


@both(checksum)
@pytest.mark.parametrize("initial", [-1, -(1 << 100)])
def test_a_negative_sum(form: Sum, initial: int) -> None:
    """No sum is negative: one to start from that is, is refused."""
    with pytest.raises(ValueError, match=f"initial is a sum, 0 or more, not {initial}"):
        form(b"", initial)


@both(checksum)
def test_a_view_with_gaps(form: Sum) -> None:
    """A view that skips bytes is summed as the bytes it shows."""
    assert form(memoryview(RANDOM)[:101:2]) == reference(RANDOM[:101:2])


@both(checksum)
@pytest.mark.parametrize("arguments", [("text",), (5,), (), (b"", b""), (b"", 0, 0)])
def test_wrong_arguments(form: Sum, arguments: tuple[object, ...]) -> None:
    """Arguments that are no bytes and no number, or too many, are a TypeError."""
    with pytest.raises(TypeError):
        form(*arguments)


@both(checksum)
@pytest.mark.parametrize("keywords", [{"first": 0}, {"octets": b"twice"}])
def test_wrong_keywords(form: Sum, keywords: dict[str, object]) -> None:
    """A keyword that is not known, or given already, is a TypeError."""
    with pytest.raises(TypeError):
        form(b"", **keywords)


@both(checksum)
def test_a_buffer_is_let_go(form: Sum) -> None:
    """After the sum a bytearray can grow again."""
    octets = bytearray(b"\0\1")
    form(octets)
    octets.append(0)
