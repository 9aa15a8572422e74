"""Every endpoint of every host keeps every promise of the contract."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from aiotun.testing import (
    CHECKS,
    RECEIVE,
    Check,
    MakeRig,
    cancel_receiving,
    cancel_sending,
    kernel_tap,
    kernel_tun,
    open_and_close,
    soft_offload_tap,
    soft_offload_tun,
    soft_tap,
    soft_tun,
)

SOFT = [pytest.param(soft_tun, id="soft tun"), pytest.param(soft_tap, id="soft tap")]
SOFT_OFFLOAD = [
    pytest.param(soft_offload_tun, id="soft tun with offload"),
    pytest.param(soft_offload_tap, id="soft tap with offload"),
]
KERNEL = [
    pytest.param(kernel_tun, id="kernel tun", marks=pytest.mark.kernel),
    pytest.param(kernel_tap, id="kernel tap", marks=pytest.mark.kernel),
]
OFFLOAD = [
    pytest.param(partial(kernel_tun, offload=True), id="kernel tun with offload", marks=pytest.mark.kernel),
    pytest.param(partial(kernel_tap, offload=True), id="kernel tap with offload", marks=pytest.mark.kernel),
]
HOSTS = [*SOFT, *KERNEL, *OFFLOAD]


@pytest.mark.parametrize("make", [*HOSTS, *SOFT_OFFLOAD])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_promise(check: Check, make: MakeRig) -> None:
    """The endpoint keeps the promise the check is named after."""
    async with asyncio.timeout(60):
        await check(make)


@pytest.mark.parametrize("make", HOSTS)
@pytest.mark.parametrize("how", RECEIVE)
async def test_ten_thousand_cancels_of_receiving_lose_nothing(how: str, make: MakeRig) -> None:
    """10,000 receivers cancelled at random turns lose, double and reorder nothing, and swallow no cancel."""
    async with make() as rig:
        await cancel_receiving(rig, how, 10_000)


@pytest.mark.parametrize("make", HOSTS)
async def test_ten_thousand_cancels_of_send_lose_nothing(make: MakeRig) -> None:
    """10,000 sends cancelled at random turns were done once each or not at all."""
    async with make() as rig:
        await cancel_sending(rig, 10_000)


@pytest.mark.parametrize("make", SOFT)
async def test_ten_thousand_openings_in_process_leave_nothing(make: MakeRig) -> None:
    """After 10,000 openings in process no descriptor, task or watch is left."""
    await open_and_close(make, 10_000)


@pytest.mark.parametrize("make", KERNEL)
async def test_a_thousand_openings_on_the_kernel_leave_nothing(make: MakeRig) -> None:
    """After 250 openings of this kind on this loop, 1,000 in all, no descriptor, task or watch is left."""
    await open_and_close(make, 250)


@pytest.mark.parametrize("make", SOFT_OFFLOAD)
@pytest.mark.parametrize("how", RECEIVE)
async def test_cancels_in_the_middle_of_super_packets_lose_nothing(how: str, make: MakeRig) -> None:
    """1,000 receivers cancelled while super-packets are cut for them lose, double and reorder nothing."""
    async with make() as rig:
        await cancel_receiving(rig, how, 1000)


@pytest.mark.parametrize("make", SOFT_OFFLOAD)
async def test_openings_with_offload_leave_nothing(make: MakeRig) -> None:
    """After 500 openings with offload no descriptor, task or watch is left."""
    await open_and_close(make, 500)
