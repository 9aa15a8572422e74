"""What the network says about packets that were sent: nobody listens there, nobody can be reached."""

from __future__ import annotations

import os

import attrs

__all__ = ["Report"]


@attrs.frozen
class Report:
    """
    Packets sent to *peer* did not arrive, says *by*.

    Anybody who can guess what was sent can say so: it is a hint, not a proof.
    """

    peer: tuple[str, int] | None
    """Whom the packets were sent to; None if that was not told."""
    errno: int
    """What happened, as an errno: ECONNREFUSED is a closed port, EHOSTUNREACH a host that does not answer."""
    by: str | None = None
    """The address of who says so, a router or the peer; None if that was not told."""

    def __str__(self) -> str:
        peer = "somebody" if self.peer is None else " port ".join(map(str, self.peer))
        return f"{peer}: {os.strerror(self.errno)}" + (f", says {self.by}" if self.by else "")
