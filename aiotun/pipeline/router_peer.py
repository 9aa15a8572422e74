"""One of a router's peers, as its owner sees it."""

from __future__ import annotations

from typing import Any

from ..endpoint import Endpoint
from .path import Path
from .prefixes import Network
from .pump_direction import Stages
from .router_leg import Leg

__all__ = ["Peer"]


class Peer(Leg):
    """One of a router's peers; made by Router.add()."""

    __slots__ = ("routes",)

    routes: tuple[Network, ...]
    """The prefixes that are reached by it, and that it may send from; set_routes() changes them."""

    def __init__(self, name: str, endpoint: Endpoint, arriving: Stages, leaving: Stages, **limits: Any) -> None:
        super().__init__(name, endpoint, arriving, leaving, **limits)
        self.routes = ()

    @property
    def outbound(self) -> Path:
        """The way to it; its stages may be changed at any time."""
        return self._leaving

    @property
    def inbound(self) -> Path:
        """The way from it."""
        return self._arriving
