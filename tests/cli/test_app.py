"""The command: its arguments, its statuses, and what it says when a part is missing."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

import aiotun
from aiotun.cli import demo, main
from aiotun.cli.app import app
from aiotun.cli.demo import Options


def asked(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, list[Options]]:
    """Run the command and return its status and what it would have run."""
    ran: list[Options] = []

    def run(options: Options) -> int:
        ran.append(options)
        return 1

    monkeypatch.setattr(demo, "run_demo", run)
    return CliRunner().invoke(app, arguments).exit_code, ran


def test_version() -> None:
    """--version says which it is."""
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.output) == (0, f"aiotun {aiotun.__version__}\n")


def test_the_demo_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without options it runs ten seconds in process, and its status is the demo's."""
    assert asked(monkeypatch, "demo") == (1, [Options()])


def test_every_option_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each option reaches the demo."""
    arguments = "demo --host system --seconds 2.5 --size 1300 --loop asyncio --json --no-live".split()
    options = Options(host="system", seconds=2.5, size=1300, loop="asyncio", json=True, live=False)
    assert asked(monkeypatch, *arguments) == (1, [options])


@pytest.mark.parametrize("arguments", ["--size 100", "--size 65536", "--seconds 0", "--host moon", "--loop curio"])
def test_a_wrong_option_is_status_2(arguments: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that cannot be is refused before anything runs."""
    assert asked(monkeypatch, "demo", *arguments.split()) == (2, [])


@pytest.mark.parametrize("module", ["typer", "rich", "cryptography"])
def test_a_missing_extra_is_one_sentence(
    module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What to install is said in one line, and the status is 2."""
    for name in list(sys.modules):
        if name.partition(".")[0] == module or name.startswith("aiotun.cli."):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(sys, "argv", ["aiotun", "demo", "--seconds", "0.1"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert capsys.readouterr().err == f"aiotun: this command needs {module}: pip install 'aiotun[cli,crypto]'\n"


def test_python_m_aiotun() -> None:
    """``python -m aiotun`` is the same command."""
    done = subprocess.run((sys.executable, "-m", "aiotun", "--version"), capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"aiotun {aiotun.__version__}\n")


def test_importing_aiotun_imports_none_of_this() -> None:
    """The library alone stays small: no command line, no cryptography, no UDP channel."""
    code = "import sys, aiotun; print([m for m in ('rich', 'typer', 'cryptography', 'aiotun.cli') if m in sys.modules])"
    done = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
