"""
Does ``segment()`` do what the kernel does? Random super-packets through both.

    python tests/offload/oracle.py --packets 100000 --seed 1

needs root. Each packet is written to one device and what the kernel makes of it read from another; the tests run some
hundreds, this program as many as you like, and it says of the first differences what went in.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from aiotun import offload
from aiotun.offload.headers import find_network
from aiotun.packet import GSO_ECN, TCP, UDP, SuperPacket
from offload import packets as p
from offload.rig import LARGEST, Kernel, kernel


def random_packet(rng: random.Random, ethernet: bool) -> bytes:
    """Return a super-packet, or now and then one that only needs its checksum, or none."""
    version, is_tcp = rng.choice((4, 6)), rng.random() < 0.5
    link = rng.choice((14, 14, 18, 22)) if ethernet else 0
    ip = random_ip(rng, version)
    room = (65521 if ethernet else LARGEST) - 40 - 60 - len(ip.get("extensions", ip.get("options", b"")))
    size = min(room, int(rng.choice((1, 100, 3000, 3000, 20000, room)) * rng.random()) + rng.randrange(3))
    payload = rng.randbytes(size)
    src, dst = ip["src"], ip["dst"]
    if is_tcp:
        transport = TCP(
            rng.randrange(65536),
            rng.randrange(65536),
            payload,
            seq=rng.choice((rng.getrandbits(32), 2**32 - 1 - rng.randrange(size + 1))),
            ack=rng.getrandbits(32),
            flags=rng.getrandbits(9),
            window=rng.getrandbits(16),
            urgent=rng.choice((0, rng.getrandbits(16))),
            options=rng.randbytes(4 * rng.choice((0, 3, rng.randrange(11)))),
        ).build(src, dst)
    else:
        transport = UDP(rng.randrange(65536), rng.randrange(65536), payload).build(src, dst)
    packet = p.wrap(version, 6 if is_tcp else 17, transport, **ip)
    least = 1 if is_tcp and size < 3000 else size // (128 if not is_tcp else 3000) + 1
    most = rng.choice((least + 10, 1500, size + 5))
    gso_size = rng.randint(least, max(least, min(65534, most)))
    whole = p.super_packet(packet, gso_size, link=p.link_header(version, link))
    chance = rng.random()
    if chance < 0.05:
        return bytes(p.link_header(version, link) + packet)
    if chance < 0.12:
        return p.with_fields(whole, gso_type=0, gso_size=0)
    if is_tcp and chance < 0.17:
        return p.with_fields(whole, needs_csum=False, csum_start=rng.choice((0, whole.csum_start)))
    if is_tcp and chance < 0.4:
        return p.with_fields(whole, gso_type=whole.gso_type | GSO_ECN)
    if chance < 0.6:
        return p.with_fields(whole, hdr_len=rng.choice((0, len(whole), max(14, rng.randrange(len(whole))))))
    return whole


def random_ip(rng: random.Random, version: int) -> dict[str, Any]:
    """Return the fields of a network header that the kernel forwards."""
    low = rng.randrange(2, 250)
    if version == 4:
        return {
            "src": f"10.0.{rng.randrange(256)}.{low}",
            "dst": f"10.1.{rng.randrange(256)}.{low}",
            "tos": rng.getrandbits(8),
            "ttl": rng.randrange(2, 256),
            "identification": rng.choice((rng.getrandbits(16), 0xFFFF, 0xFFF0)),
            "dont_fragment": rng.random() < 0.5,
            "options": b"\x01" * (4 * rng.choice((0, 0, 0, 1, 10))),
        }
    kinds = rng.choice(((), (), (p.destination,), (p.hop_by_hop,), (p.hop_by_hop, p.destination)))
    extensions = b"".join(kind(8 * rng.randint(1, 4)) for kind in kinds)
    if rng.random() < 0.2:
        extensions += p.routing()
    return {
        "src": f"fd00:a::{low:x}:2",
        "dst": f"fd00:b::{low:x}:2",
        "traffic_class": rng.getrandbits(8),
        "hop_limit": rng.randrange(2, 256),
        "flow_label": rng.getrandbits(20),
        "extensions": extensions,
    }


def routed(packet: bytes) -> bytes:
    """Return *packet* with a hop less to live, as a router sends it on."""
    if packet[0] >> 4 == 4:
        hopped: bytes = p.fixed_ip(p.patched(packet, 8, bytes((packet[8] - 1,))))
    else:
        hopped = p.patched(packet, 7, bytes((packet[7] - 1,)))
    return SuperPacket(hopped, **vars(packet)) if isinstance(packet, SuperPacket) else hopped


def lost_by_the_kernel(packet: SuperPacket, network: int) -> bool:
    """
    Say whether the kernel takes a lone segment for several, and drops it where it finds that out.

    virtio_net_hdr_to_skb() counts TCP options as payload, and without NEEDS_CSUM every header but the plainest;
    tcp_gso_segment() does not. Here one segment is one packet.
    """
    kind = packet.gso_type & ~GSO_ECN
    if kind not in (1, 4):
        return False
    transport = p.transport_of(packet, network)
    headers = (packet.csum_start if packet.needs_csum else {1: 20, 4: 40}[kind]) + 20
    return len(packet) - headers > packet.gso_size >= len(packet) - transport - (packet[transport + 12] >> 4) * 4


def expected(packet: bytes, ethernet: bool) -> list[bytes]:
    """Return what should come out of the second device."""
    network = find_network(packet) if ethernet else 0
    if isinstance(packet, SuperPacket) and lost_by_the_kernel(packet, network):
        return []
    return offload.segment(packet if ethernet else routed(packet), ethernet)


Difference = tuple[bytes, list[bytes], list[bytes]]


def differences(judge: Kernel, seed: int, count: int, ethernet: bool) -> Iterator[Difference]:
    """Yield each random packet of which the kernel makes something else, with its answer and ours."""
    rng = random.Random(seed)
    for _ in range(count):
        packet = random_packet(rng, ethernet)
        theirs, ours = judge.forward(packet), expected(packet, ethernet)
        if theirs != ours:
            yield packet, theirs, ours


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packets", type=int, default=10_000, help="how many to try (default 10000)")
    parser.add_argument("--seed", type=int, default=1, help="the seed of all that is random (default 1)")
    parser.add_argument("--ethernet", action="store_true", help="frames through a bridge, not packets through a router")
    given = parser.parse_args()
    found, start = 0, time.monotonic()
    with kernel(ethernet=given.ethernet) as judge:
        step = 1000
        for done in range(0, given.packets, step):
            chunk = min(step, given.packets - done)
            for packet, theirs, ours in differences(judge, given.seed * 1_000_003 + done, chunk, given.ethernet):
                found += 1
                if found <= 10:
                    print(f"\n{packet!r} {vars(packet) if isinstance(packet, SuperPacket) else ''}")
                    print(f"  headers {packet[:120].hex()}\n  kernel: {len(theirs)} packets, here: {len(ours)}")
                    for number, (one, other) in enumerate(zip(theirs, ours, strict=False)):
                        if one != other:
                            at = next((i for i, (x, y) in enumerate(zip(one, other, strict=False)) if x != y), -1)
                            print(f"  packet {number}, byte {at}\n  {one[:90].hex()}\n  {other[:90].hex()}")
                            break
            rate = (done + chunk) / (time.monotonic() - start)
            print(f"\r{done + chunk} packets, {found} differences, {rate:.0f}/s", end="", flush=True)
    print()
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
