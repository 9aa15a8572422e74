"""Every channel keeps every promise of the endpoint contract that can be asked of it."""

from __future__ import annotations

import asyncio
import sys

import pytest

from aiotun.testing import (
    CHECKS,
    RECEIVE,
    Check,
    Inapplicable,
    MakeRig,
    cancel_receiving,
    cancel_sending,
    memory_channel,
    tcp_channel,
    tls_channel,
    unix_channel,
    websocket_channel,
)

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the rigs ask Linux what arrived")
MEMORY = pytest.param(memory_channel, id="memory")
STREAMS = [
    pytest.param(tcp_channel, id="tcp", marks=LINUX),
    pytest.param(tls_channel, id="tls", marks=LINUX),
    pytest.param(unix_channel, id="unix", marks=LINUX),
    pytest.param(websocket_channel, id="websocket", marks=LINUX),
]

CANCELLED = [MEMORY, *STREAMS[:2]]  # more often than the checks do; the others stand on the same code

# What a channel has no header for, and a connection no state: it is not up or down, its mtu stays, and nothing drops.
NOT_OF_CHANNELS = {"a_packet_shorter_than_its_header_is_refused"}
NOT_OF_STREAMS = NOT_OF_CHANNELS | {
    "a_forwarder_survives_down",
    "a_full_queue_drops_and_counts",
    "a_raised_mtu_counts_at_once",
    "deletion_ends_a_waiting_writable",
    "down_keeps_what_is_queued",
    "events_tell_what_happens",
    "recv_waits_while_down",
    "refusals_let_others_run",
    "sending_while_down_is_refused",
    "when_down_raise_refuses_at_once",
    "when_down_raise_wakes_the_receiver",
    "writable_waits_for_up",
}


def without(names: set[str]) -> list[Check]:
    return [check for check in CHECKS if check.__name__ not in names]


@pytest.mark.parametrize("check", without(NOT_OF_CHANNELS), ids=lambda check: check.__name__)
async def test_promise_of_memory(check: Check) -> None:
    """A link in memory keeps the promise the check is named after."""
    async with asyncio.timeout(60):
        await check(memory_channel)


@pytest.mark.parametrize("make", STREAMS)
@pytest.mark.parametrize("check", without(NOT_OF_STREAMS), ids=lambda check: check.__name__)
async def test_promise_of_streams(check: Check, make: MakeRig) -> None:
    """A stream keeps the promise the check is named after."""
    async with asyncio.timeout(60):
        await check(make)


@pytest.mark.parametrize("make", [MEMORY, *STREAMS])
async def test_what_is_left_out_cannot_be_asked(make: MakeRig) -> None:
    """The promises left out above are those that the rig says it has nothing of, and no others."""
    left_out = NOT_OF_CHANNELS if make is memory_channel else NOT_OF_STREAMS
    for check in CHECKS:
        if check.__name__ in left_out:
            with pytest.raises(Inapplicable):
                await check(make)


@pytest.mark.parametrize("make", CANCELLED)
@pytest.mark.parametrize("how", RECEIVE)
async def test_a_thousand_cancels_of_receiving_lose_nothing(how: str, make: MakeRig) -> None:
    """Receivers cancelled at random turns lose, double and reorder nothing, and swallow no cancel (E1, E3)."""
    async with make() as rig:
        await cancel_receiving(rig, how, 1000, seed=2)


@pytest.mark.parametrize("make", CANCELLED)
async def test_a_thousand_cancels_of_send_lose_nothing(make: MakeRig) -> None:
    """Sends cancelled at random turns were done once each or not at all (E2)."""
    async with make() as rig:
        await cancel_sending(rig, 1000, seed=2)
