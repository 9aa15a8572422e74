"""The machine: every action on a host and its devices, done to the real thing and to the model."""

from __future__ import annotations

from .configuring import Configuring
from .core import ACTIONS
from .lifecycle import Lifecycle
from .sleeping import Sleeping
from .watching import Watching

__all__ = ["ACTIONS", "Machine"]


class Machine(Lifecycle, Configuring, Sleeping, Watching):
    """A host with devices, its model, and a loop that stands still between the actions."""
