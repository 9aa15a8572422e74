"""``aiotun doctor``: what it prints, its JSON, its status; and real runs on machines that something is wrong with."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest
from rich.console import Console
from typer.testing import CliRunner

from aiotun.cli import doctor
from aiotun.cli.app import app
from aiotun.cli.doctor import print_diagnosis, run_doctor
from aiotun.linux.doctor import Diagnosis, Usable
from aiotun.linux.finding import Finding

ROWS = {"id", "group", "state", "title", "detail", "fix", "hinders"}
COMMAND = f"exec {sys.executable} -m aiotun doctor --json"

GOOD = Finding(id="node", group="driver", title="/dev/net/tun").ok("10:200")
HOSTS = [Usable(host="SystemHost", usable=False, why="not allowed"), Usable(host="SoftHost", usable=True, why="always")]


def printed(*findings: Finding, width: int = 80) -> list[str]:
    """Return the lines that a diagnosis is printed as, without what is behind them."""
    console = Console(width=width, record=True, file=open(os.devnull, "w"))
    with console.file:
        print_diagnosis(console, Diagnosis(findings=findings, hosts=HOSTS))
        return [line.rstrip() for line in console.export_text().splitlines()]


def test_findings_are_printed_by_group() -> None:
    """A heading for each group, a line for each finding, and hosts at the end."""
    other = Finding(id="ipv6", group="network", title="IPv6").absent("none")
    assert printed(GOOD, other) == [
        "",
        "driver",
        "ok       /dev/net/tun: 10:200",
        "",
        "network",
        "-        IPv6: none",
        "",
        "what you can use here",
        "no       SystemHost: not allowed",
        "yes      SoftHost: always",
        "",
        "no problems, no warnings",
    ]


def test_a_fix_stands_under_what_is_wrong() -> None:
    """It begins at the finding's own column, and is counted at the end."""
    bad = attrs.evolve(GOOD).problem("there is none", "`modprobe tun`")
    lines = printed(bad, GOOD.warning("odd", "`even`"))
    assert lines[2:6] == [
        "PROBLEM  /dev/net/tun: there is none",
        "         fix: `modprobe tun`",
        "warning  /dev/net/tun: odd",
        "         fix: `even`",
    ]
    assert lines[-1] == "1 problem, 1 warning"


def test_long_texts_are_folded() -> None:
    """On a narrow terminal nothing is cut off."""
    lines = printed(GOOD.ok("word " * 30), width=40)
    assert max(map(len, lines)) <= 40
    assert "".join(lines).count("word") == 30


def test_the_command_passes_on_what_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device, the form and the status."""
    asked: list[Any] = []

    def run(device: str | None, *, json: bool) -> int:
        asked.append((device, json))
        return 1

    monkeypatch.setattr(doctor, "run_doctor", run)
    assert CliRunner().invoke(app, ["doctor"]).exit_code == 1
    assert CliRunner().invoke(app, ["doctor", "vpn0", "--json"]).exit_code == 1
    assert asked == [(None, False), ("vpn0", True)]


def test_a_name_that_cannot_be(capsys: pytest.CaptureFixture[str]) -> None:
    """What no interface can be called is a wrong argument: status 2, and the reason."""
    assert run_doctor("an/interface") == 2
    out, err = capsys.readouterr()
    assert (out, err.startswith("aiotun doctor: ")) == ("", True)


@pytest.mark.parametrize("as_json", [True, False])
def test_a_machine_without_linux(
    as_json: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is nothing to mend: SoftHost works, and the others are Linux's."""
    monkeypatch.setattr(sys, "platform", "darwin")
    assert run_doctor(json=as_json) == 0
    out = capsys.readouterr().out
    if not as_json:
        assert out.startswith("aiotun doctor: kernel tun and tap are supported on Linux, not on darwin")
        return
    found = json.loads(out)
    assert {one["host"] for one in found["hosts"] if one["usable"]} == {"SoftHost"}
    assert [set(one) for one in found["findings"]] == [ROWS]


# --- real runs ------------------------------------------------------------------------------------


def run(*command: str, status: int) -> dict[str, Any]:
    """Run a doctor in a process of its own, and return its JSON."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (status, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def finding(found: dict[str, Any], id: str) -> dict[str, Any]:
    (one,) = (one for one in found["findings"] if one["id"] == id)
    return dict(one)


def usable(found: dict[str, Any]) -> set[str]:
    return {one["host"] for one in found["hosts"] if one["usable"]}


@pytest.mark.kernel
def test_this_machine_is_well() -> None:
    """Where the tests can run, devices can be opened; the schema is what it is said to be."""
    found = run("sh", "-c", COMMAND, status=0)
    assert list(found) == ["schema", "problems", "findings", "hosts", "device"]
    assert (found["schema"], found["problems"], found["device"]) == (1, 0, None)
    assert all(set(one) == ROWS for one in found["findings"])
    assert {one["state"] for one in found["findings"]} <= {"ok", "warning", "not applicable"}
    assert {"SystemHost", "SoftHost"} <= usable(found)


@pytest.mark.kernel
def test_for_people_it_is_no_json() -> None:
    """Without --json it is text, with a last line that counts."""
    done = subprocess.run([sys.executable, "-m", "aiotun", "doctor"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith("no problems, ")


@pytest.mark.kernel
def test_a_missing_node_is_found() -> None:
    """Over an empty /dev/net nothing on the kernel works, and the node's fix makes one (I1)."""
    found = run("unshare", "--mount", "sh", "-c", f"mount -t tmpfs none /dev/net && {COMMAND}", status=1)
    node = finding(found, "node")
    assert (node["state"], node["detail"]) == ("problem", "there is none")
    assert "`mkdir -p /dev/net && mknod -m 0666 /dev/net/tun c 10 200`" in node["fix"]
    assert usable(found) == {"SoftHost"}
    assert finding(found, "offloads")["state"] == "not applicable"


@pytest.mark.kernel
def test_a_wrong_node_is_found() -> None:
    """A file in the place of the node is named for what it is."""
    steps = f"mount -t tmpfs none /dev/net && touch /dev/net/tun && {COMMAND}"
    node = finding(run("unshare", "--mount", "sh", "-c", steps, status=1), "node")
    assert node["detail"] == "is no character device, and has to be the character device 10:200"


@pytest.mark.kernel
def test_forbidden_namespaces_are_found() -> None:
    """user.max_user_namespaces=0, in a user namespace of the test's: a warning, for devices can be opened (I5)."""
    steps = f"echo 0 > /proc/sys/user/max_user_namespaces && {COMMAND}"
    found = run("unshare", "--user", "--map-root-user", "--net", "sh", "-c", steps, status=0)
    for id in ("user.max_user_namespaces", "private_network"):
        one = finding(found, id)
        assert (one["state"], one["fix"]) == ("warning", "`sysctl user.max_user_namespaces=10000`")
        assert one["hinders"] == ["PrivateHost"]
    assert "SystemHost" in usable(found) and "PrivateHost" not in usable(found)
    assert "in a user namespace" in finding(found, "capability")["detail"]


@pytest.mark.kernel
def test_a_missing_privilege_is_found() -> None:
    """Without CAP_NET_ADMIN a private network is what works: a warning, and how to get the other (I2)."""
    if os.geteuid() or not _rules_the_machine():
        pytest.skip("takes root of the machine, to be somebody else")
    found = run("setpriv", *_somebody(), "sh", "-c", COMMAND, status=_node_is_open() ^ 1)
    capability = finding(found, "capability")
    assert capability["detail"].startswith("not effective; user 65534")
    assert "`ip tuntap add dev vpn0 mode tun user 65534`" in capability["fix"]
    assert "SystemHost" not in usable(found)
    assert ("PrivateHost" in usable(found)) == _node_is_open()


@pytest.mark.kernel
@pytest.mark.parametrize(("mode", "status", "state"), [("0600", 1, "problem"), ("0666", 0, "ok")])
def test_the_mode_of_the_node_is_judged(mode: str, status: int, state: str, tmp_path: Path) -> None:
    """A node that lets only root in is nobody's for a user; one that lets everybody in is enough for a private host."""
    if os.geteuid() or not _rules_the_machine():
        pytest.skip("takes root of the machine, to make a node")
    steps = (
        f"mount -t tmpfs -o dev none {tmp_path} && mknod -m {mode} {tmp_path}/tun c 10 200 && "
        f"mount --bind {tmp_path}/tun /dev/net/tun && setpriv {' '.join(_somebody())} sh -c '{COMMAND}'"
    )
    found = run("unshare", "--mount", "sh", "-c", steps, status=status)
    node = finding(found, "node")
    assert (node["state"], f"mode {mode}" in node["detail"]) == (state, True)
    assert node["fix"] == ("`chmod 0666 /dev/net/tun`, as most systems have it" if status else "")
    assert ("PrivateHost" in usable(found)) == (not status)


@pytest.mark.kernel
def test_a_device_is_looked_at() -> None:
    """Its JSON has what `ip` would tell, and who holds it."""
    mode = f"dev asked0 mode tap user {os.getuid()}"
    subprocess.run(["ip", "tuntap", "add", *mode.split()], check=True)
    try:
        found = run("sh", "-c", f"{COMMAND} asked0", status=0)
    finally:
        subprocess.run(["ip", "tuntap", "del", "dev", "asked0", "mode", "tap"], check=True)
    device = found["device"]
    assert (device["name"], device["exists"], device["kind"], device["owner"]) == ("asked0", True, "tap", os.getuid())
    assert (device["up"], device["persistent"], device["holders"], device["addresses"]) == (False, True, [], [])
    assert finding(found, "device_up")["fix"] == "`ip link set dev asked0 up`"


@pytest.mark.kernel
def test_a_device_that_is_not_there() -> None:
    """Is a problem: status 1."""
    found = run("sh", "-c", f"{COMMAND} absent7", status=1)
    assert (found["problems"], found["device"]["exists"]) == (1, False)


def _rules_the_machine() -> bool:
    return Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"] and bool(shutil.which("setpriv"))


def _somebody() -> list[str]:
    """Return setpriv's options for a user whose one right is to read: the interpreter may be in root's directory."""
    rights = "+dac_read_search"
    return ["--reuid=65534", "--regid=65534", "--clear-groups", f"--inh-caps={rights}", f"--ambient-caps={rights}"]


def _node_is_open() -> bool:
    return bool(os.stat("/dev/net/tun").st_mode & 0o006 == 0o006)
