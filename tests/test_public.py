"""What aiotun offers, and what importing it costs."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import resources
from types import FunctionType
from typing import Any

import pytest

import aiotun

# The command's room is a program, not a library; it says so itself.
ROOMS = sorted(
    {module.name for module in pkgutil.iter_modules(aiotun.__path__)} - {"_version", "_speedups", "__main__", "cli"}
)

# Third parties that a program pays for only when it uses what needs them.
LATE = {"cryptography", "ctypes", "pyroute2", "rich", "scapy", "typer", "uvloop"}


def module(name: str) -> Any:
    return importlib.import_module(f"aiotun.{name}")


def groups() -> dict[str, list[str]]:
    """The names of ``aiotun.__all__`` under the comments that group them."""
    source = inspect.getsource(aiotun).partition("__all__ = [")[2]
    found: dict[str, list[str]] = {}
    for line in source.splitlines():
        if comment := re.fullmatch(r"\s*# (\w+)", line):
            group = found.setdefault(comment[1], [])
        elif name := re.fullmatch(r'\s*"(\w+)",', line):
            group.append(name[1])
    return found


def undocumented(owner: type) -> Iterator[str]:
    """The public methods and properties that *owner* defines without saying what they do."""
    for name, member in vars(owner).items():
        if not name.startswith("_") and isinstance(member, FunctionType | classmethod | staticmethod | property):
            if not inspect.getdoc(getattr(owner, name)):
                yield name


def test_every_name_stands_in_a_group() -> None:
    """Each name of ``aiotun.__all__`` stands under the comment of one group."""
    assert [name for group in groups().values() for name in group] == aiotun.__all__


@pytest.mark.parametrize("group", groups())
def test_a_group_is_sorted(group: str) -> None:
    """The names of a group are in order."""
    assert groups()[group] == sorted(groups()[group])


@pytest.mark.parametrize("group", sorted(groups().keys() - {"version"}))
def test_a_group_is_a_room(group: str) -> None:
    """The names of a group are public names of the room the group is called after."""
    room = module(group)
    assert [name for name in groups()[group] if getattr(room, name) is not getattr(aiotun, name)] == []
    assert set(groups()[group]) <= set(room.__all__)


def test_every_error_is_public() -> None:
    """Every exception of the tree can be caught under its name in ``aiotun``."""
    tree = [error for error in vars(module("errors")).values() if isinstance(error, type)]
    assert {error.__name__ for error in tree if issubclass(error, Exception)} - {"BlockingIOError"} <= set(
        aiotun.__all__
    )


@pytest.mark.parametrize("name", aiotun.__all__)
def test_every_name_is_there_and_documented(name: str) -> None:
    """Each public name can be imported and, if it is no plain value, says what it is."""
    member = getattr(aiotun, name)
    assert isinstance(member, str) or inspect.getdoc(member)


@pytest.mark.parametrize("room", ROOMS)
def test_a_rooms_names_are_documented(room: str) -> None:
    """Each class, function, method and property that a room offers has a docstring."""
    for name in module(room).__all__:
        member = getattr(module(room), name)
        if isinstance(member, type) and member.__module__.startswith("aiotun"):
            assert member.__doc__, name
            assert list(undocumented(member)) == [], name
        elif isinstance(member, FunctionType):
            assert member.__doc__, name


@pytest.mark.parametrize("open", [aiotun.open_tun, aiotun.open_tap])
def test_the_module_opens_on_the_system(open: Callable[..., Any]) -> None:
    """``aiotun.open_tun`` and ``aiotun.open_tap`` are the system host's."""
    assert isinstance(inspect.unwrap(open).__self__, aiotun.SystemHost)


def test_types_are_shipped() -> None:
    """The package says to type checkers that it has types."""
    assert resources.files(aiotun).joinpath("py.typed").is_file()


def test_importing_loads_nothing_heavy() -> None:
    """``import aiotun`` in a fresh interpreter loads no extra, no kernel room and no packet room."""
    program = "import sys, aiotun; print(*sorted(name for name in sys.modules))"
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    loaded = set(output.split())
    assert loaded & LATE == set()
    assert loaded & {"aiotun.linux", "aiotun.packet", "aiotun.cli", "aiotun.channel", "aiotun.testing"} == set()
