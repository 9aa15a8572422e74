"""How long a NAT remembers what it sees nothing more of."""

from __future__ import annotations

from typing import Any

import attrs

__all__ = ["NatTimeouts"]


def _positive(value: object, field: Any, seconds: float) -> None:
    if not seconds > 0:
        raise ValueError(f"nat: {field.name} is {seconds:g} s, it must be more than 0")


@attrs.frozen(kw_only=True)
class NatTimeouts:
    """
    How long a session lasts after its last packet, in seconds. Less than the RFCs' least is for tests of others.

    Raises:
        ValueError: If one is not more than 0.
    """

    udp: float = attrs.field(default=300.0, validator=_positive)
    """UDP: 300 recommended, at least 120. RFC 4787 REQ-5."""
    tcp: float = attrs.field(default=7440.0, validator=_positive)
    """TCP that is established: at least 7440. RFC 5382 REQ-5."""
    tcp_transitory: float = attrs.field(default=240.0, validator=_positive)
    """TCP that is being opened, or was closed: at least 240. RFC 5382 REQ-5."""
    icmp: float = attrs.field(default=60.0, validator=_positive)
    """ICMP echo: at least 60. RFC 5508 REQ-2."""
    fragments: float = attrs.field(default=30.0, validator=_positive)
    """The fragments of one datagram, after the first that came. RFC 791 reassembles for 15 s, RFC 8200 for 60 s."""
