"""
The cases of the kernel's own GRO test, each a train of packets and the payloads that shall come out.

The cases and what Linux makes of them: tools/testing/selftests/net/lib/gro.c. Where the answer here is another one, the
table says why; what came out is always cut again, and must be what went in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from attrs import frozen

from aiotun.offload import coalesce
from aiotun.packet import TCPFlag

from . import packets as p

SIZE = 100
"""Payload of a packet, in bytes."""
MTU = 4096

Batches = list[list[bytes]]
"""Packets that arrive together; what a batch leaves open is closed before the next."""

TIMESTAMP = b"\x08\x0a" + bytes(8)
LATER = b"\x08\x0a\0\0\0\x64" + bytes(4)
NOP = b"\x01"
WINDOW = b"\x03\x03\0"


@frozen
class Case:
    """One case."""

    name: str
    train: Callable[[int], Batches]
    expected: Sequence[int] | Callable[[int], Sequence[int]]
    versions: tuple[int, ...] = (4, 6)
    linux: Sequence[int] | None = None
    """What Linux answers, if it is something else."""
    reason: str = ""
    """Why the answer here is another one."""


def data(version: int, *sizes: int) -> list[bytes]:
    return p.stream(version, sizes)


def burst(version: int) -> Batches:
    whole = data(version, SIZE, SIZE, SIZE, SIZE)
    return [whole[:2], whole[2:]]


def acks(version: int) -> Batches:
    return [[p.tcp(version, b""), p.tcp(version, b""), p.tcp(version, b"", ack=101)]]


def flagged(flag: TCPFlag, *, size: int = SIZE, at: tuple[int, ...] = (2,)) -> Callable[[int], Batches]:
    """Five packets; those at *at* have one more flag, and where they carry nothing leave a gap."""

    def train(version: int) -> Batches:
        packets = data(version, *[SIZE] * 5)
        for number in at:
            ip = {"identification": 8 + number} if version == 4 else {}
            seq = 100 + number * size
            payload = bytes((number,)) * size
            packets[number] = p.tcp(version, payload, seq=seq, flags=int(TCPFlag.ACK | flag), ip=ip)
        return [packets]

    return train


def bad_checksum(version: int) -> Batches:
    one, other = data(version, SIZE, SIZE)
    at = p.transport_of(other) + 16
    return [[one, p.patched(other, at, bytes((other[at] ^ 1,)))]]


def wrong_seq(version: int) -> Batches:
    return [[data(version, SIZE)[0], p.stream(version, [SIZE], seq=100 + SIZE + 1, ident=9)[0]]]


def timestamps(version: int) -> Batches:
    options = [
        NOP * 2 + TIMESTAMP,
        NOP * 2 + TIMESTAMP,
        NOP * 2 + LATER,
        NOP + LATER + NOP,
        LATER + NOP * 2,
    ]
    return [with_options(version, options)]


def options(version: int) -> Batches:
    return [with_options(version, [NOP * 2 + TIMESTAMP, NOP * 2 + TIMESTAMP, NOP + WINDOW])]


def with_options(version: int, options: Sequence[bytes]) -> list[bytes]:
    return [
        p.stream(version, [SIZE], seq=100 + number * SIZE, ident=8 + number, options=one)[0]
        for number, one in enumerate(options)
    ]


def second_ip(four: dict[str, int] | None, six: dict[str, int] | None) -> Callable[[int], Batches]:
    """Two packets, the second one with other fields in its network header."""

    def train(version: int) -> Batches:
        one, _ = data(version, SIZE, SIZE)
        fields = {"identification": 9} | (four or {}) if version == 4 else dict(six or {})
        return [[one, p.tcp(version, b"y" * SIZE, seq=100 + SIZE, ip=fields)]]

    return train


def ip_options(version: int) -> Batches:
    one, two, three = data(version, SIZE, SIZE, SIZE)
    stamp = b"\x44\x0c\x05\0" + bytes(8)
    return [[one, p.tcp(version, b"y" * SIZE, seq=200, ip={"identification": 9, "options": stamp}), three]]


def fragment4(version: int) -> Batches:
    one, _ = data(version, SIZE, SIZE)
    return [[one, p.tcp(version, b"y" * 100, seq=200, ip={"identification": 9, "more_fragments": True})]]


def fragment6(version: int) -> Batches:
    whole = data(version, SIZE, SIZE, SIZE, SIZE)
    return [whole[:2], [p.tcp(6, b"y" * SIZE, seq=300, ip={"extensions": b"\x2c\0\0\0\0\0\0\0"}), whole[3]]]


def idents(dont_fragment: bool, *numbers: int) -> Callable[[int], Batches]:
    def train(version: int) -> Batches:
        return [
            [
                p.tcp(
                    4, b"y" * SIZE, seq=100 + at * SIZE, ip={"identification": number, "dont_fragment": dont_fragment}
                )
                for at, number in enumerate(numbers)
            ]
        ]

    return train


def extensions(*contents: bytes) -> Callable[[int], Batches]:
    def train(version: int) -> Batches:
        return [
            [
                p.tcp(6, b"y" * SIZE, seq=100 + at * SIZE, ip={"extensions": b"\x3c\0" + content})
                for at, content in enumerate(contents)
            ]
        ]

    return train


def header(version: int) -> int:
    return 40 if version == 4 else 60


def room(version: int) -> int:
    """The largest payload of an IP packet of 65535 bytes."""
    return 65535 - header(version)


def mss(version: int) -> int:
    return MTU - header(version)


def large(more: int) -> Callable[[int], Batches]:
    """As many full packets as one super-packet takes, one that fills it, or *more* than that, and one after a gap."""

    def train(version: int) -> Batches:
        count, rest = divmod(room(version), mss(version))
        packets = data(version, *[mss(version)] * count, rest + more)
        after = 100 + (count + 1) * mss(version)
        return [[*packets, *p.stream(version, [rest + more], seq=after, ident=8 + count + 1)]]

    return train


def large_rem(version: int) -> Sequence[int]:
    rest = room(version) % mss(version)
    return room(version) - rest, rest + 1, rest + 1


def capacity(version: int) -> Batches:
    flows = [p.stream(version, [200, 200], src_port=1500 + number) for number in range(4)]
    last = [
        p.tcp(
            version,
            p.payload_of(flow[1]),
            seq=300,
            flags=0x18,
            src_port=1500 + number,
            ip={"identification": 9} if version == 4 else None,
        )
        for number, flow in enumerate(flows)
    ]
    return [[*(flow[0] for flow in flows), *last]]


CWR = "a super-packet keeps CWR on its first segment alone, and the vnet header cannot ask for more"
DF0 = "without DF an identification has a meaning, and the segments of a super-packet count it up"

CASES = [
    Case("data_same", lambda v: [data(v, SIZE, SIZE)], [200]),
    Case("data_lrg_sml", lambda v: [data(v, SIZE, SIZE // 2)], [150]),
    Case("data_lrg_1byte", lambda v: [data(v, SIZE, 1)], [101]),
    Case("data_sml_lrg", lambda v: [data(v, SIZE // 2, SIZE)], [50, 100]),
    Case("data_burst", burst, [200, 200]),
    Case("ack", acks, [0, 0, 0]),
    Case("flags_psh", flagged(TCPFlag.PSH), [300, 200]),
    Case("flags_syn", flagged(TCPFlag.SYN, size=0), [200, 0, 200]),
    Case("flags_rst", flagged(TCPFlag.RST, size=0), [200, 0, 200]),
    Case("flags_urg", flagged(TCPFlag.URG, size=0), [200, 0, 200]),
    Case("flags_cwr", flagged(TCPFlag.CWR, at=(1, 2)), [100, 100, 100, 200], linux=[100, 200, 200], reason=CWR),
    Case("tcp_csum", bad_checksum, [100, 100]),
    Case("tcp_seq", wrong_seq, [100, 100]),
    Case("tcp_ts", timestamps, [200, 100, 100, 100]),
    Case("tcp_opt", options, [200, 100]),
    Case("ip_ecn", second_ip({"tos": 2}, {"traffic_class": 2}), [100, 100]),
    Case("ip_tos", second_ip({"tos": 4}, {"traffic_class": 0xF0}), [100, 100]),
    Case("ip_ttl", second_ip({"ttl": 7}, None), [100, 100], (4,)),
    Case("ip_opt", ip_options, [100, 100, 100], (4,)),
    Case("ip_frag4", fragment4, [100, 100], (4,)),
    Case("ip_id_df1_inc", idents(True, 8, 9), [200], (4,)),
    Case("ip_id_df1_fixed", idents(True, 8, 8), [200], (4,)),
    Case("ip_id_df0_inc", idents(False, 8, 9), [200], (4,)),
    Case("ip_id_df0_fixed", idents(False, 8, 8), [100, 100], (4,), linux=[200], reason=DF0),
    Case("ip_id_df1_inc_fixed", idents(True, 8, 9, 9), [200, 100], (4,)),
    Case("ip_id_df1_fixed_inc", idents(True, 8, 8, 9), [200, 100], (4,)),
    Case("ip_frag6", fragment6, [200, 100, 100], (6,)),
    Case("ip_v6ext_same", extensions(bytes(6), bytes(6)), [200], (6,)),
    Case("ip_v6ext_diff", extensions(bytes(6), b"\x11" * 6), [100, 100], (6,)),
    Case("large_max", large(0), lambda v: [room(v), room(v) % mss(v)]),
    Case("large_rem", large(1), large_rem),
    Case("single", lambda v: [data(v, SIZE)], [100]),
    Case("capacity", capacity, [400, 400, 400, 400]),
]

ROWS = [pytest.param(case, version, id=f"{case.name}-ipv{version}") for case in CASES for version in case.versions]


def carried(packet: bytes) -> int:
    """How much a packet carries; of a fragment, which this room never looks into, as if it were none."""
    if packet[0] >> 4 == 6 and packet[6] == 44:
        return len(packet) - 68
    return (
        len(packet) - (packet[0] & 0xF) * 4 - 20
        if packet[0] >> 4 == 4 and packet[6] & 0x20
        else len(p.payload_of(packet))
    )


@pytest.mark.parametrize(("case", "version"), ROWS)
def test_case(case: Case, version: int) -> None:
    """The payloads that come out are those of the table, and cut again they are, flow by flow, what went in."""
    batches = case.train(version)
    merged = [coalesce(batch) for batch in batches]
    expected = case.expected(version) if callable(case.expected) else case.expected
    assert [carried(packet) for batch in merged for packet in batch] == list(expected)
    assert [p.by_flow(p.cut(batch)) for batch in merged] == [p.by_flow(batch) for batch in batches]


def test_there_are_33_cases() -> None:
    """The kernel's test has 33 cases, each here once."""
    assert len({case.name for case in CASES}) == len(CASES) == 33


def test_a_departure_has_its_reason() -> None:
    """Where Linux answers something else the table says why, and nowhere else."""
    assert {case.name for case in CASES if case.reason} == {"flags_cwr", "ip_id_df0_fixed"}
    assert all((case.linux is None) == (not case.reason) for case in CASES)


@pytest.mark.parametrize("field", ["hop_limit", "flow_label"])
def test_what_linux_does_not_test(field: str) -> None:
    """Different hop limits or flow labels keep IPv6 packets apart, since cutting gives all segments the first one's."""
    (batch,) = second_ip(None, {field: 7})(6)
    assert coalesce(batch) == batch
