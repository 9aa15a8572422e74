"""Checks of what this process may do: capabilities, user namespaces, containers."""

from __future__ import annotations

import os
import sys

from .finding import PRIVATE_HOST, SYSTEM_HOST, Finding
from .machine import SCRATCH, Machine
from .refusals import SETTINGS, namespace_remedy

__all__ = [
    "check_capability",
    "check_container",
    "check_new_privileges",
    "check_private_network",
    "check_seccomp",
    "check_settings",
]

CAPABILITY = Finding(id="capability", group="privileges", title="CAP_NET_ADMIN")
NO_NEW_PRIVS = Finding(id="no_new_privs", group="privileges", title="no_new_privs")
SECCOMP = Finding(id="seccomp", group="privileges", title="seccomp")
CONTAINER = Finding(id="container", group="privileges", title="container")
PRIVATE_NETWORK = Finding(id="private_network", group="namespaces", title="a private network")

EVERYBODY = ["0", "0", "4294967295"]
"""The uid_map of the machine's own user namespace."""

UNPRIVILEGED_ONLY = {"kernel/unprivileged_userns_clone", "kernel/apparmor_restrict_unprivileged_userns"}
"""Settings that do not concern who has CAP_SYS_ADMIN."""

CONTAINERS = {
    "docker": "`docker run --device /dev/net/tun --cap-add NET_ADMIN`; "
    "for PrivateHost `--security-opt seccomp=unconfined --security-opt apparmor=unconfined`",
    "podman": "`podman run --device /dev/net/tun --cap-add NET_ADMIN`; "
    "for PrivateHost `--security-opt seccomp=unconfined`",
    "kubernetes": "`capabilities: {add: [NET_ADMIN]}` in the container's securityContext, and /dev/net/tun "
    "from a device plugin (or `privileged: true`)",
    "lxc": "`lxc config device add NAME tun unix-char path=/dev/net/tun`, or in its configuration "
    "`lxc.cgroup2.devices.allow = c 10:200 rwm` and "
    "`lxc.mount.entry = /dev/net/tun dev/net/tun none bind,create=file`",
    "systemd-nspawn": "`systemd-nspawn --bind=/dev/net/tun --property='DeviceAllow=/dev/net/tun rwm' "
    "--capability=CAP_NET_ADMIN`",
}
"""What gives a container of each kind a device, and the right to one."""

# Where each kind leaves its mark. An outer kind stands before one that it runs.
MARKS = (
    ("kubernetes", ("/run/secrets/kubernetes.io", "/var/run/secrets/kubernetes.io"), ("kubepods",)),
    ("docker", ("/.dockerenv",), ("/docker",)),
    ("podman", ("/run/.containerenv",), ("libpod",)),
    ("lxc", ("/dev/.lxc", "/dev/lxd", "/dev/incus"), ("/lxc",)),
    ("systemd-nspawn", (), ("machine.slice/systemd-nspawn",)),
)


def check_capability(machine: Machine) -> Finding:
    """Whether the process has CAP_NET_ADMIN, and over which networks."""
    whose = f"user {machine.uid}, {_user_namespace(machine)}"
    if machine.has("CAP_NET_ADMIN"):
        return CAPABILITY.ok(f"effective; {whose}")
    python = os.path.realpath(sys.executable)
    fix = (
        f"run it as root; or `setcap cap_net_admin+ep {python}`; or AmbientCapabilities=CAP_NET_ADMIN in its systemd "
        f"unit; or have root make a device for you, `ip tuntap add dev vpn0 mode tun user {machine.uid}`; or have "
        "root run `aiotun broker`; or use aiotun.PrivateHost"
    )
    return CAPABILITY.problem(f"not effective; {whose}", fix, SYSTEM_HOST)


def _user_namespace(machine: Machine) -> str:
    mapped = (machine.text("/proc/self/uid_map") or "").split()
    if mapped == EVERYBODY:
        return "in the machine's own user namespace"
    if len(mapped) < 3:
        return "in a user namespace that nobody is mapped into"
    inside, outside, _ = mapped[:3]
    return f"in a user namespace, where its rights end at its own networks; its user {inside} is {outside} outside"


def check_new_privileges(machine: Machine) -> Finding:
    """Whether a program can get privileges that this process does not have."""
    forbidden = machine.status("NoNewPrivs") == "1"
    if forbidden and not machine.has("CAP_NET_ADMIN"):
        fix = "NoNewPrivileges=no in the systemd unit; in a container `--security-opt no-new-privileges:false`"
        return NO_NEW_PRIVS.warning("set: sudo, and setcap on a program, have no effect", fix)
    return NO_NEW_PRIVS.ok("set" if forbidden else "not set")


def check_seccomp(machine: Machine) -> Finding:
    """Whether system calls are filtered: that is how containers forbid namespaces."""
    mode = {"0": "off", "1": "strict", "2": "a filter"}.get(machine.status("Seccomp"))
    if mode is None:
        return SECCOMP.absent("the kernel has none")
    if mode != "off" and isinstance(machine.private_refusal, PermissionError):
        fix = "in a container `--security-opt seccomp=unconfined`; in a systemd unit RestrictNamespaces=no"
        return SECCOMP.warning(f"{mode}; it may be what forbids a private network", fix)
    return SECCOMP.ok(mode)


def check_container(machine: Machine) -> Finding:
    """Which container this is, and what gives it a device."""
    kind = _container(machine)
    if kind is None:
        return CONTAINER.absent("no mark of one")
    if machine.system_refusal is None and machine.private_refusal is None:
        return CONTAINER.ok(kind)
    return CONTAINER.warning(
        f"{kind}; it lacks a device, or a right",
        CONTAINERS.get(kind, "the options of the container that give it /dev/net/tun and CAP_NET_ADMIN"),
    )


def _container(machine: Machine) -> str | None:
    if "KUBERNETES_SERVICE_HOST" in machine.environ:
        return "kubernetes"
    groups = machine.text("/proc/1/cgroup") or ""
    for kind, files, marks in MARKS:
        if any(map(machine.exists, files)) or any(mark in groups for mark in marks):
            return kind
    # systemd's container interface: who starts one says so.
    return machine.environ.get("container") or machine.text("/run/systemd/container") or None


def check_settings(machine: Machine) -> list[Finding]:
    """Each setting of this machine with which private networks can be forbidden."""
    return [_setting(machine, *setting) for setting in SETTINGS]


def _setting(machine: Machine, path: str, forbids: str, allows: str) -> Finding:
    name = path.replace("/", ".")
    setting = Finding(id=name, group="namespaces", title=name)
    value = machine.text(f"/proc/sys/{path}")
    if value is None:
        return setting.absent("this kernel has no such setting")
    if value != forbids:
        return setting.ok(value)
    if path in UNPRIVILEGED_ONLY and machine.has("CAP_SYS_ADMIN"):
        return setting.ok(f"{value}, which does not concern root")
    return setting.problem(f"{value} forbids it", allows, PRIVATE_HOST)


def check_private_network(machine: Machine) -> Finding:
    """Whether this user can have a private network with a device in it: tried, and ended at once."""
    refusal = machine.private_refusal
    if refusal is None:
        return PRIVATE_NETWORK.ok("tried, works")
    said = refusal.strerror or str(refusal)
    fix = ""
    if said.startswith("private host: "):  # the network was refused, and not the device in it
        fix = namespace_remedy(refusal.errno or 0, settings=machine.root / "proc/sys")
        said = said.removesuffix(f": {fix}")
    detail, _, remedy = said.removeprefix(f"{SCRATCH}: ").partition("; ")
    return PRIVATE_NETWORK.problem(detail, fix or remedy, PRIVATE_HOST)
