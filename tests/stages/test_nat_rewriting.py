"""New addresses and ports in any packet: what comes out is what one would have built."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packet import strategies as s

from aiotun.offload import complete
from aiotun.packet import IPv4
from aiotun.stages.nat_locating import locate
from aiotun.stages.nat_rewriting import translate, translate_later
from aiotun.stages.nat_session import Rewriting

from .packets import ENDS, header_ok, partial, tcp, udp

MAKERS = {"tcp": tcp, "udp": udp}


def packed(address: str) -> bytes:
    return ip_address(address).packed


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("version", [4, 6])
@given(data=st.data())
def test_as_if_built(version: int, kind: str, data: st.DataObject) -> None:
    """A packet with a new address and port at either end is the one built with these, also if finished later."""
    addresses = (s.addresses4 if version == 4 else s.addresses6).map(str)
    source = data.draw(st.booleans())
    old, new = data.draw(addresses), data.draw(addresses)
    port, other = data.draw(st.integers(0, 0xFFFF)), data.draw(st.integers(0, 0xFFFF))
    payload = data.draw(st.binary(max_size=20))
    end = "src" if source else "dst"

    def built(address: str, number: int) -> bytes:
        fields: dict[str, Any] = {end: address}
        return MAKERS[kind](version, payload, ports=(number, 9) if source else (9, number), **fields)

    before = built(old, port)
    found = locate(before)
    assert not isinstance(found, str)
    rewriting = Rewriting.of(packed(old), port.to_bytes(2, "big"), packed(new), other.to_bytes(2, "big"))
    after, expected = translate(before, found, rewriting, source), built(new, other)
    assert _same(after, expected)
    assert _same(complete(translate(partial(before), found, rewriting, source)), expected)


def _same(after: bytes, expected: bytes) -> bool:
    """Whether two packets are equal; a sum of 0 and one of 0xffff are, in TCP."""
    if after == expected:
        return True
    start = 20 if after[0] >> 4 == 4 else 40
    sums = {after[start + 16 : start + 18], expected[start + 16 : start + 18]}
    return sums == {b"\0\0", b"\xff\xff"} and after[: start + 16] == expected[: start + 16]


def test_a_later_fragment() -> None:
    """A fragment without ports gets the address, and a header that sums up."""
    packet = IPv4(*ENDS[4], 17, bytes(16), fragment_offset=5).build()
    new = Rewriting.of(packed(ENDS[4][1]), b"\0\1", packed("192.0.2.99"), b"\0\2")
    after = translate_later(packet, new, False)
    assert after == IPv4(ENDS[4][0], "192.0.2.99", 17, bytes(16), fragment_offset=5).build()
    assert header_ok(after)
