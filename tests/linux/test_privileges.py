"""Giving up privileges, in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import aiotun

pytestmark = pytest.mark.kernel

ROOT = Path(aiotun.__file__).parents[1]

PRELUDE = """
from pathlib import Path
from aiotun.linux.privileges import keep_only

def status():
    return Path("/proc/thread-self/status").read_text()
"""


def output_of(script: str) -> str:
    """Run a program with what privileges this process has."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-W", "error", "-c", PRELUDE + textwrap.dedent(script)]
    return subprocess.run(
        command, env=os.environ | {"PYTHONPATH": path}, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def sets_of(status: str) -> dict[str, str]:
    """Return the capabilities that a process's status tells."""
    return dict(re.findall(r"^(Cap\w+|NoNewPrivs):\t(\w+)$", status, re.MULTILINE))


def test_one_is_kept() -> None:
    """What is permitted, effective and the bound of programs is the one capability, and there are no new ones."""
    sets = sets_of(output_of('keep_only(["CAP_NET_ADMIN"]); print(status())'))
    only = f"{1 << 12:016x}"
    assert (sets["CapPrm"], sets["CapEff"], sets["CapBnd"], sets["NoNewPrivs"]) == (only, only, only, "1")


def test_none_is_kept() -> None:
    """All can be given up."""
    sets = sets_of(output_of("keep_only([]); print(status())"))
    assert {sets[name] for name in ("CapPrm", "CapEff", "CapInh", "CapAmb")} == {f"{0:016x}"}


def test_threads_and_programs_have_no_more() -> None:
    """Threads and programs that start afterwards have what is left, root's too."""
    script = """
        import subprocess, threading
        keep_only(["CAP_NET_ADMIN"])
        thread = threading.Thread(target=lambda: print(status()))
        thread.start()
        thread.join()
        print("---", flush=True)
        subprocess.run(["cat", "/proc/self/status"])
    """
    thread, _, program = output_of(script).partition("---")
    only = f"{1 << 12:016x}"
    assert sets_of(thread)["CapEff"] == only
    assert int(sets_of(program)["CapEff"], 16) & ~(1 << 12) == 0


def test_what_is_lacking_is_named() -> None:
    """A process that lacks what it shall keep is told so, with the remedy, and keeps what it has."""
    script = """
        keep_only(["CAP_NET_ADMIN"])
        try:
            keep_only(["CAP_NET_ADMIN", "CAP_SYS_ADMIN"])
        except PermissionError as error:
            print(error.strerror)
        print(status())
    """
    output = output_of(script)
    assert output.startswith("it takes CAP_SYS_ADMIN: run it as root, or with AmbientCapabilities= in its unit\n")
    assert sets_of(output)["CapEff"] == f"{1 << 12:016x}"


def test_too_late() -> None:
    """With other threads running it is refused: they would keep their privileges."""
    script = """
        import threading
        end = threading.Event()
        thread = threading.Thread(target=end.wait)
        thread.start()
        before = status()
        try:
            keep_only([])
        except RuntimeError as error:
            print(error, status() == before)
        end.set()
    """
    assert output_of(script) == "privileges are given up before threads are started: they would keep theirs True\n"
