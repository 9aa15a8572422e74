"""Checks of one device: what it is, who holds it, whose it is."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from ipaddress import ip_interface
from pathlib import Path
from typing import Any

import pytest

import aiotun
from aiotun import AddressChange
from aiotun.linux.doctor_device import Described, check_device, describe
from aiotun.linux.finding import Finding
from aiotun.linux.holders import Holder
from aiotun.linux.machine import Machine
from aiotun.linux.rtnetlink import Link
from aiotun.linux.tuninfo import TunInfo

from .machines import PLAIN, machine

HERE = "net:[1]"
OURS = Holder(42, "vpnd", 7, True)
UNSURE = Holder(43, "other", 5, None)
ELSEWHERE = Holder(44, "far", 3, False)


def device(*holders: Holder, flags: int = 1, carrier: bool = True, **info: Any) -> Described:
    """A tun as it comes, with something changed."""
    tun = TunInfo(**info)
    link = Link(index=3, name="vpn0", mtu=1420, flags=flags, carrier=carrier, kind=tun.kind, tun=tun)
    return Described(name="vpn0", netns=HERE, link=link, holders=holders, groups=frozenset({100}))


def judged(described: Described, root: Path, **changes: Any) -> dict[str, Finding]:
    """Return the findings by id."""
    return {one.id: one for one in check_device(described, machine(root, **changes))}


def test_what_it_is(tmp_path: Path) -> None:
    """Kind, index, mtu, how long it lives, addresses and namespace, in a line; under its own name."""
    link = device().link
    addresses = [
        AddressChange(ip_interface("10.0.0.1/24"), "usable"),
        AddressChange(ip_interface("fd00::1/64"), "tentative"),
    ]
    found = judged(Described(name="vpn0", netns=HERE, link=link, addresses=addresses, holders=[OURS]), tmp_path)
    assert found["device"].detail == (
        "a tun, index 3, mtu 1420, lives as long as it is held, 10.0.0.1/24 fd00::1/64 (tentative), net:[1]"
    )
    assert {one.group for one in found.values()} == {"vpn0"}


def test_what_a_multi_queue_device_is(tmp_path: Path) -> None:
    """Its queues are counted; and a persistent one is called so."""
    found = judged(device(multi_queue=True, queues=2, layer="tap", persistent=True), tmp_path)
    assert found["device"].detail == ("a multi-queue tap, index 3, mtu 1420, 2 queues, persistent, no address, net:[1]")


def test_none_of_this_name(tmp_path: Path) -> None:
    """A device that is not here is a problem of its own, whatever works."""
    found = judged(Described(name="vpn0", netns=HERE), tmp_path)["device"]
    assert (found.state, found.hinders) == ("problem", frozenset())
    assert found.detail == "there is none of this name in net:[1]"
    assert "ip netns exec NAME aiotun doctor vpn0" in found.fix


def test_one_of_this_name_elsewhere(tmp_path: Path) -> None:
    """Who holds a device of the name in another namespace is told."""
    found = judged(Described(name="vpn0", netns=HERE, holders=[ELSEWHERE]), tmp_path)["device"]
    assert found.detail == "there is none of this name in net:[1]; one elsewhere is held by far (pid 44)"


@pytest.mark.parametrize(("kind", "told"), [("veth", ", but of kind veth"), ("", "")])
def test_something_else_of_this_name(kind: str, told: str, tmp_path: Path) -> None:
    """What the tun driver did not make cannot be opened."""
    link = Link(index=1, name="vpn0", mtu=1500, flags=1, kind=kind)
    found = judged(Described(name="vpn0", netns=HERE, link=link), tmp_path)["device"]
    assert (found.state, found.detail) == ("problem", f"it is neither a tun nor a tap{told}")


def test_its_holder(tmp_path: Path) -> None:
    """The program, its pid and its descriptor; with one queue, nobody else can have it."""
    found = judged(device(OURS), tmp_path)["holders"]
    assert found.detail == "vpnd (pid 42, descriptor 7); it has one queue, so nobody else can open it"
    assert found.state == "ok"


def test_the_holders_of_several_queues(tmp_path: Path) -> None:
    """Each queue is told, and there is room for more."""
    found = judged(device(OURS, Holder(42, "vpnd", 8, True), multi_queue=True, queues=2), tmp_path)["holders"]
    assert found.detail == "vpnd (pid 42, descriptor 7), vpnd (pid 42, descriptor 8)"


def test_a_namesake_is_told_apart(tmp_path: Path) -> None:
    """Who holds one of the same name in another namespace is not its holder."""
    found = judged(device(OURS, ELSEWHERE, multi_queue=True), tmp_path)["holders"]
    assert found.detail == (
        "vpnd (pid 42, descriptor 7); devices of this name in other namespaces are held by far (pid 44)"
    )


def test_a_holder_nobody_is_sure_of(tmp_path: Path) -> None:
    """Without the right to ask, a candidate is called one."""
    assert judged(device(UNSURE), tmp_path)["holders"].detail == (
        "other (pid 43), if that is not one of the same name elsewhere"
    )


@pytest.mark.parametrize(
    "info",
    [{"persistent": False}, {"persistent": True}, {"persistent": True, "multi_queue": True, "queues": 1}],
    ids=["it lives", "it has a carrier", "it has a queue"],
)
def test_a_holder_nobody_sees(info: dict[str, Any], tmp_path: Path) -> None:
    """Somebody must hold it, whom this user may not see: root can."""
    found = judged(device(**info), tmp_path)["holders"]
    assert (found.state, found.fix) == ("warning", "`sudo aiotun doctor vpn0`")


@pytest.mark.parametrize("info", [{"multi_queue": True, "queues": 0}, {"carrier": False}])
def test_nobody_holds_it(info: dict[str, Any], tmp_path: Path) -> None:
    """A persistent device without a queue, or of one queue without a carrier, is nobody's."""
    assert judged(device(persistent=True, **info), tmp_path)["holders"].detail == "nobody"


@pytest.mark.parametrize(
    ("flags", "carrier", "holders", "state", "fix"),
    [
        (1, True, [OURS], "ok", ""),
        (0, True, [OURS], "warning", "`ip link set dev vpn0 up`"),
        (1, False, [OURS], "warning", "`ip link set dev vpn0 carrier on`"),
        (1, False, [ELSEWHERE], "ok", ""),
    ],
)
def test_whether_it_can_carry(
    flags: int, carrier: bool, holders: list[Holder], state: str, fix: str, tmp_path: Path
) -> None:
    """Down, and a carrier that somebody took away, have a command; nobody's device has no carrier in any case."""
    found = judged(device(*holders, flags=flags, carrier=carrier, persistent=True), tmp_path)["device_up"]
    assert (found.state, found.fix) == (state, fix)


def test_a_passing_device_has_no_owner(tmp_path: Path) -> None:
    """Only of a persistent device it matters whose it is."""
    assert "device_owner" not in judged(device(OURS), tmp_path)


def test_a_device_for_everybody(tmp_path: Path) -> None:
    """A persistent device without an owner is everybody's; the commands give it one (I3)."""
    found = judged(device(persistent=True, multi_queue=True), tmp_path)["device_owner"]
    mode = "dev vpn0 mode tun multi_queue"
    assert (found.state, found.fix) == ("warning", f"`ip tuntap del {mode} && ip tuntap add {mode} user USER`")


@pytest.mark.parametrize(
    ("owner", "group", "capabilities", "state"),
    [
        (1000, None, PLAIN, "ok"),
        (None, 100, PLAIN, "ok"),
        (1000, 100, PLAIN, "ok"),
        (1000, 101, PLAIN, "problem"),
        (1001, 100, PLAIN, "problem"),
        (1001, None, PLAIN, "problem"),
        (1001, None, "0000000000001000", "ok"),
    ],
)
def test_who_may_open_it(owner: int | None, group: int | None, capabilities: str, state: str, tmp_path: Path) -> None:
    """Where both are set, user and group have to fit; CAP_NET_ADMIN always does."""
    found = judged(device(persistent=True, owner=owner, group=group), tmp_path, capabilities=capabilities)[
        "device_owner"
    ]
    assert found.state == state
    assert found.fix == (
        "as root, `ip tuntap del dev vpn0 mode tun && ip tuntap add dev vpn0 mode tun user 1000`"
        if state == "problem"
        else ""
    )


@pytest.fixture
def persistent() -> Iterator[str]:
    """A persistent tap of several queues, of this user and group: others may not be known in this user namespace."""
    mode = ["dev", "lasting0", "mode", "tap", "multi_queue"]
    subprocess.run(["ip", "tuntap", "add", *mode, "user", str(os.getuid()), "group", str(os.getgid())], check=True)
    yield "lasting0"
    subprocess.run(["ip", "tuntap", "del", *mode], check=True)


@pytest.mark.kernel
async def test_a_real_device_is_described() -> None:
    """The kernel's own answers: this process holds it, here."""
    async with aiotun.open_tun("real0", address="10.3.0.1/24", mtu=1400) as tun:
        found = describe("real0")
        assert found.link is not None
        assert (found.link.mtu, found.link.kind, found.link.carrier) == (1400, "tun", True)
        assert [str(one.address) for one in found.addresses] == ["10.3.0.1/24"]
        assert [(one.pid, one.fd, one.here) for one in found.holders] == [(os.getpid(), tun.fileno(), True)]
        assert re.fullmatch(r"net:\[\d+\]", found.netns)


@pytest.mark.kernel
def test_a_persistent_device_is_described(persistent: str) -> None:
    """Owner, group and that nobody holds it are the kernel's to say."""
    found = describe(persistent)
    assert found.link is not None and found.link.tun is not None
    tun = found.link.tun
    assert (tun.persistent, tun.owner, tun.group, tun.kind, tun.queues) == (
        True,
        os.getuid(),
        os.getgid(),
        "multi-queue tap",
        0,
    )
    states = {one.id: one.detail for one in check_device(found, Machine())}
    assert (states["holders"], states["device_up"]) == ("nobody", "down: it carries nothing")


@pytest.mark.kernel
def test_what_is_not_there_is_described() -> None:
    """A name nobody has is no error."""
    assert describe("absent9").link is None
