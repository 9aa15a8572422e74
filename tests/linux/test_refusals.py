"""Why a private network was refused: the error, and the remedy it names."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from aiotun import DeviceError
from aiotun.linux.refusals import no_namespace

FORBIDDING = [
    ("kernel/unprivileged_userns_clone", "0", "`sysctl kernel.unprivileged_userns_clone=1`"),
    ("user/max_user_namespaces", "0", "`sysctl user.max_user_namespaces=10000`"),
    ("user/max_net_namespaces", "0", "`sysctl user.max_net_namespaces=10000`"),
    ("user/max_pid_namespaces", "0", "`sysctl user.max_pid_namespaces=10000`"),
    (
        "kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "`sysctl kernel.apparmor_restrict_unprivileged_userns=0`, or an AppArmor profile that allows userns",
    ),
]

CONTAINER = "in a container, allow it with `--security-opt seccomp=unconfined`"
KERNEL = "the kernel is built without CONFIG_USER_NS, CONFIG_NET_NS or CONFIG_PID_NS"


def put(settings: Path, name: str, value: str) -> None:
    (settings / name).parent.mkdir(exist_ok=True)
    (settings / name).write_text(f"{value}\n")


@pytest.mark.parametrize(("name", "value", "remedy"), FORBIDDING)
def test_a_setting_that_forbids_is_named(name: str, value: str, remedy: str, tmp_path: Path) -> None:
    """A setting with the value that forbids is the remedy, and the only one."""
    put(tmp_path, name, value)
    error = no_namespace(errno.EPERM, "make it", settings=tmp_path)
    assert str(error) == f"[Errno 1] private host: cannot make it: Operation not permitted: {remedy}"


@pytest.mark.parametrize(("name", "value"), [(name, "1" if value == "0" else "0") for name, value, _ in FORBIDDING])
def test_a_setting_that_allows_is_not_named(name: str, value: str, tmp_path: Path) -> None:
    """A setting that allows is no reason: the errno's own remedy is given."""
    put(tmp_path, name, value)
    assert str(no_namespace(errno.EPERM, "make it", settings=tmp_path)).endswith(f"permitted: {CONTAINER}")


def test_all_that_forbids_is_named(tmp_path: Path) -> None:
    """Several settings that forbid are all named, for one alone would not help."""
    for name, value, _ in FORBIDDING:
        put(tmp_path, name, value)
    error = no_namespace(errno.ENOSPC, "make it", settings=tmp_path)
    assert str(error).partition("device: ")[2] == "; ".join(remedy for _, _, remedy in FORBIDDING)


@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        (errno.EPERM, PermissionError, f"Operation not permitted: {CONTAINER}"),
        (errno.EACCES, PermissionError, f"Permission denied: {CONTAINER}"),
        (
            errno.ENOSPC,
            DeviceError,
            "No space left on device: there are too many already; "
            "`sysctl -a | grep max_.*_namespaces` says how many may be",
        ),
        (errno.EUSERS, DeviceError, "Too many users: namespaces are nested too deep"),
        (errno.EINVAL, DeviceError, f"Invalid argument: {KERNEL}"),
        (errno.ENOSYS, DeviceError, f"Function not implemented: {KERNEL}"),
        (errno.ENOMEM, DeviceError, "Cannot allocate memory"),
    ],
)
def test_an_errno_is_explained(code: int, kind: type[OSError], text: str, tmp_path: Path) -> None:
    """Without a setting to blame, the error says what the errno speaks of; the errno is kept."""
    error = no_namespace(code, "bring up lo", settings=tmp_path)
    assert isinstance(error, kind)
    assert (error.errno, error.strerror) == (code, f"private host: cannot bring up lo: {text}")


def test_this_machine_is_asked() -> None:
    """By default the settings are this machine's, under /proc/sys."""
    assert "private host: cannot make it" in str(no_namespace(errno.EPERM, "make it"))
