"""The fixture, as a user has it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import aiotun
from aiotun.testing import lab as module
from aiotun.testing import lab_fixture

TEST = """
from aiotun.testing.lab import lab

def test_nobody_answers(lab):
    alice, bob = lab.host("alice"), lab.host("bob")
    lab.link(alice, bob, loss=1.0)

    @lab.run
    async def main():
        await alice.ping("10.0.0.2")
"""


def test_it_is_in_the_module_of_the_lab() -> None:
    """``from aiotun.testing.lab import lab`` gives the fixture; another name is not there."""
    assert module.lab is lab_fixture.lab
    with pytest.raises(AttributeError, match="has no attribute 'other'"):
        module.other  # noqa: B018


def test_the_lab_needs_no_pytest() -> None:
    """Without pytest the lab is there, and the fixture says what to install."""
    program = (
        "import sys; sys.modules['pytest'] = None\n"
        "from aiotun.testing import Lab\n"
        "Lab().close()\n"
        "try:\n    from aiotun.testing.lab import lab\nexcept ImportError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=root(), capture_output=True, text=True, check=True
    )
    assert done.stdout == "the lab fixture is for pytest: pip install pytest, or use Lab() without it\n"


def test_a_failing_test_shows_the_packets(tmp_path: Path) -> None:
    """The report of a test that fails has the diagram, the lost packet crossed."""
    test = tmp_path / "test_ping.py"
    test.write_text(TEST)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(test)]
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=root(), env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert " TimeoutError: 10.0.0.2: no answer within 1 s" in done.stdout
    assert "participant n0 as alice" in done.stdout
    assert "n0-xn1: 0 s: 10.0.0.1 > 10.0.0.2: ICMP echo request id 1 seq 1 length 64 (lost)" in done.stdout


def root() -> Path:
    return Path(aiotun.__file__).parents[1]
