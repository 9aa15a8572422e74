"""What a link does to packets, as a value: the words of tc-netem(8)."""

from __future__ import annotations

from typing import Any

import attrs

__all__ = ["Impairment"]


def _number(name: str, value: object) -> None:
    if not isinstance(value, int | float):
        raise TypeError(f"{name} is a number, not {value!r}")


def _share(impairment: Impairment, attribute: attrs.Attribute[float], value: float) -> None:
    _number(attribute.name, value)
    if not 0 <= value <= 1:
        raise ValueError(f"{attribute.name} is a share from 0 to 1, not {value}")


def _range(delay: float | tuple[float, float]) -> tuple[float, float]:
    return delay if isinstance(delay, tuple) else (delay, delay)


def _in_order(impairment: Impairment, attribute: attrs.Attribute[Any], delay: tuple[float, float]) -> None:
    for seconds in delay:
        _number("delay", seconds)
    if not 0 <= delay[0] <= delay[1]:
        raise ValueError(f"delay is seconds, or the least and the most of them; not {delay}")


def _positive(impairment: Impairment, attribute: attrs.Attribute[Any], value: float | None) -> None:
    if value is not None or attribute.default is not None:
        _number(attribute.name, value)
    if value is not None and value <= 0:
        raise ValueError(f"{attribute.name} is more than 0, not {value}")


@attrs.frozen(kw_only=True)
class Impairment:
    """What one direction of a link does to packets, in the order they meet it; without arguments nothing."""

    rate: float | None = attrs.field(default=None, validator=_positive)
    """Bits per second that leave; packets wait for their turn in a queue."""
    queue_length: int | None = attrs.field(default=None, validator=_positive)
    """Packets that wait for their turn, at most; as many as the direction holds if not given."""
    loss: float = attrs.field(default=0.0, validator=_share)
    """The share of packets that are lost, counted as ``lost``. They took their time to leave."""
    corrupt: float = attrs.field(default=0.0, validator=_share)
    """The share of packets that have one bit changed."""
    duplicate: float = attrs.field(default=0.0, validator=_share)
    """The share of packets that arrive twice."""
    delay: tuple[float, float] = attrs.field(default=(0.0, 0.0), converter=_range, validator=_in_order)
    """Seconds from leaving to arriving: a number, or the least and the most. As in a queue, nothing is overtaken."""
    reorder: float = attrs.field(default=0.0, validator=_share)
    """The share of packets that take *reorder_delay* longer, and are overtaken by what comes meanwhile."""
    reorder_delay: float = attrs.field(default=0.001, validator=_positive)
    """Seconds that a reordered packet takes longer."""
