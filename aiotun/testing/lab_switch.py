"""The switches of a lab."""

from __future__ import annotations

from collections.abc import Callable

from ..host.bridge import Bridge
from .lab_interface import LabInterface

__all__ = ["LabSwitch"]


class LabSwitch:
    """A learning Ethernet switch; made by Lab.switch(). Links to it carry frames."""

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        self.name = name
        """What it is called, in diagrams too."""
        self.ports: list[LabInterface] = []
        """Its ends of links, in the order they came."""
        self.bridge = Bridge(name)
        """Its table and its counters."""
        self._clock = clock

    def __repr__(self) -> str:
        return f"<LabSwitch {self.name}>"

    def plug(self, interface: LabInterface) -> None:
        """Take an end of a link as a member."""
        self.ports.append(interface)
        self.bridge.add(interface)

    def enter(self, interface: LabInterface, batch: list[bytes]) -> None:
        """Take frames that arrived by a link, and send them on by the others."""
        self.bridge.input(interface, batch, self._clock())

    async def aclose(self) -> None:
        """Let every link go."""
        self.bridge.close()
