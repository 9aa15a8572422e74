"""The C program's way: what the requests of the BSDs answer."""

from __future__ import annotations

from .program import printed_by


def test_prints_what_the_drivers_answer() -> None:
    """Nodes, requests both ways, the signal, the packet behind its family, and what each close leaves behind."""
    assert printed_by("tun_ioctls.py") == [
        "/dev/tun: tun4, nodes: tun tap tun0 tun1 tun2 tun3 tun4",
        "packed: 1000000 1400 23",
        "typed: TunInfo(baudrate=1000000, mtu=1400, type=23) <Flags.UP|POINTOPOINT|RUNNING|MULTICAST: 32849>",
        "status: Opened by PID ours",
        "signal: SIGIO",
        "FIONREAD: 37 bytes",
        "read: 2 10.9.0.1.4000 > 10.9.0.2.9: UDP length 5",
        "closed: tun4 is down, addresses []",
        "/dev/tap: tap0",
        "net.link.tap.tap0 = f2:0b:a4:00:00:01",
        "ENOTTY: tap0: no request TUNGIFINFO",
        "left: tun4",
    ]
