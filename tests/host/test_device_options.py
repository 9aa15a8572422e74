"""The options that are the tun driver's own."""

from __future__ import annotations

import grp
import os
import pwd
from typing import Any

import pytest

from aiotun.host import KernelTapOptions
from aiotun.host.device_options import device_terms
from aiotun.linux import Terms


def test_nothing_is_a_plain_device() -> None:
    """Without options a device is opened as before there were any."""
    assert device_terms({}, None) == Terms()


def test_everything_arrives() -> None:
    """Every option is one of the terms."""
    options = KernelTapOptions(persistent=True, owner=5, owner_group=6, napi=True, napi_frags=True)
    terms = Terms(queues=3, persistent=True, owner=5, owner_group=6, napi=True, napi_frags=True)
    assert device_terms(options, 3) == terms


def test_names_become_numbers() -> None:
    """Users and groups are given by name as well."""
    user, group = pwd.getpwuid(os.getuid()), grp.getgrgid(os.getgid())
    terms = device_terms({"owner": user.pw_name, "owner_group": group.gr_name}, None)
    assert (terms.owner, terms.owner_group) == (user.pw_uid, group.gr_gid)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"owner": "no such user"}, "owner: there is no user 'no such user'"),
        ({"owner_group": "no such group"}, "owner_group: there is no group 'no such group'"),
        ({"owner": -1}, "owner is a name, or a number from 0 to 2.32 - 2, not -1"),
        ({"owner_group": 2**32 - 1}, "owner_group is a name, or a number from 0 to 2.32 - 2, not 4294967295"),
        ({"owner": 1.5}, "owner is a name, or a number"),
    ],
)
def test_who_cannot_be_is_refused(options: Any, text: str) -> None:
    """A user or group that is not there, or no number the kernel could store, is named."""
    with pytest.raises(ValueError, match=text):
        device_terms(options, None)


@pytest.mark.parametrize("queues", [0, -1, "2", 2.0])
def test_queues_are_counted(queues: Any) -> None:
    """There is at least one queue."""
    with pytest.raises(ValueError, match="queues is 1 or more, not"):
        device_terms({}, queues)
