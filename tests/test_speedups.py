"""The choice between Python's forms and their twins in C, and building the twins."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import os
import subprocess
import sys
import sysconfig
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest
from twins import only_c

from aiotun import speedups

ROOT = Path(__file__).parent.parent
# Whatever may have a twin, and the module it is in.
PLACES = {
    "Node": "pipeline.runner",
    "PacketIterator": "endpoint.iteration",
    "Runner": "pipeline.runner",
    "all_fit": "endpoint.fitness",
    "all_ip": "driver.tun_mode",
    "bounds": "batch",
    "checksum": "packet.checksum",
    "coalesce": "offload.coalesce",
    "complete": "offload.complete",
    "longest": "batch",
    "nbytes": "batch",
    "ones_sum": "packet.checksum",
    "read_batch": "linux.calls",
    "read_vnet": "linux.vnet_calls",
    "recv_datagrams": "channel.udp_datagrams",
    "recv_packets": "channel.udp_packets",
    "segment": "offload.segment",
    "send_datagrams": "channel.udp_datagrams",
    "send_packets": "channel.udp_packets",
    "write_batch": "linux.calls",
    "write_vnet": "linux.vnet_calls",
}
FORMS: dict[str, Any] = {
    name: getattr(importlib.import_module(f"aiotun.{place}"), name) for name, place in PLACES.items()
}

every_twin = pytest.mark.parametrize("name", sorted(PLACES))


def chosen(environment: dict[str, str], first: str = "") -> Any:
    """Ask a fresh interpreter, that runs a statement first, what it chose."""
    program = f"{first}\n" + (
        "import json, aiotun.speedups as s, aiotun.batch as b;"
        "print(json.dumps([s.active, s.reason, b.nbytes is s.pure['nbytes'], b.nbytes([b'12', b'3'])]))"
    )
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"AIOTUN_PURE": ""} | environment | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_pure_on_request() -> None:
    """With AIOTUN_PURE=1 every form is Python's, and the reason is told."""
    assert chosen({"AIOTUN_PURE": "1"}) == [False, "AIOTUN_PURE is set", True, 3]


@pytest.mark.parametrize("value", ["", "0"])
@only_c
def test_the_twins_are_the_usual_case(value: str) -> None:
    """Where the twins are built they are used; an empty AIOTUN_PURE, or 0, asks for nothing."""
    assert chosen({"AIOTUN_PURE": value}) == [True, "built at installation", False, 3]


def test_without_the_twins() -> None:
    """Where the twins are not there to be imported, Python's forms stand in, and the reason names what is missing."""
    active, reason, pure, total = chosen({}, "import sys; sys.modules['aiotun._speedups'] = None")
    assert (active, pure, total) == (False, True, 3)
    assert reason.startswith("not built for this Python: ") and "aiotun._speedups" in reason


def test_what_may_have_a_twin() -> None:
    """The forms that say they have a twin are those of this list."""
    assert set(speedups.pure) == set(PLACES)


@every_twin
def test_a_form_is_the_chosen_one(name: str) -> None:
    """What a module offers is the twin, if the twins are in use, and else its own."""
    assert (FORMS[name] is speedups.pure[name]) != speedups.active


@only_c
@every_twin
def test_a_twin_has_its_forms_face(name: str) -> None:
    """A twin has the signature of its form, by which it is called and documented, and begins its docstring alike."""
    form, twin = speedups.pure[name], FORMS[name]
    parameters = [(one.name, one.kind, one.default) for one in inspect.signature(form).parameters.values()]
    assert [(one.name, one.kind, one.default) for one in inspect.signature(twin).parameters.values()] == parameters
    first, other = (" ".join((inspect.getdoc(one) or "").split()).partition(".")[0] for one in (form, twin))
    assert first == other != ""


@only_c
def test_every_twin_has_a_form() -> None:
    """The module in C has nothing that Python has not."""
    module: Any = importlib.import_module("aiotun._speedups")
    assert {name for name in vars(module) if not name.startswith("__")} == set(PLACES)


# --- building -------------------------------------------------------------------------------------


def build(into: Path, **environment: str) -> tuple[list[str], str]:
    """Build the extension into a directory; return what came of it, and what was printed."""
    done = subprocess.run(
        [sys.executable, "setup.py", "build_ext", f"--build-lib={into}/lib", f"--build-temp={into}/temp"],
        cwd=ROOT,
        env=os.environ | {"AIOTUN_PURE": ""} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return [file.name for file in (into / "lib").rglob("_speedups*")], done.stdout + done.stderr


def setuptools_version() -> int:
    try:
        return int(version("setuptools").partition(".")[0])
    except PackageNotFoundError:
        return 0


needs_setuptools = pytest.mark.skipif(setuptools_version() < 77, reason="needs setuptools 77 or later")


@needs_setuptools
@pytest.mark.skipif(importlib.util.find_spec("aiotun._speedups") is None, reason="there was no compiler")
def test_the_build(tmp_path: Path) -> None:
    """With a compiler the twins are built, and without a warning."""
    built, printed = build(tmp_path)
    assert built == ["_speedups" + sysconfig.get_config_var("EXT_SUFFIX")]
    assert "warning:" not in printed


@needs_setuptools
def test_the_build_without_a_compiler(tmp_path: Path) -> None:
    """Without a compiler the build leaves the twins out, says so, and goes on."""
    built, printed = build(tmp_path, CC="/bin/false")
    assert built == []
    assert 'building extension "aiotun._speedups" failed' in printed


@needs_setuptools
def test_the_build_of_a_pure_package(tmp_path: Path) -> None:
    """With AIOTUN_PURE=1 no compiler is called."""
    assert build(tmp_path, AIOTUN_PURE="1", CC="/bin/false")[0] == []
