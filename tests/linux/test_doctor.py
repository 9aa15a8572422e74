"""The whole examination: every check once, hosts by what was tried, and what is a problem."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from aiotun.linux.doctor import diagnose, usable_hosts
from aiotun.linux.machine import Machine

from .machines import PLAIN, machine, refuse

DENIED = PermissionError(errno.EPERM, "aiotun%d: not allowed to open this tun; run as root")


def states(machine: Machine) -> dict[str, str]:
    return {one.id: one.state for one in diagnose(machine).findings}


def test_a_machine_where_all_is_well(tmp_path: Path) -> None:
    """Nothing is a problem, or a warning; each finding has an id of its own."""
    found = diagnose(machine(tmp_path)).findings
    assert {one.state for one in found} <= {"ok", "not applicable"}
    assert len({one.id for one in found}) == len(found)


def test_findings_of_a_group_stand_together(tmp_path: Path) -> None:
    """They are shown under one heading."""
    groups = [one.group for one in diagnose(machine(tmp_path)).findings]
    assert groups == sorted(groups, key=groups.index)
    assert list(dict.fromkeys(groups)) == ["driver", "privileges", "namespaces", "offloads", "network", "software"]


def test_every_host_works(tmp_path: Path) -> None:
    """They are told in order of what they need."""
    found = usable_hosts(machine(tmp_path))
    assert [(one.host, one.usable) for one in found] == [
        ("SystemHost", True),
        ("BrokerHost", True),
        ("PrivateHost", True),
        ("SoftHost", True),
    ]


def test_a_user_with_namespaces_has_no_problem(tmp_path: Path) -> None:
    """Without the privilege the private host still works: a warning, with what would give it."""
    found = diagnose(machine(tmp_path, capabilities=PLAIN, try_system=refuse(DENIED)))
    assert found.problems == []
    assert {one.id for one in found.findings if one.state == "warning"} == {"open_device", "capability"}
    assert [one.usable for one in found.hosts] == [False, True, True, True]
    assert found.hosts[0].why == "not allowed to open this tun"


def test_a_broker_is_enough(tmp_path: Path) -> None:
    """What a broker opens is a device of the kernel, too."""
    nothing = refuse(errno.EACCES)
    assert diagnose(machine(tmp_path, try_system=nothing, try_private=nothing)).problems == []


def test_a_machine_where_nothing_works(tmp_path: Path) -> None:
    """If the kernel can be had in no way, what stands in the way is a problem."""
    nothing = refuse(errno.EACCES)
    found = diagnose(
        machine(tmp_path, capabilities=PLAIN, try_system=nothing, try_private=nothing, try_broker=refuse(errno.ENOENT))
    )
    assert [one.id for one in found.problems] == ["open_device", "capability", "private_network"]
    assert [one.usable for one in found.hosts] == [False, False, False, True]
    assert found.hosts[1].why == "no broker answers at /run/aiotun.sock: No such file or directory"


def test_what_is_tried_is_tried_once(tmp_path: Path) -> None:
    """Several checks ask for it, and one device is opened."""
    tried: list[str] = []
    seams: dict[str, Any] = {
        f"try_{what}": lambda *_, what=what: tried.append(what) for what in ("system", "private", "broker")
    }
    diagnose(machine(tmp_path, **seams))
    assert sorted(tried) == ["broker", "private", "system"]


@pytest.mark.kernel
def test_a_device_that_is_asked_about_comes_first(tmp_path: Path) -> None:
    """A device that is not there is a problem, though everything works."""
    found = diagnose(machine(tmp_path), "absent8")
    assert (found.findings[0].group, [one.id for one in found.problems]) == ("absent8", ["device"])
    assert found.device is not None and found.device.name == "absent8"


@pytest.mark.kernel
def test_this_machine() -> None:
    """Where the tests can run devices can be opened, and nothing of the examination is left."""
    import socket

    before = socket.if_nameindex()
    found = states(Machine())
    assert (found["open_device"], found["node"], found["driver"], found["python"]) == ("ok",) * 4
    assert socket.if_nameindex() == before
