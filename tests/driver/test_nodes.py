"""Device nodes: whom the mode lets open, and whom not."""

from __future__ import annotations

import errno
import os

import pytest

from aiotun.driver.nodes import Credentials, DeviceNode

ROOT = Credentials()
UUCP = Credentials(uid=66, gid=66)
DIALER = Credentials(uid=1000, gid=68)
ALSO_DIALER = Credentials(uid=1000, gid=1000, groups=(5, 68))
OTHER = Credentials(uid=1000, gid=1000, groups=(5,))


def node(mode: int = 0o600, owner: str = "uucp", group: str = "dialer") -> DeviceNode[str]:
    return DeviceNode(
        name="tun0", minor=0, opens=lambda who: f"opened by {who.uid}", mode=mode, owner=owner, group=group
    )


def test_root_in_this_process() -> None:
    """By default it is root who opens, in this process, in no other group."""
    assert Credentials() == Credentials(uid=0, gid=0, groups=(), pid=os.getpid())


@pytest.mark.parametrize(("uid", "root"), [(0, True), (1, False)])
def test_who_is_root(uid: int, root: bool) -> None:
    """Root is uid 0."""
    assert Credentials(uid=uid).root is root


def test_a_node_of_the_driver() -> None:
    """By default a node is uucp's and dialer's, uid 66 and gid 68, with mode 0600."""
    plain = DeviceNode(name="tun0", minor=0, opens=lambda who: None)
    assert (plain.owner, plain.uid, plain.group, plain.gid, plain.mode) == ("uucp", 66, "dialer", 68, 0o600)


@pytest.mark.parametrize(("group", "gid"), [("wheel", 0), ("operator", 5), ("dialer", 68)])
def test_the_number_of_a_group(group: str, gid: int) -> None:
    """A group has the number that the BSDs give it."""
    assert node(group=group).gid == gid


def test_the_number_of_root() -> None:
    """Root is uid 0 as an owner too."""
    assert node(owner="root").uid == 0


def test_opening() -> None:
    """Opening returns what the device answers to the credentials."""
    assert node().open(UUCP) == "opened by 66"


@pytest.mark.parametrize("mode", [0o000, 0o600, 0o777])
def test_root_always_may(mode: int) -> None:
    """No mode keeps root out."""
    assert node(mode).allows(ROOT)


@pytest.mark.parametrize(
    ("who", "needed"),
    [(UUCP, 0o600), (DIALER, 0o060), (ALSO_DIALER, 0o060), (OTHER, 0o006)],
    ids=["owner", "group", "supplementary group", "other"],
)
def test_only_its_own_bits_count(who: Credentials, needed: int) -> None:
    """Owner, group and others each need both bits of their own; no other bits help."""
    assert node(needed).allows(who)
    assert node(0o777).allows(who)  # the bit to execute is in nobody's way
    assert not node(0o777 & ~needed).allows(who)
    for bit in (0o444, 0o222):
        assert not node(needed & bit).allows(who)


def test_the_owner_is_no_other() -> None:
    """The owner's bits are the ones that count for the owner, in the group or not."""
    assert not node(0o066).allows(Credentials(uid=66, gid=68))


@pytest.mark.parametrize(
    ("mode", "owner", "remedy"),
    [
        (0o600, "uucp", "root or uucp"),
        (0o660, "uucp", "root or uucp or a member of dialer"),
        (0o060, "uucp", "root or a member of dialer"),
        (0o770, "uucp", "root or uucp or a member of dialer"),
        (0o420, "uucp", "root"),
        (0o600, "root", "root"),
    ],
)
def test_the_remedy(mode: int, owner: str, remedy: str) -> None:
    """A refusal is EACCES, and says who may open the node."""
    with pytest.raises(PermissionError) as error:
        node(mode, owner).open(OTHER)
    text = f"tun0: uid 1000 may not open a node of {owner}:dialer with mode {mode:04o}; open it as {remedy}"
    assert (error.value.errno, error.value.strerror) == (errno.EACCES, text)


def test_a_refusal_opens_nothing() -> None:
    """Who is refused does not reach the device."""
    opened: list[Credentials] = []
    with pytest.raises(PermissionError):
        DeviceNode(name="tun0", minor=0, opens=opened.append).open(OTHER)
    assert opened == []
