"""A train: what follows what, and the super-packet that is built of it, field by field."""

from __future__ import annotations

from typing import Any

import pytest

from aiotun.offload import MAX_SEGMENTS, MAX_SIZE, coalesce
from aiotun.packet import pseudo_sum

from . import packets as p

VERSIONS = pytest.mark.parametrize("version", [4, 6])


@VERSIONS
@pytest.mark.parametrize("link", [0, 14, 18, 22])
@pytest.mark.parametrize(
    ("protocol", "header", "offset", "kinds"), [("tcp", 20, 16, {4: 1, 6: 4}), ("udp", 8, 6, {4: 5, 6: 5})]
)
def test_the_fields(version: int, link: int, protocol: str, header: int, offset: int, kinds: dict[int, int]) -> None:
    """The super-packet has the fields, lengths and sums that the kernel wants, Ethernet header included."""
    batch = [p.link_header(version, link) + packet for packet in p.train(version, protocol, 100, 100, 30)]
    (merged,) = coalesce(batch, link > 0)
    start = link + (20 if version == 4 else 40)
    assert vars(merged) == {
        "gso_type": kinds[version],
        "gso_size": 100,
        "hdr_len": start + header,
        "csum_start": start,
        "csum_offset": offset,
        "needs_csum": True,
        "fixed_id": False,
    }
    inner = merged[link:]
    length = len(merged) - start
    ends = (inner[12:16], inner[16:20]) if version == 4 else (inner[8:24], inner[24:40])
    pseudo = pseudo_sum(*ends, 6 if protocol == "tcp" else 17, length)
    assert merged[start + offset : start + offset + 2] == pseudo.to_bytes(2, "big")
    whole = p.tcp if protocol == "tcp" else p.udp
    payload = b"\0" * 100 + b"\1" * 100 + b"\2" * 30
    expected = whole(version, payload, ip=p.ident(version, 8))
    at = start - link + offset
    assert inner == p.patched(expected, at, pseudo.to_bytes(2, "big"))
    assert merged[:link] == batch[0][:link]
    merged.check(link > 0)  # type: ignore[attr-defined]


def test_a_pseudo_sum_as_measured() -> None:
    """The checksum field is folded and not complemented."""
    (merged,) = coalesce(p.stream(4, [100, 100]))
    total = sum(int.from_bytes(merged[at : at + 2], "big") for at in range(12, 20, 2)) + 6 + 220
    assert int.from_bytes(merged[36:38], "big") == total % 0xFFFF


@VERSIONS
def test_options_and_extension_headers_stay(version: int) -> None:
    """hdr_len and csum_start count TCP options and IPv6 extension headers."""
    ip = {"extensions": p.hop_by_hop(16)} if version == 6 else {}
    batch = [
        p.tcp(version, b"x" * 10, seq=100 + 10 * n, options=b"\x01" * 12, ip={**ip, **p.ident(version, n)})
        for n in (0, 1)
    ]
    (merged,) = coalesce(batch)
    start = 20 if version == 4 else 56
    assert (merged.csum_start, merged.hdr_len) == (start, start + 32)  # type: ignore[attr-defined]
    assert p.cut([merged]) == batch


@VERSIONS
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_D3_a_short_one_is_the_last(version: int, protocol: str) -> None:
    """D3: after a packet shorter than the first nothing joins, of whatever size."""
    for after in (1, 29, 30, 100):
        assert p.sizes(coalesce(p.train(version, protocol, 100, 100, 30, after))) == [230, after]


@VERSIONS
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_D4_a_larger_one_starts_anew(version: int, protocol: str) -> None:
    """D4: a packet larger than the first does not join, and takes what follows it."""
    assert p.sizes(coalesce(p.train(version, protocol, 99, 100, 100))) == [99, 200]
    assert p.sizes(coalesce(p.train(version, protocol, 1, 2))) == [1, 2]


@VERSIONS
def test_D1_sequence_numbers_wrap(version: int) -> None:
    """D1: a train goes on over 0xffffffff, also where a packet ends exactly there."""
    for start in (2**32 - 150, 2**32 - 100, 2**32 - 200):
        batch = p.stream(version, [100, 100, 100], seq=start)
        assert p.cut(coalesce(batch)) == batch
        assert len(coalesce(batch)) == 1


def test_D11_identifications_wrap() -> None:
    """D11: the IPv4 identification goes on over 0xffff, there and back."""
    for batch in (p.stream(4, [10] * 5, ident=65533), p.datagrams(4, [10] * 5, ident=65533)):
        (merged,) = coalesce(batch)
        assert p.cut([merged]) == batch


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize(
    ("dont_fragment", "numbers", "expected"),
    [
        (True, [8, 8, 8], [3]),
        (True, [8, 9, 10], [3]),
        (False, [8, 8, 8], [1, 1, 1]),
        (False, [8, 9, 9], [2, 1]),
        (True, [8, 10], [1, 1]),
        (True, [8, 7], [1, 1]),
        (True, [0, 0xFFFF], [1, 1]),
        (False, [0xFFFF, 0], [2]),
        (True, [8, 8, 9, 10], [2, 2]),
        (True, [8, 9, 9, 9], [2, 2]),
    ],
)
def test_identifications(protocol: str, dont_fragment: bool, numbers: list[int], expected: list[int]) -> None:
    """The second packet decides: they count up, or stay if DF is set; either way they come back as they were."""
    make = p.tcp if protocol == "tcp" else p.udp
    batch = []
    for at, number in enumerate(numbers):
        ip = {"identification": number, "dont_fragment": dont_fragment}
        fields: dict[str, Any] = {"seq": 100 + at * 10} if protocol == "tcp" else {}
        batch.append(make(4, bytes((at,)) * 10, ip=ip, **fields))
    merged = coalesce(batch)
    assert [size // 10 for size in p.sizes(merged)] == expected
    assert p.cut(merged) == batch
    fixed = [vars(packet)["fixed_id"] for packet in merged if type(packet) is not bytes]
    assert fixed == [numbers[0] == numbers[1], numbers[-1] == numbers[-2]][: len(fixed)]


def test_fixed_id_is_for_ipv4() -> None:
    """An IPv6 super-packet never says fixed_id."""
    for make in (p.stream, p.datagrams):
        assert vars(coalesce(make(6, [10, 10]))[0])["fixed_id"] is False


@VERSIONS
def test_D5_push_ends_a_train(version: int) -> None:
    """D5: a packet with PSH is the last of its super-packet, which then says PSH; alone it starts none."""
    first, second, third, fourth = p.stream(version, [10, 10, 10, 10])

    def pushed(number: int) -> bytes:
        seq = 100 + number * 10
        return p.tcp(version, bytes((number,)) * 10, seq=seq, flags=0x18, ip=p.ident(version, 8 + number))

    merged = coalesce([first, pushed(1), third, fourth])
    assert p.sizes(merged) == [20, 20]
    assert [packet[p.transport_of(packet) + 13] for packet in merged] == [0x18, 0x10]
    assert p.cut(merged) == [first, pushed(1), third, fourth]
    alone = [pushed(0), second, third]
    assert p.sizes(coalesce(alone)) == [10, 20]
    closed = [first, second, pushed(0), third]
    assert p.sizes(coalesce(closed)) == [20, 10, 10]


@VERSIONS
@pytest.mark.parametrize(
    "fields",
    [
        {"ack": 101},
        {"window": 1},
        {"urgent": 1},
        {"options": b"\x01" * 4},
        {"flags": 0x110},
        {"seq": 109},
        {"seq": 111},
    ],
)
def test_other_tcp_fields_keep_apart(version: int, fields: dict[str, Any]) -> None:
    """A segment that differs in any field that does not count up starts a train of its own."""
    one = p.tcp(version, b"x" * 10, ip=p.ident(version, 8))
    odd = p.tcp(version, b"y" * 10, **({"seq": 110} | fields), ip=p.ident(version, 9))
    batch = [one, odd]
    assert all(packet is other for packet, other in zip(coalesce(batch), batch, strict=True))


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize(
    ("version", "fields"),
    [
        (4, {"tos": 1}),
        (4, {"tos": 4}),
        (4, {"ttl": 63}),
        (4, {"dont_fragment": False}),
        (4, {"reserved": True}),
        (4, {"options": b"\x01" * 4}),
        (6, {"traffic_class": 1}),
        (6, {"traffic_class": 0x80}),
        (6, {"flow_label": 1}),
        (6, {"flow_label": 0x80000}),
        (6, {"hop_limit": 63}),
        (6, {"extensions": p.destination()}),
    ],
)
def test_X1_D9_other_network_fields_keep_apart(version: int, protocol: str, fields: dict[str, Any]) -> None:
    """X1, D9: so does a packet whose network header differs; both orders."""
    make = p.tcp if protocol == "tcp" else p.udp
    for first, second in (({}, fields), (fields, {})):
        seqs: list[dict[str, Any]] = [{}, {"seq": 110}] if protocol == "tcp" else [{}, {}]
        one = make(version, b"x" * 10, ip={"dont_fragment": True} | first if version == 4 else first, **seqs[0])
        ip = {"identification": 1, "dont_fragment": True} | second if version == 4 else second
        other = make(version, b"y" * 10, ip=ip, **seqs[1])
        assert coalesce([one, other]) == [one, other]
    assert len(p.stream(version, [10, 10])) == 2


@VERSIONS
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("size", [1, 2])
def test_the_smallest_payloads(version: int, protocol: str, size: int) -> None:
    """One byte is enough to be merged."""
    batch = p.train(version, protocol, *[size] * 3)
    (merged,) = coalesce(batch)
    assert p.cut([merged]) == batch


@VERSIONS
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize(
    ("count", "cap", "expected"), [(5, 2, [2, 2, 1]), (4, 3, [3, 1]), (3, 1, [1, 1, 1]), (2, 0, [1, 1])]
)
def test_max_segments(version: int, protocol: str, count: int, cap: int, expected: list[int]) -> None:
    """A super-packet has no more packets than the cap; what follows starts another one."""
    merged = coalesce(p.train(version, protocol, *[10] * count), max_segments=cap)
    assert [size // 10 for size in p.sizes(merged)] == expected


@VERSIONS
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_the_default_caps(version: int, protocol: str) -> None:
    """Unless told otherwise 64 packets, and 65535 bytes."""
    assert (MAX_SEGMENTS, MAX_SIZE) == (64, 65535)
    assert [size // 10 for size in p.sizes(coalesce(p.train(version, protocol, *[10] * 130)))] == [64, 64, 2]


@VERSIONS
@pytest.mark.parametrize(("protocol", "cap"), [("tcp", [200]), ("udp", [128, 72])])
def test_the_kernels_cap_of_udp(version: int, protocol: str, cap: list[int]) -> None:
    """However many are allowed, UDP has at most the 128 that a tun takes."""
    merged = coalesce(p.train(version, protocol, *[10] * 200), max_segments=1000)
    assert [size // 10 for size in p.sizes(merged)] == cap
    for packet in merged:
        packet.check()  # type: ignore[attr-defined]


@VERSIONS
@pytest.mark.parametrize(("protocol", "header"), [("tcp", 20), ("udp", 8)])
@pytest.mark.parametrize("link", [0, 18])
def test_max_size(version: int, protocol: str, header: int, link: int) -> None:
    """The IP packet is no longer than allowed, an Ethernet header not counted."""
    batch = [p.link_header(version, link) + packet for packet in p.train(version, protocol, 10, 10, 10)]
    whole = (20 if version == 4 else 40) + header + 30
    assert p.sizes(coalesce(batch, link > 0, max_size=whole), link) == [30]
    assert p.sizes(coalesce(batch, link > 0, max_size=whole - 1), link) == [20, 10]


@VERSIONS
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_D2_the_largest_packet(version: int, protocol: str) -> None:
    """D2: an IP packet of 65535 bytes is made, one of 65536 is not, whatever is allowed."""
    header = (20 if version == 4 else 40) + (20 if protocol == "tcp" else 8)
    last = (65535 - header) % 4000
    count = (65535 - header) // 4000
    fit = p.train(version, protocol, *[4000] * count, last)
    assert p.sizes(coalesce(fit, max_size=1 << 20)) == [65535 - header]
    over = p.train(version, protocol, *[4000] * count, last + 1)
    assert p.sizes(coalesce(over, max_size=1 << 20)) == [count * 4000, last + 1]
    assert p.cut(coalesce(over)) == over
