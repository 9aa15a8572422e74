"""The terms a device is opened on."""

from __future__ import annotations

import os
from typing import Any

import attrs
import pytest

from aiotun.linux import Terms
from aiotun.linux.constants import IFF_MULTI_QUEUE, IFF_NAPI, IFF_NAPI_FRAGS
from aiotun.linux.terms import signed


@pytest.mark.parametrize(
    ("given", "flags"),
    [
        ({}, 0),
        ({"queues": 1}, IFF_MULTI_QUEUE),
        ({"queues": 9, "napi": True}, IFF_MULTI_QUEUE | IFF_NAPI),
        ({"napi_frags": True}, IFF_NAPI | IFF_NAPI_FRAGS),
        ({"persistent": True, "owner": 1, "owner_group": 2}, 0),
    ],
)
def test_the_flags(given: dict[str, Any], flags: int) -> None:
    """What TUNSETIFF is told follows from the terms, and frags bring the polling they need."""
    assert Terms(**given).flags == flags


@pytest.mark.parametrize(
    ("given", "found", "owned", "owner"),
    [
        ({}, False, False, None),  # nobody else can attach to a single queue that is held
        ({"queues": 2}, False, False, os.getuid()),
        ({"queues": 2}, True, False, None),  # whoever made it said whose it is
        ({"persistent": True}, False, False, os.getuid()),
        ({"persistent": True}, True, False, os.getuid()),
        ({"persistent": True}, True, True, None),
        ({"persistent": True, "owner": 7}, False, False, 7),
        ({"persistent": True, "owner": 7}, True, True, 7),
        ({"persistent": True, "owner_group": 7}, False, False, None),
        ({"queues": 1, "owner_group": 7}, False, False, None),
    ],
)
def test_whose_it_becomes(given: dict[str, Any], found: bool, owned: bool, owner: int | None) -> None:
    """A device others could attach to becomes this user's, unless it has an owner or gets one (I3)."""
    terms = Terms(**given)
    assert terms.with_owner(found=found, owned=owned) == attrs.evolve(terms, owner=owner)


@pytest.mark.parametrize(("number", "argument"), [(0, 0), (2**31 - 1, 2**31 - 1), (2**31, -(2**31)), (2**32 - 2, -2)])
def test_a_large_number_is_passed_as_it_is_stored(number: int, argument: int) -> None:
    """Users and groups from 2^31 on become the negative number of the same 32 bits."""
    assert signed(number) == argument
