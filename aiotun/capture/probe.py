"""Looking at a path while it works: a probe around each of its stages."""

from __future__ import annotations

import contextlib
from typing import Generic, Protocol, TypeVar

from ..pipeline import Batch, Path, Stage
from .pcap import LinkType

__all__ = ["Observer", "Probe", "Probes", "linktype_of"]

T = TypeVar("T")


class Observer(Protocol[T]):
    """What probes tell. Neither method may raise, or change a batch."""

    def enter(self, probe: Probe[T], batch: Batch) -> T:
        """See a batch that is about to enter a stage; what is returned is given back to leave()."""

    def leave(self, entered: T, probe: Probe[T], after: Batch | BaseException) -> None:
        """See what the stage returned or raised."""


class Probe(Generic[T]):
    """Takes the place of a stage, and is like it in all that its path asks for."""

    __slots__ = ("_observer", "index", "name", "path", "stage")

    def __init__(self, observer: Observer[T], path: Path, index: int, name: str, stage: Stage) -> None:
        self._observer: Observer[T] | None = observer
        self.path = path
        self.index = index
        """Which stage of the path it is, counted from 0 when the probes were put in."""
        self.name = name
        self.stage = stage

    def __call__(self, batch: Batch) -> Batch:
        observer = self._observer
        if observer is None:
            return self.stage(batch)
        entered = observer.enter(self, batch)
        try:
            after = self.stage(batch)
        except BaseException as error:
            observer.leave(entered, self, error)
            raise
        observer.leave(entered, self, after)
        return after

    @property
    def __wrapped__(self) -> Stage:
        """The stage, for who looks for it."""
        return self.stage

    def __getattr__(self, name: str) -> object:
        """Return what the stage is marked with: its reason, whether it delivers."""
        return getattr(self.stage, name)

    def end(self) -> None:
        """Tell no more: another's probe may be around this one, and stay."""
        self._observer = None

    @property
    def ended(self) -> bool:
        """Whether it tells no more."""
        return self._observer is None


class Probes(Generic[T]):
    """
    The probes of one path. The counters of its stages go on.

    Stages that are put in later have none; one that was taken out meanwhile stays out.
    """

    def __init__(self, path: Path, observer: Observer[T]) -> None:
        self.path = path
        self.probes = tuple(Probe(observer, path, index, name, path[name]) for index, name in enumerate(path))
        for probe in self.probes:
            path.replace(probe.name, probe, keep_counters=True)

    def remove(self) -> None:
        """Put the stages back, also from under probes of others that ended before. Idempotent."""
        for probe in self.probes:
            probe.end()
            with contextlib.suppress(LookupError):
                stage: Stage = self.path[probe.name]
                while isinstance(stage, Probe) and stage.ended:
                    stage = stage.stage
                    self.path.replace(probe.name, stage, keep_counters=True)


def linktype_of(path: Path, linktype: int | None) -> int:
    """Return what the packets of *path* begin with: *linktype*, if it is given."""
    if linktype is not None:
        return linktype
    return LinkType.ETHERNET if path.ethernet else LinkType.RAW
