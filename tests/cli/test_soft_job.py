"""The in-process demo: all traffic arrives, and no loss goes unnoticed."""

from __future__ import annotations

import asyncio

import pytest

from aiotun.cli import joined, soft_job
from aiotun.cli.demo import run_job
from aiotun.cli.progress import Progress
from aiotun.cli.soft_job import SoftJob
from aiotun.cli.summary import problems

from .saboteurs import Damages, SwallowsSealed, SwallowsUnsealed

SECONDS = 0.15


async def silent(ended: asyncio.Event) -> None:
    """Show nothing."""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait long for a ping that a fault made go missing."""
    monkeypatch.setattr(soft_job, "LAST_PING", 0.1)


async def run(job: SoftJob) -> Progress:
    async with asyncio.timeout(30):
        return await run_job(job, SECONDS, silent)


@pytest.mark.parametrize("size", [1280, 1420, 9000])
async def test_everything_arrives(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pings are answered over IPv4 and IPv6, the transfer is intact, and every packet is accounted for."""
    monkeypatch.setattr(soft_job, "PING_EVERY", 0.01)  # two of them, also where a turn of the loop takes long
    monkeypatch.setattr(soft_job, "LAST_PING", 10)
    progress = await run(SoftJob(size=size))
    assert problems(progress) == []
    assert progress.measured.intact
    assert len(progress.measured.rtts) == progress.measured.pings >= 2
    assert progress.measured.content > 0


@pytest.mark.parametrize(("fault", "hop"), [(SwallowsSealed, "seal"), (SwallowsUnsealed, "unseal")])
async def test_a_packet_swallowed_is_noticed(
    fault: type[SwallowsSealed], hop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tunnel that loses a packet without a count leaves it unaccounted at the right hop."""
    monkeypatch.setattr(joined, "QUIET", 0.05)
    progress = await run(SoftJob(tunnel=fault))
    assert problems(progress) == [
        f"{ledger.name}, {hop}: 1 packets lost without a reason" for ledger in progress.ledgers
    ]


async def test_a_packet_lost_on_the_wire_has_a_reason() -> None:
    """Datagrams damaged on the way are dropped as auth_failed, sent again, and everything still adds up."""
    progress = await run(SoftJob(tunnel=Damages))
    assert problems(progress) == []
    assert [dict(ledger.dropped) for ledger in progress.ledgers] == [{"auth_failed": 1}] * 2


async def test_interrupted_at_once() -> None:
    """A job that is stopped before it began adds up, too."""
    async with asyncio.timeout(30):
        progress = await run_job(SoftJob(), 0.0, silent)
    assert problems(progress) == []


async def test_cancelled() -> None:
    """A job cancelled in the middle leaves nothing behind, which the leak check of every test sees."""
    task = asyncio.create_task(run_job(SoftJob(), 60, silent))
    for _ in range(50):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
