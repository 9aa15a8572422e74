"""The demo on the kernel: ping(8) and TCP between two namespaces, and nothing left behind."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys

import pytest

from aiotun import DeviceError
from aiotun.cli import joined, system_job
from aiotun.cli.demo import run_job
from aiotun.cli.summary import problems
from aiotun.cli.system_job import SystemJob

from .saboteurs import SwallowsSealed
from .test_soft_job import silent


def namespaces() -> str:
    return subprocess.run(("ip", "netns"), capture_output=True, text=True, check=True).stdout


@pytest.mark.kernel
async def test_everything_arrives() -> None:
    """The kernel's ping is answered over IPv4 and IPv6, its TCP arrives intact, and every packet is accounted for."""
    async with asyncio.timeout(60):
        progress = await run_job(SystemJob(), 0.5, silent)
    assert problems(progress) == []
    assert progress.measured.intact
    assert len(progress.measured.rtts) >= 2
    assert progress.measured.content > 0
    assert namespaces() == ""


@pytest.mark.kernel
async def test_a_packet_swallowed_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's TCP hides the loss; the ledger does not."""
    monkeypatch.setattr(joined, "QUIET", 0.05)
    async with asyncio.timeout(60):
        progress = await run_job(SystemJob(tunnel=SwallowsSealed), 0.5, silent)
    assert progress.measured.intact
    assert problems(progress) == [
        f"{ledger.name}, seal: 1 packets lost without a reason" for ledger in progress.ledgers
    ]


@pytest.mark.kernel
async def test_cancelled_leaves_no_namespace() -> None:
    """A job cancelled in the middle removes what it made."""
    running = asyncio.Event()

    async def show(ended: asyncio.Event) -> None:
        running.set()

    task = asyncio.create_task(run_job(SystemJob(), 60, show))
    async with asyncio.timeout(60):
        await running.wait()
        task.cancel()
        await asyncio.wait([task])
    assert (task.cancelled(), namespaces()) == (True, "")


@pytest.mark.kernel
async def test_a_failure_on_the_way_leaves_no_namespace() -> None:
    """If a tun cannot be opened, the namespaces made for it go."""
    with pytest.raises(DeviceError):
        await run_job(SystemJob(size=100_000), 1, silent)
    assert namespaces() == ""


async def test_without_root_it_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without the right is told how to run it, and how to run it without."""
    monkeypatch.setattr(system_job, "_check_system", lambda: None)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    refused = subprocess.CompletedProcess((), 1, stdout="", stderr="mkdir /run/netns failed: Permission denied")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: refused)
    with pytest.raises(PermissionError, match="takes root: run it as `sudo aiotun demo --host system`"):
        await run_job(SystemJob(), 1, silent)


@pytest.mark.parametrize(("program", "package"), [("ip", "iproute2"), ("ping", "iputils-ping")])
async def test_a_missing_program_is_named(program: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ip or ping the sentence says what to install."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(shutil, "which", lambda name: None if name == program else f"/bin/{name}")
    with pytest.raises(DeviceError, match=f"runs {program}, which is not installed: apt install {package}"):
        await run_job(SystemJob(), 1, silent)


async def test_another_system_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only Linux has network namespaces."""
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(DeviceError, match="the system demo needs Linux, this is darwin; leave out `--host system`"):
        await run_job(SystemJob(), 1, silent)
