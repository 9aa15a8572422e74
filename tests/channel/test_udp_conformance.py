"""UDP channels keep every promise of the contract that a socket can: connected, and one of many."""

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
    open_and_close,
    udp_channel,
    udp_packet_channel,
    udp_peer,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the rigs ask Linux what arrived")

UDP = [
    pytest.param(udp_channel, id="channel"),
    pytest.param(udp_packet_channel, id="packet channel"),
    pytest.param(udp_peer, id="peer"),
]

NOT_OF_A_SOCKET = {
    "a_raised_mtu_counts_at_once",
    "a_packet_shorter_than_its_header_is_refused",
    "refusals_let_others_run",
    "close_works_after_deletion",
    "a_forwarder_survives_down",
    "sending_while_down_is_refused",
    "writable_waits_for_up",
    "deletion_ends_a_waiting_writable",
    "recv_waits_while_down",
    "down_keeps_what_is_queued",
    "when_down_raise_refuses_at_once",
    "when_down_raise_wakes_the_receiver",
    "deletion_ends_a_waiting_recv",
    "deletion_ends_iteration_loudly",
    "deletion_is_seen_without_waiting",
    "a_deleted_device_leaves_the_loop",
    "events_tell_what_happens",
}
"""What asks for an interface that goes down, changes or is deleted, or for the headers of packets."""


@pytest.mark.parametrize("make", UDP)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_promise(check: Check, make: MakeRig) -> None:
    """The channel keeps the promise the check is named after, or has nothing of what that is about."""
    async with asyncio.timeout(60):
        if check.__name__ in NOT_OF_A_SOCKET:
            with pytest.raises(Inapplicable):
                await check(make)
        else:
            await check(make)


@pytest.mark.parametrize("make", UDP)
@pytest.mark.parametrize("how", RECEIVE)
async def test_cancels_of_receiving_lose_nothing(how: str, make: MakeRig) -> None:
    """1,000 receivers cancelled at random turns lose, double and reorder nothing, and swallow no cancel."""
    async with make() as rig:
        await cancel_receiving(rig, how, 1_000)


@pytest.mark.parametrize("make", UDP)
async def test_cancels_of_send_lose_nothing(make: MakeRig) -> None:
    """1,000 sends cancelled at random turns were done once each or not at all."""
    async with make() as rig:
        await cancel_sending(rig, 1_000)


@pytest.mark.parametrize("make", UDP)
async def test_openings_leave_nothing(make: MakeRig) -> None:
    """After 200 openings no descriptor, task or watch is left."""
    await open_and_close(make, 200)
