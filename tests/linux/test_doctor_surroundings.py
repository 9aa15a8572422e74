"""Checks of IPv6, filters, limits and packages, on machines of every kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aiotun.linux.doctor_surroundings import check_files, check_ipv6, check_packages, check_reverse_path
from aiotun.linux.finding import KERNEL_HOSTS, Finding

from .machines import machine

ALL, NEW = (f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6" for name in ("all", "default"))


def test_ipv6_is_on(tmp_path: Path) -> None:
    """Neither setting switches it off."""
    assert check_ipv6(machine(tmp_path)).state == "ok"


@pytest.mark.parametrize(
    ("files", "fix"),
    [
        ({ALL: "1"}, "`sysctl net.ipv6.conf.all.disable_ipv6=0`"),
        ({NEW: "1"}, "`sysctl net.ipv6.conf.default.disable_ipv6=0`"),
        (
            {ALL: "1", NEW: "1"},
            "`sysctl net.ipv6.conf.all.disable_ipv6=0`; `sysctl net.ipv6.conf.default.disable_ipv6=0`",
        ),
    ],
)
def test_ipv6_is_switched_off(files: dict[str, str], fix: str, tmp_path: Path) -> None:
    """Each setting that does has its command."""
    found = check_ipv6(machine(tmp_path, files=dict(files)))
    assert (found.state, found.fix) == ("warning", fix)


def test_a_kernel_without_ipv6(tmp_path: Path) -> None:
    """Without the settings there is none."""
    found = check_ipv6(machine(tmp_path, files={ALL: None, NEW: None}))
    assert (found.state, found.detail) == ("warning", "the kernel has none")
    assert "ipv6.disable=1" in found.fix


@pytest.mark.parametrize(
    ("every", "own", "told"),
    [
        ("0", "0", "off"),
        ("1", "0", "strict"),
        ("0", "1", "strict"),
        ("2", "1", "loose"),
        ("1", "2", "loose"),
        ("0", "3", "3"),
    ],
)
def test_the_higher_filter_counts(every: str, own: str, told: str, tmp_path: Path) -> None:
    """Of an interface's own setting and that of all, the higher one is in force; a hint, and no fault."""
    conf = "/proc/sys/net/ipv4/conf"
    found = check_reverse_path(
        machine(tmp_path, files={f"{conf}/all/rp_filter": every, f"{conf}/default/rp_filter": own})
    )
    assert (found.state, found.detail.partition(":")[0]) == ("ok", told)


def test_a_machine_without_the_filter(tmp_path: Path) -> None:
    """Settings that are not there are off."""
    assert check_reverse_path(machine(tmp_path)).detail == "off"


@pytest.mark.parametrize(
    ("limits", "state", "detail", "fix"),
    [
        ((1024, 4096), "ok", "1024 at most", ""),
        ((-1, -1), "ok", "no limit", ""),
        ((64, 4096), "warning", "64 at most", "`ulimit -n 4096`, or LimitNOFILE= in the systemd unit"),
        ((64, -1), "warning", "64 at most", "`ulimit -n 65536`, or LimitNOFILE= in the systemd unit"),
    ],
)
def test_open_files(limits: tuple[int, int], state: str, detail: str, fix: str, tmp_path: Path) -> None:
    """Few descriptors are soon used up; what can be asked for is at most the hard limit."""
    found = check_files(machine(tmp_path, file_limits=limits))
    assert (found.state, found.detail, found.fix) == (state, detail, fix)


def packages(root: Path, **changes: Any) -> dict[str, Finding]:
    return {one.id: one for one in check_packages(machine(root, **changes))}


def test_every_package_is_there(tmp_path: Path) -> None:
    """Versions are told."""
    found = packages(tmp_path)
    assert {one.state for one in found.values()} == {"ok"}
    assert (found["pyroute2"].detail, found["uvloop"].detail) == ("1.2.3", "1.2.3")


def test_no_package_is_there(tmp_path: Path) -> None:
    """pyroute2 is needed; uvloop and the C functions are not."""
    found = packages(tmp_path, version_of=lambda package: None, has_module=lambda name: False)
    assert (found["pyroute2"].state, found["pyroute2"].hinders) == ("problem", KERNEL_HOSTS)
    assert found["pyroute2"].fix == "`pip install pyroute2`"
    assert (found["uvloop"].state, found["speedups"].state) == ("not applicable", "not applicable")


@pytest.mark.parametrize("name", ["aiotun._speedups", "aiotun.speedups"])
def test_speedups_of_either_name(name: str, tmp_path: Path) -> None:
    """The C functions are found where they are."""
    assert packages(tmp_path, has_module=lambda module: module == name)["speedups"].state == "ok"
