"""Rows I of the fault catalogue: who may do what, and what others get to see of it."""

from __future__ import annotations

import ast
import asyncio
import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path

import pytest
from kernel.nobody import nobody_needed
from processes import watchers_ended

import aiotun
from aiotun.channel import open_udp_pair
from aiotun.endpoint.moderation import ModeratedReadiness

from .scene import ADDRESS, MakeLoop, descriptors, on_both_loops, run, waited

__all__ = ["watchers_ended"]  # a fixture

kernel = pytest.mark.kernel

SCRIPT = (
    "import os; print(sorted(int(fd) for fd in os.listdir('/proc/self/fd') if os.path.exists('/proc/self/fd/' + fd)))"
)


@kernel
@on_both_loops
def test_I8_a_program_sees_none_of_our_descriptors(make: MakeLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a device, its events and timer, a channel and a private network open, a program inherits nothing of it."""

    def stream(readiness: ModeratedReadiness, packets: int) -> None:
        readiness._stream = True  # so that every wait is a pause, with a timer

    monkeypatch.setattr(ModeratedReadiness, "emptied", stream)

    async def inherited() -> str:
        # close_fds=False: what is not close-on-exec is inherited.
        program = partial(
            subprocess.run, [sys.executable, "-c", SCRIPT], close_fds=False, capture_output=True, text=True
        )
        done: subprocess.CompletedProcess[str] = await asyncio.to_thread(program)
        return done.stdout

    async def look() -> tuple[int, str, str]:
        not_ours = await inherited()  # what whoever started the tests left open for every program
        before = len(descriptors())
        async with aiotun.PrivateHost() as host, host.open_tun() as inside, aiotun.open_tun("exec0") as tun:
            udp = await open_udp_pair()
            events = tun.events()
            await waited(tun)
            await waited(inside)
            ours = len(descriptors()) - before
            with_ours = await inherited()
            for channel in udp:
                await channel.aclose()
            del events
        return ours, not_ours, with_ours

    ours, not_ours, with_ours = run(make, look())
    assert ours >= 12, "less is open than was meant to be"
    assert with_ours == not_ours


@kernel
@nobody_needed
@on_both_loops
def test_I7_no_packet_needs_a_privilege(make: MakeLoop) -> None:
    """Once it is open, a process that gave up every capability sends, receives, asks for the mtu and closes."""
    script = f"""
        import asyncio, os
        from pathlib import Path

        import aiotun
        from faults.scene import PACKET, send_from_the_stack

        async def main():
            async with aiotun.open_tun("drop0", address="{ADDRESS}") as tun:
                os.setresgid(65534, 65534, 65534)
                os.setresuid(65534, 65534, 65534)
                assert "CapEff:\\t0000000000000000" in Path("/proc/thread-self/status").read_text()
                await tun.send(PACKET)
                send_from_the_stack(b"heard")
                while not (await tun.recv()).endswith(b"heard"):
                    pass
                print(tun.mtu, tun.statistics().interface.ipackets)
        asyncio.run(main())
    """
    told = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert (told.stdout, told.stderr) == ("1500 1\n", "")


def _calls(tree: ast.AST) -> list[tuple[str, ast.Call]]:
    """Return the calls of a file, by their last name."""
    named = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = node.func
            named.append((function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", ""), node))
    return named


PACKAGE = Path(aiotun.__file__).parent


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_I6_nothing_goes_through_a_shell(file: Path) -> None:
    """No file of the library has a shell read a command, nor puts one together as text."""
    for name, call in _calls(ast.parse(file.read_text())):
        assert name not in ("system", "popen", "create_subprocess_shell", "getoutput", "getstatusoutput")
        assert "shell" not in [keyword.arg for keyword in call.keywords]
        if name in ("run", "Popen", "call", "check_call", "check_output", "create_subprocess_exec") and call.args:
            assert not isinstance(call.args[0], ast.JoinedStr), "a command as text"


def test_I9_a_repr_of_a_device_has_no_packet_in_it() -> None:
    """What passes through an endpoint is in no text about it, not even in that of a refusal."""

    async def look() -> str:
        async with aiotun.SoftHost() as host, host.open_tun("tun0") as tun:
            secret = b"\x90" + b"hunter2" * 8
            try:
                await tun.send(secret)
            except aiotun.AiotunError as error:
                return f"{error!r} {error} {tun!r} {tun.statistics()!r} {tun.capabilities!r}"
            return "it was sent"

    text = asyncio.run(look())
    assert text != "it was sent"
    assert "hunter2" not in text
