"""What became of the packets of a batch in a stage: which it passed on, and which it dropped or changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from operator import is_
from typing import NamedTuple

from ..errors import DeviceError, PacketError

__all__ = ["Loss", "reason_of"]


class Loss(NamedTuple):
    """What did not come out of a stage as it went in."""

    gone: list[int]
    """The indexes of the packets that did not come out."""
    lost: int
    """How many were dropped; the others were changed."""
    reasons: str
    """Why, if the stage said so itself."""

    @classmethod
    def between(cls, before: Sequence[bytes], after: Sequence[bytes], dropped: Mapping[str, int] | None = None) -> Loss:
        """Compare a batch in front of a stage with that behind it; *dropped* is what the stage said, by reason."""
        if len(before) == len(after) and all(map(is_, before, after)):
            return _NOTHING
        left = Counter(after)  # by their bytes: of two that are equal it does not matter which is which
        gone = []
        for index, packet in enumerate(before):
            if left[packet] > 0:
                left[packet] -= 1
            else:
                gone.append(index)
        if dropped is None:
            return cls(gone, max(0, len(before) - len(after)), "")
        return cls(gone, sum(dropped.values()), " or ".join(dropped))

    def text(self, name: str, reason: str) -> str:
        """
        Return what to say of the packets that are gone.

        A stage that changes packets as well makes others of them, and which of its own were dropped nobody else knows.
        """
        if not self.lost:
            return f"changed by {name}"
        if len(self.gone) == self.lost:
            return f"dropped by {name}: {self.reasons or reason}"
        return f"changed by {name}, or one of {self.lost} of {len(self.gone)} dropped: {self.reasons or reason}"


_NOTHING = Loss([], 0, "")


def reason_of(stage: object, name: str, error: BaseException | None = None) -> str:
    """Return the reason that a path counts a drop of the stage under."""
    if error is None:
        return str(getattr(stage, "reason", name))
    return error.reason if isinstance(error, DeviceError | PacketError) else f"{name} ({type(error).__name__}: {error})"
