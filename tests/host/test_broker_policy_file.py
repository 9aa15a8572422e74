"""Reading a policy: what it may say, and how it is told where it is wrong."""

from __future__ import annotations

import grp
import os
import pwd
from ipaddress import ip_network
from pathlib import Path

import attrs
import pytest

from aiotun.host.broker_policy import Rule
from aiotun.host.broker_policy_file import KEYS, parse_policy, read_policy

WHOLE = """
[[rule]]
name = "road warriors"
users = [1001, "root"]
groups = [7, "root"]
kinds = ["tun", "tap"]
interfaces = ["vpn*", "wg[0-3]"]
addresses = ["10.8.0.0/24", "fd00:8::/64"]
routes = ["0.0.0.0/0"]
mtu = [1280, 1500]
queue_length = 2000
sysctls = ["net.ipv4.conf.{name}.*"]
options = ["mac", "group"]
netns = ["blue*"]
queues = 4
devices = 2
rate = 5
"""

LEAST = '[[rule]]\nusers = [7]\nkinds = ["tun"]\ninterfaces = ["vpn*"]\n'


def test_every_key() -> None:
    """Every key becomes the field of its name; users and groups become numbers."""
    assert parse_policy(WHOLE).rules == (
        Rule(
            name="road warriors",
            users=frozenset([1001, pwd.getpwnam("root").pw_uid]),
            groups=frozenset([7, grp.getgrnam("root").gr_gid]),
            kinds=("tun", "tap"),
            interfaces=("vpn*", "wg[0-3]"),
            addresses=(ip_network("10.8.0.0/24"), ip_network("fd00:8::/64")),
            routes=(ip_network("0.0.0.0/0"),),
            mtu=(1280, 1500),
            queue_length=2000,
            sysctls=("net.ipv4.conf.{name}.*",),
            options=("mac", "group"),
            netns=("blue*",),
            queues=4,
            devices=2,
            rate=5,
        ),
    )


def test_a_key_for_every_field() -> None:
    """Whatever a rule can allow, a file can say."""
    assert {*KEYS} == {field.name for field in attrs.fields(Rule)}


def test_what_is_not_said() -> None:
    """What a rule leaves out is as it is without it; a rule without a name is called by its number."""
    first, second = parse_policy(LEAST + LEAST).rules
    assert first == Rule(name="1", users=frozenset([7]), kinds=("tun",), interfaces=("vpn*",))
    assert second.name == "2"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "there is no rule, so nobody could open anything"),
        ("rule = 7", "there is no rule"),
        ("rule = [7]", "there is no rule"),
        (LEAST + "[other]\n", "there is no key other; a policy is made of [[rule]]"),
        ("[[rule]\n", "at line 1, column 7"),
        (LEAST + "color = 1", "rule 1: there is no key color; there are name, users,"),
        (LEAST + 'name = "x"\ncolor = 1', "rule 1 'x': there is no key color"),
        (LEAST + LEAST + "mtu = [1500]", "rule 2: mtu: it is the least and the most, like [1280, 1500], not [1500]"),
        (LEAST + "mtu = [1500, 1280]", "rule 1: mtu: it is the least and the most"),
        (LEAST + "mtu = 1500", "rule 1: mtu: it is a list, not 1500"),
        (LEAST + "mtu = [0, 1500]", "rule 1: mtu: it is a number above 0, not 0"),
        (LEAST + "devices = true", "rule 1: devices: it is a number above 0, not True"),
        (LEAST + 'queues = "4"', "rule 1: queues: it is a number above 0, not '4'"),
        (LEAST + 'addresses = "10.0.0.0/8"', "rule 1: addresses: it is a list, not '10.0.0.0/8'"),
        (LEAST + 'addresses = ["10.0.0.1/8"]', "rule 1: addresses: 10.0.0.1/8 has host bits set"),
        (LEAST + 'groups = ["no-such-group"]', "rule 1: groups: this machine has no group 'no-such-group'"),
        (LEAST + "groups = [-1]", "rule 1: groups: it is text, not -1"),
        (LEAST + "groups = [4294967295]", "rule 1: groups: it is text, not 4294967295"),
        (LEAST + 'options = ["dns"]', "rule 1: options: there is no option dns; there are "),
        (LEAST + 'options = ["mtu"]', "rule 1: options: there is no option mtu"),
        (LEAST + 'name = ""', "rule 1 '': name: it is text, not ''"),
        (LEAST + LEAST + 'name = "1"', "2 rules are called '1'"),
        (LEAST.replace("users = [7]", "users = []"), "rule 1: users or groups is missing, so it would be for nobody"),
        (LEAST.replace('kinds = ["tun"]', ""), "rule 1: kinds is missing, so it would allow nothing"),
        (LEAST.replace('["tun"]', '["tun", "veth"]'), "rule 1: kinds: a kind is tun or tap, not veth"),
        (LEAST.replace('["vpn*"]', "[]"), "rule 1: interfaces is missing, so it would allow nothing"),
        (LEAST.replace("[7]", '["no-such-user"]'), "rule 1: users: this machine has no user 'no-such-user'"),
    ],
)
def test_what_is_wrong(text: str, reason: str) -> None:
    """A policy that cannot be is refused whole, naming the rule and the key, or the line."""
    with pytest.raises(ValueError) as caught:
        parse_policy(text)
    assert reason in str(caught.value)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with a policy."""
    file = tmp_path / "policy.toml"
    file.write_text(LEAST)
    file.chmod(0o644)
    return file


def test_a_file(file: Path) -> None:
    """A policy is read from a file."""
    assert read_policy(file) == parse_policy(LEAST)


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_a_file_that_others_may_write(file: Path, mode: int) -> None:
    """A file that others could have written is no policy."""
    file.chmod(mode)
    with pytest.raises(PermissionError, match=rf"policy.toml: others may write it \(owner \d+, mode {mode:04o}\)"):
        read_policy(file)


def test_a_file_of_somebody_elses(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of another user's, who is not root, is no policy."""
    stat = os.stat_result((0o100644, 0, 0, 1, 1234, 0, 0, 0, 0, 0))
    monkeypatch.setattr("aiotun.host.broker_policy_file.os.fstat", lambda fd: stat)
    with pytest.raises(PermissionError, match="others may write it .owner 1234"):
        read_policy(file)


def test_no_file(tmp_path: Path) -> None:
    """What is not there, or is not a file, is named."""
    with pytest.raises(FileNotFoundError, match="none.toml: No such file or directory"):
        read_policy(tmp_path / "none.toml")
    with pytest.raises(ValueError, match="^/dev/null: it is not a file$"):
        read_policy("/dev/null")


@pytest.mark.parametrize("content", [b"\xff", b"[[rule]"])
def test_a_file_that_is_wrong(file: Path, content: bytes) -> None:
    """What is wrong in a file is told with its name."""
    file.write_bytes(content)
    with pytest.raises(ValueError, match=rf"^{file}: "):
        read_policy(file)
