"""A page fetched through a tun, from one private network to another."""

from __future__ import annotations

import re

import pytest

from .program import printed_by


@pytest.mark.kernel
def test_fetches_the_page() -> None:
    """The request arrives from the client's address, the whole page comes back, and all of it went by the tun."""
    request, answer, packets = printed_by("rootless_fetch.py")
    assert request == "10.9.0.2: GET /index.html HTTP/1.0, from 10.9.0.1"
    assert answer == "10.9.0.1: HTTP/1.0 200 OK, 240000 bytes"
    counts = re.fullmatch(r"vpn0: (\d+) packets out, (\d+) in", packets)
    assert counts
    out, in_ = map(int, counts.groups())
    assert out >= 5  # SYN, ACK, the request, acknowledgements, FIN
    assert in_ >= -(-240000 // 1460)  # full segments, at least
