"""Unit numbers: the lowest that is free, and taking one by its number."""

from __future__ import annotations

import errno
import timeit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotun.driver.units import Units
from aiotun.errors import DeviceBusy, DeviceError


@pytest.fixture
def units() -> Units:
    """Five units, none taken."""
    return Units("tun", 5)


def test_from_zero_up(units: Units) -> None:
    """Units are taken from 0 up."""
    assert [units.get() for _ in range(5)] == [0, 1, 2, 3, 4]


def test_the_lowest_free(units: Units) -> None:
    """A unit given back is the next to be taken, the lowest first."""
    for unit in range(4):
        units.set(unit)
    units.put(2)
    units.put(1)
    assert [units.get() for _ in range(3)] == [1, 2, 4]


def test_taking_by_number(units: Units) -> None:
    """A unit taken by its number is passed over."""
    units.set(1)
    units.set(0)
    assert [units.get() for _ in range(3)] == [2, 3, 4]


@pytest.mark.parametrize(("start", "unit"), [(0, 0), (1, 2), (2, 2), (3, 3), (4, 4), (-1, 0)])
def test_from_a_number_on(units: Units, start: int, unit: int) -> None:
    """get() takes the lowest free unit that is at least *start*."""
    units.set(1)
    assert units.get(start) == unit


def test_below_the_start_stays_free(units: Units) -> None:
    """Units below a start stay free."""
    assert [units.get(3), units.get(), units.get(), units.get(), units.get()] == [3, 0, 1, 2, 4]


@pytest.mark.parametrize("start", [0, 2, 5, 9])
def test_no_unit_is_left(units: Units, start: int) -> None:
    """With every unit taken get() is ENXIO."""
    for unit in range(5):
        units.set(unit)
    with pytest.raises(DeviceError, match=f"^tun: no unit {max(start, 5)}, it has 0 to 4$") as error:
        units.get(start)
    assert error.value.errno == errno.ENXIO


@pytest.mark.parametrize("unit", [-1, 5])
def test_a_unit_there_is_not(units: Units, unit: int) -> None:
    """A number out of range is ENXIO, and takes nothing."""
    with pytest.raises(DeviceError, match=f"^tun: no unit {unit}, it has 0 to 4$") as error:
        units.set(unit)
    assert error.value.errno == errno.ENXIO
    assert len(units) == 0


@pytest.mark.parametrize("unit", [0, 4])
def test_a_unit_that_is_taken(units: Units, unit: int) -> None:
    """A unit cannot be taken twice."""
    units.set(unit)
    with pytest.raises(DeviceBusy, match=f"^tun: unit {unit} is taken$"):
        units.set(unit)


def test_in(units: Units) -> None:
    """A unit is in while it is taken."""
    units.set(2)
    assert [unit in units for unit in (-3, -1, 0, 1, 2, 3, 4, 5)] == [False] * 4 + [True] + [False] * 3
    assert "2" not in units
    units.put(2)
    assert 2 not in units


def test_the_length(units: Units) -> None:
    """The length is how many are taken."""
    units.set(2)
    units.set(4)
    assert len(units) == 2
    units.put(4)
    assert len(units) == 1


@pytest.mark.parametrize("unit", [-1, 0, 3, 5, 99])
def test_giving_back_what_is_free(units: Units, unit: int) -> None:
    """Giving back a unit that is free does nothing."""
    units.set(2)
    units.put(unit)
    assert [units.get(), units.get(), units.get()] == [0, 1, 3]


def test_as_many_as_a_tap_has() -> None:
    """By default there are as many units as NetBSD's tap has minor numbers below its cloner's."""
    Units("tap").set(0xFFFFE)
    with pytest.raises(DeviceError):
        Units("tap").set(0xFFFFF)


def test_the_ten_thousandth_costs_like_the_first() -> None:
    """Taking the 10,000th unit is no slower than taking the first."""
    few, many = Units("tun"), Units("tun")
    for _ in range(9_999):
        many.get()

    def cost(units: Units) -> float:
        return min(timeit.repeat(lambda: units.put(units.get()), number=100, repeat=20))

    assert cost(many) < 5 * cost(few)  # 1.1 times where it was measured; by counting up, 1,000 times


@given(st.lists(st.tuples(st.sampled_from(["get", "set", "put"]), st.integers(0, 12))))
def test_like_a_set_of_numbers(calls: list[tuple[str, int]]) -> None:
    """Whatever is done, the units are those that a plain set would hold."""
    units, plain = Units("tun"), set[int]()
    for call, number in calls:
        if call == "get":
            expected = min(set(range(number, 40)) - plain)
            assert units.get(number) == expected
            plain.add(expected)
        elif call == "put":
            units.put(number)
            plain.discard(number)
        elif number not in plain:
            units.set(number)
            plain.add(number)
        assert {unit for unit in range(40) if unit in units} == plain
        assert len(units) == len(plain)
