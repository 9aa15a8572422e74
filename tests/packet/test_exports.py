"""What aiotun.packet offers."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from typing import Any

import pytest

from aiotun import packet

MODULES = [module.name for module in pkgutil.iter_modules(packet.__path__)]
# How views and values are made is the room's own business; only these names of it are public.
PARTLY = {"view": {"Buffer", "Field", "View"}, "value": {"Address", "AddressLike"}}


def module(name: str) -> Any:
    """The module, not the function that may have its name."""
    return importlib.import_module(f"aiotun.packet.{name}")


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_is_exported(name: str) -> None:
    """Each name in a module's __all__ is the room's."""
    for public in PARTLY.get(name, module(name).__all__):
        assert getattr(packet, public) is getattr(module(name), public)
        assert public in packet.__all__


def test_nothing_else_is_exported() -> None:
    """Each name in the room's __all__ comes from one of its modules."""
    assert sorted(packet.__all__) == sorted({x for name in MODULES for x in PARTLY.get(name, module(name).__all__)})


@pytest.mark.parametrize("name", MODULES)
def test_everything_is_documented(name: str) -> None:
    """Each module, class, method and property has a docstring."""
    assert module(name).__doc__
    for public in module(name).__all__:
        member = getattr(module(name), public)
        if isinstance(member, type) and member.__module__ == f"aiotun.packet.{name}":
            assert member.__doc__, public
            for attribute, body in vars(member).items():
                if not attribute.startswith("_") and (callable(body) or isinstance(body, property)):
                    assert body.__doc__, f"{public}.{attribute}"


def test_nothing_heavy_is_imported() -> None:
    """The room brings in no I/O, no event loop and no third party but attrs."""
    program = (
        "import sys, types; "
        f"bare = types.ModuleType('aiotun'); bare.__path__ = {list(packet.__path__)!r}; "
        "bare.__path__ = [bare.__path__[0].rsplit('/', 1)[0]]; sys.modules['aiotun'] = bare; "
        "import aiotun.packet; "
        "print(*{'asyncio', 'socket', 'scapy', 'pyroute2', 'ssl', 'logging'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "\n"
