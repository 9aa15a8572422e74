"""What became of each packet of a batch on its way through a path, as a sentence."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ..pipeline import Path, Stage
from .blocks import Direction
from .probe import Probe
from .verdict import Loss, reason_of

__all__ = ["Run", "Step", "tell"]


class Step(NamedTuple):
    """What a stage did to a batch, if it did anything."""

    name: str
    stage: Stage | None
    after: list[bytes]
    dropped: Mapping[str, int] | None
    """What it said of drops, by reason."""
    error: BaseException | None


class Run:
    """One batch on its way through a path, as references: quick to keep, and understood only when asked for."""

    __slots__ = ("before", "current", "direction", "inside", "kept", "last", "linktype", "path", "returned", "size",
                 "stages", "steps", "time_ns")  # fmt: skip

    def __init__(
        self,
        path: Path,
        time_ns: int,
        before: list[bytes],
        direction: Direction | None,
        linktype: int,
        stages: int,
    ) -> None:
        self.path = path
        self.time_ns = time_ns
        self.before = before
        self.direction = direction
        self.linktype = linktype
        self.stages = stages
        """How many stages the path had."""
        self.current = before
        """What is left of the batch."""
        self.last = -1
        """The number of the last stage it entered."""
        self.inside = False
        """Whether it is in a stage now."""
        self.returned: object = None
        """What the last stage returned."""
        self.steps: list[Step | Probe[Run]] = []
        """What it met: the probe alone of a stage that passed everything on as it was."""
        self.size = 0
        """Bytes that it counts for."""
        self.kept = True
        """Whether it is remembered."""


class _Life:
    """One packet, from where it came up to where it went."""

    __slots__ = ("end", "origin", "packet", "passed")

    def __init__(self, packet: bytes, origin: str = "") -> None:
        self.packet = packet
        self.origin = origin
        self.passed: list[str] = []
        self.end = ""

    def __str__(self) -> str:
        passed = f"passed {', '.join(self.passed)}" if self.passed else ""
        return "; ".join(filter(None, (self.origin, passed, self.end)))


def tell(run: Run) -> Iterator[tuple[bytes, str]]:
    """Yield each packet of the batch, and each that a stage made, with what became of it."""
    alive = [_Life(packet) for packet in run.before]
    lives = list(alive)
    for step in run.steps:
        if isinstance(step, Probe):
            for life in alive:
                life.passed.append(step.name)
            continue
        loss = Loss.between([life.packet for life in alive], step.after, step.dropped)
        end = loss.text(step.name, reason_of(step.stage, step.name, step.error))
        for index in loss.gone:
            alive[index].end = end
        alive = _pass(alive, step.after, step.name)
        lives += [life for life in alive if not life.passed and life.origin]
    for life in alive:
        life.end = "left" if run.last == run.stages - 1 and not run.inside else "was under way"
    return ((life.packet, str(life)) for life in lives)


def _pass(alive: list[_Life], left: list[bytes], name: str) -> list[_Life]:
    """Return the lives of what came out of a stage, those it made among them."""
    known: defaultdict[bytes, deque[_Life]] = defaultdict(deque)
    for life in alive:
        known[life.packet].append(life)
    out = []
    for packet in left:
        if known[packet]:
            life = known[packet].popleft()
            life.passed.append(name)
        else:
            life = _Life(packet, f"made by {name}")
        out.append(life)
    return out
