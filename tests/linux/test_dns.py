"""Name servers: what is run, with programs of the test's own in the path."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from network import guardians, wait_for_end

import aiotun

pytestmark = pytest.mark.kernel

ROOT = Path(aiotun.__file__).parents[1]

PROGRAM = """\
#!/bin/sh
echo "$(basename $0) $*" >> {log}
case "$*" in -a*) cat >> {log};; esac
{then}
"""


def install(folder: Path, name: str, then: str = "") -> Path:
    """Make a program that notes how it was run, and what it read; return the notes' file."""
    log = folder / "log"
    program = folder / name
    program.write_text(PROGRAM.format(log=log, then=then))
    program.chmod(0o755)
    return log


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the path, with what a shell script needs."""
    for name in ("basename", "cat"):
        (tmp_path / name).symlink_to(f"/usr/bin/{name}")
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


async def test_by_resolvconf(path: Path) -> None:
    """resolvconf is given the servers and the domains under the device's name, and asked to forget them again."""
    log = install(path, "resolvconf")
    async with aiotun.open_tun("dns0", dns=["10.8.0.1", "fd00::1", "corp.example", "lab.example"]):
        assert log.read_text().splitlines() == [
            "resolvconf -a dns0 -m 0 -x",
            "nameserver 10.8.0.1",
            "nameserver fd00::1",
            "search corp.example lab.example",
        ]
    assert log.read_text().splitlines()[4:] == ["resolvconf -f -d dns0"]


async def test_by_systemd_resolved(path: Path) -> None:
    """Without resolvconf, resolvectl sets servers and domains of the link, every name's, and reverts them."""
    log = install(path, "resolvectl")
    async with aiotun.open_tun("dns1", dns=["10.8.0.1", "corp.example"]):
        pass
    assert log.read_text().splitlines() == [
        "resolvectl dns dns1 10.8.0.1",
        "resolvectl domain dns1 corp.example ~.",
        "resolvectl revert dns1",
    ]


async def test_without_either(path: Path) -> None:
    """Without a program the opening fails, names both, and leaves nothing."""
    with pytest.raises(aiotun.DeviceError, match="dns2: cannot set dns 10.8.0.1: .*resolvconf.*resolvectl; install"):
        await aiotun.open_tun("dns2", dns="10.8.0.1")
    assert not Path("/sys/class/net/dns2").exists()


async def test_a_program_that_fails(path: Path) -> None:
    """What a program complained of is the error's reason, and it is asked to forget nothing."""
    log = install(path, "resolvconf", then="echo 'no such thing' >&2; exit 1")
    with pytest.raises(aiotun.DeviceError, match="dns3: cannot set dns 10.8.0.1: no such thing"):
        await aiotun.open_tun("dns3", dns="10.8.0.1")
    assert log.read_text().splitlines() == ["resolvconf -a dns3 -m 0 -x", "nameserver 10.8.0.1"]


async def test_half_done(path: Path) -> None:
    """When the second of resolvectl's commands fails, the first is reverted."""
    log = install(path, "resolvectl", then='test "$1" != domain')
    with pytest.raises(aiotun.DeviceError, match="dns4: cannot set dns 10.8.0.1: .*ended with status 1"):
        await aiotun.open_tun("dns4", dns="10.8.0.1")
    assert log.read_text().splitlines()[-1] == "resolvectl revert dns4"


async def test_not_in_another_network() -> None:
    """A network namespace has no name servers of its own: refused before anything is made."""
    with pytest.raises(ValueError, match="dns is the machine's"):
        await aiotun.open_tun("dns5", dns="10.8.0.1", netns="somewhere")
    async with aiotun.PrivateHost() as host:
        with pytest.raises(ValueError, match="dns is the machine's"):
            await host.open_tun("dns5", dns="10.8.0.1")


def test_killed_it_is_forgotten(path: Path) -> None:
    """After SIGKILL the name servers are taken back as well."""
    log = install(path, "resolvconf")
    script = """
        import asyncio, sys, aiotun
        async def main():
            async with aiotun.open_tun("dns6", dns="10.8.0.1"):
                print("ready", flush=True)
                sys.stdin.read()
        asyncio.run(main())
    """
    others = guardians()
    command = [sys.executable, "-c", textwrap.dedent(script)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None and owner.stdout.readline() == b"ready\n"
        guarding = guardians() - others
        owner.send_signal(signal.SIGKILL)
    wait_for_end(guarding)
    assert log.read_text().splitlines()[-1] == "resolvconf -f -d dns6"
