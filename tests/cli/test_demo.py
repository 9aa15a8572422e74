"""The demo as a whole: its exit status, its loops, its Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Callable

import pytest

from aiotun import DeviceGone
from aiotun.cli import demo, joined, soft_job
from aiotun.cli.demo import Options, loop_factory, run_demo
from aiotun.cli.progress import Job
from aiotun.cli.soft_job import SoftJob

from .saboteurs import SwallowsSealed

QUICK = Options(seconds=0.1, json=True)


def with_job(monkeypatch: pytest.MonkeyPatch, make: Callable[[], Job]) -> None:
    monkeypatch.setattr(demo, "make_job", lambda options: make())


@pytest.mark.parametrize("loop", ["auto", "asyncio", "uvloop"])
def test_all_well_is_status_0(loop: str, capsys: pytest.CaptureFixture[str]) -> None:
    """On every loop, with a JSON summary that says so."""
    assert run_demo(Options(seconds=0.1, json=True, loop=loop)) == 0
    assert json.loads(capsys.readouterr().out)["problems"] == []


def test_a_packet_swallowed_is_status_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One packet lost without a counted reason fails the demo, although the transfer arrived."""
    monkeypatch.setattr(joined, "QUIET", 0.05)
    monkeypatch.setattr(soft_job, "LAST_PING", 0.1)
    with_job(monkeypatch, lambda: SoftJob(tunnel=SwallowsSealed))
    assert run_demo(QUICK) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["transfer_intact"], told["unaccounted"]) == (True, 2)


def test_a_summary_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """Without --json the summary is text, and nothing else is shown with --no-live."""
    assert run_demo(Options(seconds=0.1, live=False)) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("aiotun demo: two in-process hosts, 0.1 s\n")
    assert "Every packet is accounted for." in shown


class Breaks(SoftJob):
    """A job whose interface is deleted in the middle."""

    async def traffic(self, stop: asyncio.Event) -> None:
        raise DeviceGone("tun0: the interface was deleted")


def test_a_failure_is_a_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What breaks the demo is said in one line, without a traceback, and is status 1."""
    with_job(monkeypatch, Breaks)
    assert run_demo(QUICK) == 1
    assert capsys.readouterr().err == "aiotun demo: tun0: the interface was deleted\n"


class Forbidden(SoftJob):
    """A job that lacks a right."""

    async def __aenter__(self) -> Forbidden:
        raise PermissionError(1, "tun0: not allowed; run as root")


def test_a_missing_right_is_a_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The remedy is shown, and the status is 2."""
    with_job(monkeypatch, Forbidden)
    assert run_demo(QUICK) == 2
    assert capsys.readouterr().err == "aiotun demo: tun0: not allowed; run as root\n"


class Interrupts(SoftJob):
    """A job during which somebody presses Ctrl-C."""

    async def traffic(self, stop: asyncio.Event) -> None:
        signal.raise_signal(signal.SIGINT)
        await super().traffic(stop)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_ctrl_c_ends_it_with_the_summary(
    loop: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first Ctrl-C stops the traffic; the summary follows, and the status is that of the packets."""
    with_job(monkeypatch, Interrupts)
    assert run_demo(Options(seconds=3600, json=True, loop=loop)) == 0
    shown = capsys.readouterr()
    assert (json.loads(shown.out)["problems"], shown.err) == ([], "")


def test_ctrl_c_works_as_before_afterwards() -> None:
    """The handler that was there is put back."""
    before = signal.getsignal(signal.SIGINT)
    run_demo(QUICK)
    assert signal.getsignal(signal.SIGINT) is before


def test_uvloop_asked_for_and_missing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A sentence with the remedy, status 2."""
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert run_demo(Options(loop="uvloop")) == 2
    assert capsys.readouterr().err == "aiotun demo: uvloop is not installed: pip install 'aiotun[uvloop]'\n"


def test_auto_does_without_uvloop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where uvloop is missing, auto is asyncio's own loop."""
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert loop_factory("auto") is None


def test_windows_gets_a_selector_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proactor loop there cannot watch sockets."""
    monkeypatch.setattr(sys, "platform", "win32")
    assert loop_factory("auto") is asyncio.SelectorEventLoop
