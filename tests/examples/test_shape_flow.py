"""Shaping one flow: the rates a link and a share of it let through, and what that does to a ping."""

from __future__ import annotations

import re
from itertools import product

import pytest
import shape_flow

from aiotun.packet import ICMP, UDP, IPv4, Protocol

from .program import printed_by

LINE = re.compile(r"(\w+) +second (\d): bulk +([\d.]+) Mbit/s, ping +([\d.]+) ms")


@pytest.fixture(scope="module")
def printed() -> dict[tuple[str, int], tuple[float, float]]:
    """Run the example for two seconds each way; give bulk rate and ping delay by run and second."""
    lines = printed_by("shape_flow.py", "--seconds=2")
    found = {}
    for line in lines:
        matched = LINE.fullmatch(line)
        assert matched, line
        found[matched[1], int(matched[2])] = float(matched[3]), float(matched[4])
    return found


def test_prints_a_line_for_each_second(printed: dict[tuple[str, int], tuple[float, float]]) -> None:
    """There is a line for each second, first without and then with shaping."""
    assert list(printed) == list(product(("without", "with"), (1, 2)))


@pytest.mark.parametrize("label, mbits", [("without", 8.0), ("with", 4.0)])
def test_no_more_gets_through_than_the_bucket_allows(
    printed: dict[tuple[str, int], tuple[float, float]], label: str, mbits: float
) -> None:
    """The transfer gets the link's 8 Mbit/s, or its share of 4, and bursts; on a machine that is busy, less."""
    rates = [rate for (name, _), (rate, _) in printed.items() if name == label]
    assert 0 < sum(rates) / len(rates) <= mbits * 1.1


def test_the_ping_waits_no_longer(printed: dict[tuple[str, int], tuple[float, float]]) -> None:
    """Behind 200 packets of 1000 bytes a ping takes 200 ms; in a class of its own far less."""
    without, with_ = (
        min(delay for (name, _), (_, delay) in printed.items() if name == one) for one in ("without", "with")
    )
    assert without > 100
    assert with_ < without / 2


def test_only_the_transfer_is_shaped() -> None:
    """A packet to the transfer's port is of its class; another, and one that is no packet, is not."""
    other = IPv4("10.9.0.1", "10.9.0.2", Protocol.UDP, UDP(9, 10).build("10.9.0.1", "10.9.0.2")).build()
    ping = IPv4("10.9.0.1", "10.9.0.2", Protocol.ICMP, ICMP.echo_request(1, 1).build()).build()
    assert [shape_flow.of_bulk(packet) for packet in (shape_flow.BULK, other, ping, b"")] == [1, 0, 0, 0]


def test_a_window_is_of_packets_of_a_thousand_bytes() -> None:
    """200 of them are 200 ms of the link, the figure that the other tests count with."""
    assert shape_flow.WINDOW * len(shape_flow.BULK) * 8 / shape_flow.LINK == 0.2
