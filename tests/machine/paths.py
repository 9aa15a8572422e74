"""A path of the model: the names of its stages, what passed each of them, and the stages a user puts in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

__all__ = ["USER_STAGES", "Flight", "ModelPath", "Refused"]

Flight = tuple[bytes, int | None]
"""A packet on its way, and the mark on it: a class, or a family."""


class Refused(Exception):
    """What the real thing should raise: the name of the class, the errno, and the reason of a drop."""

    def __init__(self, kind: str, code: int | None = None, reason: str | None = None) -> None:
        super().__init__(kind, code)
        self.kind = kind
        self.code = code
        self.reason = reason
        self.sent = 0


def _keep(flights: list[Flight]) -> list[Flight]:
    return flights


def _drop_odd(flights: list[Flight]) -> list[Flight]:
    return [flight for flight in flights if not len(flight[0]) & 1]


def _double(flights: list[Flight]) -> list[Flight]:
    return [flight for flight in flights for _ in (0, 1)]


def _longer(flights: list[Flight]) -> list[Flight]:
    return [(packet + b"\0", None) for packet, _ in flights]


def _boom(flights: list[Flight]) -> list[Flight]:
    raise Refused("ValueError")


def _nothing(flights: list[Flight]) -> list[Flight]:
    raise Refused("TypeError")


USER_STAGES: dict[str, Callable[[list[Flight]], list[Flight]]] = {
    "keep": _keep,
    "drop_odd": _drop_odd,
    "double": _double,
    "longer": _longer,
    "boom": _boom,
    "nothing": _nothing,
}


class _Node:
    def __init__(self, name: str, user: str | None) -> None:
        self.name = name
        self.user = user
        self.entered = self.created = 0
        self.dropped: Counter[str] = Counter()

    def figures(self) -> tuple[str, int, int, Counter[str]]:
        return self.name, self.entered, self.created, self.dropped


class ModelPath:
    """The stages in order; *told* is the counter of the device, to which drops are told, if any."""

    def __init__(self, names: tuple[str, ...], told: Counter[str] | None) -> None:
        self.nodes = [_Node(name, None) for name in names]
        self.told = told
        self.left = self.created = 0
        self.dropped: Counter[str] = Counter()

    def index(self, name: str) -> int:
        for index, node in enumerate(self.nodes):
            if node.name == name:
                return index
        raise Refused("LookupError")

    def insert(self, where: str, after: bool, name: str, user: str) -> None:
        index = self.index(where) + after
        if any(node.name == name for node in self.nodes):
            raise Refused("ValueError")
        self.nodes.insert(index, _Node(name, user))

    def replace(self, name: str, user: str) -> None:
        self.nodes[self.index(name)] = _Node(name, user)

    def remove(self, name: str) -> None:
        del self.nodes[self.index(name)]

    def run(
        self,
        flights: list[Flight],
        steps: Mapping[str, Callable[[list[Flight]], list[Flight]]],
        reasons: dict[str, str],
        counted: str = "",
    ) -> list[Flight]:
        """Take packets through; *reasons* are those of the driver's stages, and *counted* the one that tells itself."""
        for node in list(self.nodes):
            if not flights:
                return []
            before = len(flights)
            node.entered += before
            step = steps[node.name] if node.user is None else USER_STAGES[node.user]
            reason = node.name if node.user is not None else reasons.get(node.name, node.name)
            tell = self.told is not None and node.name != counted
            try:
                flights = step(flights)
            except Refused as refused:
                self._lose(node, refused.reason or node.name, before, tell)
                raise
            if len(flights) < before:
                self._lose(node, reason, before - len(flights), tell)
            elif len(flights) > before:
                node.created += len(flights) - before
                self.created += len(flights) - before
        self.left += len(flights)
        return flights

    def _lose(self, node: _Node, reason: str, count: int, tell: bool) -> None:
        node.dropped[reason] += count
        self.dropped[reason] += count
        if tell:
            assert self.told is not None
            self.told[reason] += count
