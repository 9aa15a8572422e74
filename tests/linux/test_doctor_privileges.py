"""Checks of privileges, containers and namespaces, on machines of every kind."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from aiotun.linux.doctor_privileges import (
    CONTAINERS,
    check_capability,
    check_container,
    check_new_privileges,
    check_private_network,
    check_seccomp,
    check_settings,
)
from aiotun.linux.finding import PRIVATE_HOST, SYSTEM_HOST, Finding
from aiotun.linux.refusals import SETTINGS, no_namespace

from .machines import PLAIN, machine, refuse

DENIED = PermissionError(errno.EPERM, "private host: cannot make a namespace: Operation not permitted")


def test_root_has_the_capability(tmp_path: Path) -> None:
    """CAP_NET_ADMIN in the machine's own user namespace is all there is to have."""
    found = check_capability(machine(tmp_path, uid=0))
    assert (found.state, found.detail) == ("ok", "effective; user 0, in the machine's own user namespace")


def test_one_capability_is_enough(tmp_path: Path) -> None:
    """Bit 12 of CapEff is CAP_NET_ADMIN."""
    assert check_capability(machine(tmp_path, capabilities="0000000000001000")).state == "ok"
    assert check_capability(machine(tmp_path, capabilities="0000000000002800")).state == "problem"


def test_a_user_has_not(tmp_path: Path) -> None:
    """Every way to get it, or to do without, is told."""
    found = check_capability(machine(tmp_path, capabilities=PLAIN))
    assert (found.state, found.hinders) == ("problem", SYSTEM_HOST)
    for part in ("setcap cap_net_admin+ep /", "AmbientCapabilities=CAP_NET_ADMIN", "user 1000`", "aiotun broker"):
        assert part in found.fix


@pytest.mark.parametrize(
    ("mapped", "told"),
    [
        ("0 1000 1", "where its rights end at its own networks; its user 0 is 1000 outside"),
        ("", "that nobody is mapped into"),
    ],
)
def test_a_user_namespace_is_told(mapped: str, told: str, tmp_path: Path) -> None:
    """In a user namespace the capability counts for its own networks only."""
    found = check_capability(machine(tmp_path, files={"/proc/self/uid_map": mapped}))
    assert found.detail == f"effective; user 1000, in a user namespace{',' if mapped else ''} {told}"


def test_without_proc_nothing_is_had(tmp_path: Path) -> None:
    """A status that cannot be read has no capability in it."""
    assert check_capability(machine(tmp_path, files={"/proc/self/status": None})).state == "problem"


@pytest.mark.parametrize(
    ("value", "capabilities", "state", "detail"),
    [
        ("0", PLAIN, "ok", "not set"),
        ("1", "0000000000001000", "ok", "set"),
        ("1", PLAIN, "warning", "set: sudo, and setcap on a program, have no effect"),
    ],
)
def test_no_new_privileges(value: str, capabilities: str, state: str, detail: str, tmp_path: Path) -> None:
    """It matters to who lacks the privilege."""
    found = check_new_privileges(machine(tmp_path, status=f"NoNewPrivs:\t{value}", capabilities=capabilities))
    assert (found.state, found.detail, bool(found.fix)) == (state, detail, state == "warning")


@pytest.mark.parametrize(("mode", "detail"), [("0", "off"), ("1", "strict"), ("2", "a filter")])
def test_seccomp_is_told(mode: str, detail: str, tmp_path: Path) -> None:
    """A filter that forbids nothing we need is fine."""
    found = check_seccomp(machine(tmp_path, status=f"Seccomp:\t{mode}"))
    assert (found.state, found.detail) == ("ok", detail)


def test_a_filter_may_be_what_forbids(tmp_path: Path) -> None:
    """A filter, and namespaces that are not permitted: it may be the one."""
    found = check_seccomp(machine(tmp_path, status="Seccomp:\t2", try_private=refuse(DENIED)))
    assert found.state == "warning"
    assert "--security-opt seccomp=unconfined" in found.fix


def test_a_filter_is_not_what_there_are_too_many_of(tmp_path: Path) -> None:
    """Other refusals are not a filter's."""
    assert check_seccomp(machine(tmp_path, status="Seccomp:\t2", try_private=refuse(errno.ENOSPC))).state == "ok"


def test_a_kernel_without_seccomp(tmp_path: Path) -> None:
    """Without the field there is none."""
    assert check_seccomp(machine(tmp_path, status="")).state == "not applicable"


def test_no_container(tmp_path: Path) -> None:
    """A machine without a mark is none."""
    assert check_container(machine(tmp_path)).state == "not applicable"


@pytest.mark.parametrize(
    ("files", "environ", "kind"),
    [
        ({"/.dockerenv": ""}, {}, "docker"),
        ({"/proc/1/cgroup": "12:devices:/docker/0123"}, {}, "docker"),
        ({"/run/.containerenv": ""}, {"container": "podman"}, "podman"),
        ({"/proc/1/cgroup": "0::/machine.slice/libpod-12.scope"}, {}, "podman"),
        ({"/.dockerenv": ""}, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "kubernetes"),
        ({"/proc/1/cgroup": "0::/kubepods.slice/pod1/docker"}, {}, "kubernetes"),
        ({"/var/run/secrets/kubernetes.io/token": ""}, {}, "kubernetes"),
        ({"/proc/1/cgroup": "0::/lxc.payload.c1"}, {}, "lxc"),
        ({"/dev/lxd/sock": ""}, {}, "lxc"),
        ({}, {"container": "systemd-nspawn"}, "systemd-nspawn"),
        ({"/run/systemd/container": "systemd-nspawn"}, {}, "systemd-nspawn"),
    ],
)
def test_each_container_is_known(files: dict[str, str], environ: dict[str, str], kind: str, tmp_path: Path) -> None:
    """By its marks; and with what gives it a device."""
    well = check_container(machine(tmp_path / "well", files=dict(files), environ=environ))
    assert (well.state, well.detail) == ("ok", kind)
    ill = check_container(machine(tmp_path / "ill", files=dict(files), environ=environ, try_system=refuse(errno.EPERM)))
    assert (ill.state, ill.detail, ill.fix) == ("warning", f"{kind}; it lacks a device, or a right", CONTAINERS[kind])


def test_an_unknown_container(tmp_path: Path) -> None:
    """One of another kind is named as it names itself."""
    found = check_container(machine(tmp_path, environ={"container": "wsl"}, try_private=refuse(errno.EPERM)))
    assert found.detail == "wsl; it lacks a device, or a right"
    assert "CAP_NET_ADMIN" in found.fix


def setting(root: Path, name: str, value: str | None, **changes: Any) -> Finding:
    """Return the finding about one setting."""
    path = f"/proc/sys/{name}"
    (found,) = (
        one for one in check_settings(machine(root, files={path: value}, **changes)) if one.id == name.replace("/", ".")
    )
    return found


@pytest.mark.parametrize(("name", "forbids", "allows"), SETTINGS)
def test_each_setting_can_forbid(name: str, forbids: str, allows: str, tmp_path: Path) -> None:
    """Each has its own value that forbids, and its own command."""
    found = setting(tmp_path, name, forbids, capabilities=PLAIN)
    assert (found.state, found.detail, found.fix) == ("problem", f"{forbids} forbids it", allows)
    assert found.hinders == PRIVATE_HOST


@pytest.mark.parametrize("name", [name for name, _, _ in SETTINGS])
def test_each_setting_can_allow(name: str, tmp_path: Path) -> None:
    """Another value is fine, and told."""
    found = setting(tmp_path, name, "7")
    assert (found.state, found.detail) == ("ok", "7")


@pytest.mark.parametrize("name", ["kernel/unprivileged_userns_clone", "kernel/apparmor_restrict_unprivileged_userns"])
def test_settings_for_others_than_root(name: str, tmp_path: Path) -> None:
    """Some hold back only who has no CAP_SYS_ADMIN."""
    forbids = {found: value for found, value, _ in SETTINGS}[name]
    found = setting(tmp_path, name, forbids)
    assert (found.state, found.detail) == ("ok", f"{forbids}, which does not concern root")


def test_a_setting_that_is_not_there(tmp_path: Path) -> None:
    """Kernels differ in what they have."""
    assert setting(tmp_path, "kernel/unprivileged_userns_clone", None).state == "not applicable"


def test_a_private_network_can_be_had(tmp_path: Path) -> None:
    """It was tried."""
    assert check_private_network(machine(tmp_path)).detail == "tried, works"


def test_a_private_network_is_refused(tmp_path: Path) -> None:
    """What is forbidden and the command that allows it are apart."""
    machine(tmp_path, files={"/proc/sys/user/max_user_namespaces": "0"})
    error = no_namespace(errno.ENOSPC, "make a network", settings=tmp_path / "proc/sys")
    here = machine(tmp_path, files={"/proc/sys/user/max_user_namespaces": "0"}, try_private=refuse(error))
    found = check_private_network(here)
    assert found.detail == "private host: cannot make a network: No space left on device"
    assert (found.fix, found.hinders) == ("`sysctl user.max_user_namespaces=10000`", PRIVATE_HOST)


def test_a_network_without_a_device(tmp_path: Path) -> None:
    """When it is the device that is refused, that is what is told."""
    error = PermissionError(errno.EACCES, "cannot open /dev/net/tun: its file mode forbids it; `chmod 0666`")
    found = check_private_network(machine(tmp_path, try_private=refuse(error)))
    assert (found.detail, found.fix) == ("cannot open /dev/net/tun: its file mode forbids it", "`chmod 0666`")
