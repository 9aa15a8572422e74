"""
Which form of the hot functions is in use: Python's, or their twins in C.

The twins are built when a compiler is there at installation. Every one has the name, the results and the errors of the
Python form it stands for; ``AIOTUN_PURE=1`` in the environment leaves all of them out.
"""

from __future__ import annotations

import importlib
import os
from types import ModuleType
from typing import Any, TypeVar

__all__ = ["active", "pure", "reason", "twin"]

T = TypeVar("T")


def _load() -> tuple[ModuleType | None, str]:
    if os.environ.get("AIOTUN_PURE", "0") not in ("", "0"):
        return None, "AIOTUN_PURE is set"
    try:
        return importlib.import_module("._speedups", __package__), "built at installation"
    except ImportError as error:
        return None, f"not built for this Python: {error}"


_LOADED = _load()

active: bool = _LOADED[0] is not None
"""Whether the twins in C are in use."""
reason: str = _LOADED[1]
"""Why they are, or why not."""
pure: dict[str, Any] = {}
"""The Python form of everything that may have a twin, by name."""


def twin(form: T) -> T:
    """Return the twin in C of a function or class, which has the same name; *form* itself if there is none."""
    name: str = form.__name__  # type: ignore[attr-defined]
    pure[name] = form
    chosen: T = getattr(_LOADED[0], name, form)
    return chosen
