"""What a link may be told to do."""

from __future__ import annotations

from typing import Any

import pytest

from aiotun.channel import Impairment


def test_one_number_is_a_constant_delay() -> None:
    """A delay that is a number is a range of one."""
    assert Impairment(delay=0.1).delay == (0.1, 0.1)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"loss": 1.5}, "loss is a share from 0 to 1, not 1.5"),
        ({"duplicate": -0.1}, "duplicate is a share from 0 to 1, not -0.1"),
        ({"rate": 0}, "rate is more than 0, not 0"),
        ({"queue_length": 0}, "queue_length is more than 0, not 0"),
        ({"delay": -1}, r"delay is seconds, or the least and the most of them; not \(-1, -1\)"),
        ({"delay": (2, 1)}, r"delay is seconds, or the least and the most of them; not \(2, 1\)"),
    ],
)
def test_what_cannot_be_is_refused(values: dict[str, Any], text: str) -> None:
    """A value out of its range is refused with its name."""
    with pytest.raises(ValueError, match=f"^{text}$"):
        Impairment(**values)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"loss": "5%"}, "loss is a number, not '5%'"),
        ({"rate": "1mbit"}, "rate is a number, not '1mbit'"),
        ({"delay": (0.1, "1s")}, "delay is a number, not '1s'"),
        ({"reorder_delay": None}, "reorder_delay is a number, not None"),
    ],
)
def test_what_is_no_number_is_refused(values: dict[str, Any], text: str) -> None:
    """What is no number is refused with its name."""
    with pytest.raises(TypeError, match=f"^{text}$"):
        Impairment(**values)
