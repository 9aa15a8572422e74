"""The sysctl tree: leaves, the nodes above them, and an Ethernet address as text."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotun.driver.sysctl import SysctlTree, ether_aton
from aiotun.errors import DeviceError

TAP0 = "net.link.tap.tap0"
TAP1 = "net.link.tap.tap1"


class Store:
    """A value behind a leaf."""

    def __init__(self, value: str | int) -> None:
        self.value = value

    def read(self) -> str | int:
        return self.value

    def write(self, value: str | int) -> None:
        self.value = value


@pytest.fixture
def tree() -> SysctlTree:
    return SysctlTree()


@pytest.fixture
def store(tree: SysctlTree) -> Store:
    """The value of net.link.tap.tap0, a text of at most 17 characters."""
    store = Store("old")
    tree.create(TAP0, store.read, store.write, max_length=17)
    return store


def refused(code: int, text: str) -> pytest.RaisesExc[DeviceError]:
    return pytest.raises(DeviceError, match=f"^{re.escape(text)}$", check=lambda error: error.errno == code)


def creators(tree: SysctlTree) -> list[Callable[[str], None]]:
    """Both ways to make a name."""
    return [lambda name: tree.create(name, lambda: 0), tree.create_node]


# --- values ---------------------------------------------------------------------------------------


def test_reading(tree: SysctlTree, store: Store) -> None:
    """A leaf reads as what it is now."""
    assert tree[TAP0] == "old"
    store.value = "new"
    assert tree[TAP0] == "new"


@pytest.mark.parametrize("value", ["new", "", "x" * 17])
def test_writing(tree: SysctlTree, store: Store, value: str) -> None:
    """A leaf takes a value up to its length."""
    tree[TAP0] = value
    assert store.value == value


def test_too_long(tree: SysctlTree, store: Store) -> None:
    """A text over the leaf's length is EINVAL, and changes nothing."""
    with refused(errno.EINVAL, f"{TAP0}: value is 18 characters, at most 17 fit"):
        tree[TAP0] = "x" * 18
    assert store.value == "old"


def test_no_length(tree: SysctlTree) -> None:
    """A leaf without a length takes any text."""
    store = Store("old")
    tree.create("kern.text", store.read, store.write)
    tree["kern.text"] = "x" * 1000
    assert store.value == "x" * 1000


@pytest.mark.parametrize(("old", "new", "text"), [("old", 1, "int, it must be str"), (1, "1", "str, it must be int")])
def test_another_type(tree: SysctlTree, old: str | int, new: str | int, text: str) -> None:
    """A value of another type than the leaf's is EINVAL, and changes nothing."""
    store = Store(old)
    tree.create("kern.value", store.read, store.write, max_length=5)
    with refused(errno.EINVAL, f"kern.value: value is {text}"):
        tree["kern.value"] = new
    assert store.value == old


def test_a_number(tree: SysctlTree) -> None:
    """A leaf may be a number, which has no length."""
    store = Store(0)
    tree.create("debug.if_tun_debug", store.read, store.write, max_length=1)
    tree["debug.if_tun_debug"] = 12345
    assert tree["debug.if_tun_debug"] == 12345


def test_read_only(tree: SysctlTree) -> None:
    """A leaf without a writer is EPERM."""
    tree.create("kern.ostype", lambda: "aiotun")
    with pytest.raises(PermissionError, match="kern.ostype: it can only be read$") as error:
        tree["kern.ostype"] = "x"
    assert error.value.errno == errno.EPERM


def test_a_writer_that_refuses(tree: SysctlTree) -> None:
    """What the leaf's own check answers is passed on."""

    def write(value: str | int) -> None:
        raise DeviceError("kern.value: no", errno.EINVAL)

    tree.create("kern.value", lambda: "", write)
    with refused(errno.EINVAL, "kern.value: no"):
        tree["kern.value"] = "x"


# --- names ----------------------------------------------------------------------------------------


def test_a_mapping(tree: SysctlTree, store: Store) -> None:
    """The tree is a mapping of its leaves, in the order they were created."""
    tree.create("debug.if_tun_debug", lambda: 0)
    assert dict(tree) == {TAP0: "old", "debug.if_tun_debug": 0}
    assert list(tree) == [TAP0, "debug.if_tun_debug"]
    assert len(tree) == 2


def test_in(tree: SysctlTree, store: Store) -> None:
    """A leaf is in the tree without being read; a node is not."""
    tree.create("kern.broken", lambda: 1 // 0)
    assert "kern.broken" in tree
    assert "net.link" not in tree
    assert TAP1 not in tree


def test_names_below(tree: SysctlTree, store: Store) -> None:
    """names() gives the leaves at and below a name; a name that merely begins so is neither."""
    tree.create("net.link.tapestry", lambda: 0)
    tree.create(TAP1, lambda: "")
    assert tree.names() == [TAP0, "net.link.tapestry", TAP1]
    assert tree.names("net.link.tap") == [TAP0, TAP1]
    assert tree.names(TAP0) == [TAP0]
    assert tree.names("kern") == []


def test_describe(tree: SysctlTree, store: Store) -> None:
    """describe() prints each leaf with its value."""
    tree.create("debug.if_tun_debug", lambda: 0)
    assert tree.describe() == f"{TAP0} = old\ndebug.if_tun_debug = 0"
    assert tree.describe("debug") == "debug.if_tun_debug = 0"


@pytest.mark.parametrize("name", ["", ".", "net.", ".net", "net..tap"])
def test_a_name_with_an_empty_part(tree: SysctlTree, name: str) -> None:
    """A name has no empty part."""
    for create in creators(tree):
        with pytest.raises(ValueError, match=f"^'{name}' cannot name a value: a part of it is empty$"):
            create(name)


def test_missing(tree: SysctlTree, store: Store) -> None:
    """A missing name is a KeyError that has the names near it in its text."""
    for use in (lambda: tree[TAP1], lambda: tree.destroy(TAP1), lambda: tree.__setitem__(TAP1, "x")):
        with pytest.raises(KeyError) as error:
            use()
        assert error.value.args == (f"{TAP1}: no such name; near it: {TAP0}, net.link.tap, net.link",)


def test_missing_and_far_from_everything(tree: SysctlTree, store: Store) -> None:
    """A missing name with nothing near it says so much."""
    with pytest.raises(KeyError) as error:
        tree["zzz"]
    assert error.value.args == ("zzz: no such name",)


def test_near_a_permanent_node(tree: SysctlTree) -> None:
    """Empty nodes are near as well, each named once."""
    tree.create_node("net.link.tap")
    tree.create("net.link.tap.x", lambda: 0)
    with pytest.raises(KeyError, match="near it: net.link.tap, net.link.tap.x'$"):
        tree["net.link.tab"]


def test_reading_a_node(tree: SysctlTree, store: Store) -> None:
    """A node has no value."""
    with pytest.raises(KeyError) as error:
        tree["net.link"]
    assert error.value.args == ("net.link: it is a node, with 1 leaves below it",)


# --- creating and destroying ----------------------------------------------------------------------


def test_the_nodes_above(tree: SysctlTree, store: Store) -> None:
    """The nodes above a leaf appear with it, and go with the last."""
    tree.create(TAP1, lambda: "")
    nodes = ["net", "net.link", "net.link.tap"]
    tree.destroy(TAP0)
    assert [tree.is_node(node) for node in nodes] == [True, True, True]
    del tree[TAP1]
    assert [tree.is_node(node) for node in nodes] == [False, False, False]
    assert len(tree) == 0


def test_a_permanent_node(tree: SysctlTree) -> None:
    """A permanent node, and those above it, stay without leaves."""
    tree.create_node("net.link.tap")
    tree.create(TAP0, lambda: "")
    tree.destroy(TAP0)
    assert [tree.is_node(node) for node in ("net", "net.link", "net.link.tap")] == [True, True, True]


def test_a_node_becomes_permanent(tree: SysctlTree, store: Store) -> None:
    """A node that is there already can be made permanent, more than once."""
    tree.create_node("net.link.tap")
    tree.create_node("net.link.tap")
    tree.destroy(TAP0)
    assert tree.is_node("net.link.tap")


def test_creating_again(tree: SysctlTree, store: Store) -> None:
    """A name that was destroyed can be created again."""
    tree.destroy(TAP0)
    tree.create(TAP0, lambda: "again")
    assert tree[TAP0] == "again"


@pytest.mark.parametrize("name", [TAP0, "net", "net.link.tap"])
def test_a_name_that_is_taken(tree: SysctlTree, store: Store, name: str) -> None:
    """A leaf cannot be created where a leaf or a node is."""
    with refused(errno.EEXIST, f"{name}: the name is taken"):
        tree.create(name, lambda: 0)
    assert tree[TAP0] == "old"


def test_a_node_where_a_leaf_is(tree: SysctlTree, store: Store) -> None:
    """A node cannot be created where a leaf is."""
    with refused(errno.EEXIST, f"{TAP0}: the name is taken"):
        tree.create_node(TAP0)


@pytest.mark.parametrize("name", [f"{TAP0}.x", f"{TAP0}.x.y"])
def test_below_a_leaf(tree: SysctlTree, store: Store, name: str) -> None:
    """Nothing can be below a leaf."""
    for create in creators(tree):
        with refused(errno.ENOTDIR, f"{name}: {TAP0} is a leaf, nothing can be below it"):
            create(name)
    assert not tree.is_node(TAP0)


def test_destroying_a_node(tree: SysctlTree, store: Store) -> None:
    """A node with leaves is not destroyed, nor is a permanent one without."""
    with refused(errno.ENOTEMPTY, "net.link: node with 1 leaves below it"):
        tree.destroy("net.link")
    tree.create_node("net.link.tap")
    tree.destroy(TAP0)
    with refused(errno.EPERM, "net.link.tap: permanent node"):
        tree.destroy("net.link.tap")


# --- an Ethernet address --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("f2:0b:a4:00:00:01", "f20ba4000001"),
        ("F2:B:A4:0:0:1", "f20ba4000001"),
        ("1:2:3:4:5:6", "010203040506"),
        ("ff:FF:fF:Ff:9:a", "ffffffff090a"),
    ],
)
def test_an_address(text: str, octets: str) -> None:
    """Six groups of one or two hexadecimal digits are an Ethernet address."""
    assert ether_aton(text) == bytes.fromhex(octets)


@pytest.mark.parametrize("text", ["", "1:2:3:4:5:", "f2:0b:a4:00:00:010"])
def test_characters_too_few_or_too_many(text: str) -> None:
    """A text of fewer than 11 or more than 17 characters is EINVAL."""
    with refused(errno.EINVAL, f"{text!r}: {len(text)} characters, an Ethernet address has 11 to 17"):
        ether_aton(text)


@pytest.mark.parametrize(
    "text",
    ["f2:0b:a4:00:00", "f2-0b-a4-00-00-01", "f2:0b:a4:00:00:0g", "f20:b:a4:00:00:1", "1:2:3:4:5:6:7", "f2:0b:a4:0:0:1 ",
     "f2:0b:a4:0:0::", "f2:0b:a4:0:0:1\n", "f20ba4000001", "１:2:3:4:5:6"],
)  # fmt: skip
def test_no_address(text: str) -> None:
    """Anything else of 11 to 17 characters is EINVAL."""
    with refused(errno.EINVAL, f"{text!r}: not six groups of one or two hexadecimal digits"):
        ether_aton(text)


@given(st.binary(min_size=6, max_size=6))
def test_there_and_back(octets: bytes) -> None:
    """An address written with or without leading zeros is read as what it was."""
    assert ether_aton(octets.hex(":")) == octets
    assert ether_aton(":".join(f"{octet:x}" for octet in octets)) == octets
