"""A private network from outside: what it gives, what it refuses, how it ends."""

from __future__ import annotations

import errno
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from processes import children

from aiotun import DeviceClosed, DeviceError, DeviceGone
from aiotun.linux import kept
from aiotun.linux.kept import KeptNamespace

pytestmark = pytest.mark.kernel


@pytest.fixture
def network() -> Iterator[KeptNamespace]:
    """A private network."""
    network = KeptNamespace.start()
    yield network
    network.close()


def init_of(network: KeptNamespace) -> int:
    """Return the process that is the init of the PID namespace."""
    return int(Path(f"/proc/{network.pid}/task/{network.pid}/children").read_text())


def test_its_sockets_are_of_another_network(network: KeptNamespace) -> None:
    """A port taken in here is free in there, where lo is up."""
    with network.make_socket(socket.AF_INET, socket.SOCK_STREAM, 0) as inside:
        inside.bind(("127.0.0.1", 0))
        inside.listen()
        with socket.socket() as outside, pytest.raises(ConnectionRefusedError):
            outside.connect(inside.getsockname())
        with network.make_socket(socket.AF_INET, socket.SOCK_STREAM, 0) as peer:
            peer.connect(inside.getsockname())


def test_a_socket_is_as_asked(network: KeptNamespace) -> None:
    """Family, type and protocol are what was asked for; it blocks, and no program inherits it."""
    with network.make_socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as sock:
        assert (sock.family, sock.type, sock.proto) == (socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        assert sock.gettimeout() is None
        assert not sock.get_inheritable()


def test_a_refused_socket_has_the_kernels_errno(network: KeptNamespace) -> None:
    """What the kernel refuses inside is raised outside, and the next request is answered."""
    with pytest.raises(OSError) as caught:
        network.make_socket(socket.AF_INET, 99, 0)
    assert (caught.value.errno, caught.value.strerror) == (errno.EINVAL, "Invalid argument")
    network.make_socket(socket.AF_INET, socket.SOCK_STREAM, 0).close()


def test_the_clone_device_is_opened_inside(network: KeptNamespace) -> None:
    """The descriptor of /dev/net/tun does not block, and no program inherits it."""
    fd = network.open_clone_device()
    assert os.readlink(f"/proc/self/fd/{fd}") == "/dev/net/tun"
    assert (os.get_blocking(fd), os.get_inheritable(fd)) == (False, False)
    os.close(fd)


def test_it_knows_its_own_namespace(network: KeptNamespace) -> None:
    """holds() is true of the namespace inside and false of this process's."""
    for path, held in ((f"/proc/{init_of(network)}/ns/net", True), ("/proc/self/ns/net", False)):
        fd = os.open(path, os.O_RDONLY)
        assert network.holds(fd) is held
        os.close(fd)


@contextmanager
def room_for(count: int) -> Iterator[None]:
    """Leave room for so many descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    plugs = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 2 + count, hard))
    try:
        with suppress(OSError):
            while True:
                plugs.append(os.dup(0))
        for _ in range(count):
            os.close(plugs.pop())
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for plug in plugs:
            os.close(plug)


def test_running_out_of_descriptors_is_told(network: KeptNamespace) -> None:
    """Without room for the answer's descriptor the request fails with EMFILE, and works again later (J1)."""
    with room_for(0), pytest.raises(OSError) as caught:
        network.make_socket(socket.AF_INET, socket.SOCK_STREAM, 0)
    assert caught.value.errno == errno.EMFILE
    network.make_socket(socket.AF_INET, socket.SOCK_STREAM, 0).close()


def test_a_start_without_room_leaves_nothing() -> None:
    """However few descriptors there may be, start() has all of them, or fails with EMFILE and leaves nothing (J1)."""
    before = os.listdir("/proc/self/fd"), children()
    rooms = 0
    while True:
        try:
            with room_for(rooms):
                network = KeptNamespace.start()
        except OSError as error:
            assert error.errno == errno.EMFILE
            assert (os.listdir("/proc/self/fd"), children()) == before
            rooms += 1
        else:
            network.close()
            break
    assert rooms > 4  # what stays: the socket, and the namespaces


def test_a_start_among_many_descriptors_ends(network: KeptNamespace) -> None:
    """With more descriptors open than select() can take, a network is closed like any."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2000:
        pytest.skip("this user may not have 2000 descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (2000, hard))
    plugs = [os.dup(0) for _ in range(1024)]
    try:
        network.close()
        assert network._process.returncode == 0
    finally:
        for plug in plugs:
            os.close(plug)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_an_owner_may_ignore_its_children(network: KeptNamespace) -> None:
    """Where SIGCHLD is ignored nobody can wait for the keeper; close() is none the worse for it."""
    ended = os.pidfd_open(network.pid)
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        os.kill(network.pid, signal.SIGKILL)
        wait_for_end(ended)
        network.close()
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert network._process.returncode is not None


def test_an_interrupted_request_is_given_up(network: KeptNamespace) -> None:
    """An answer that a signal handler's exception kept from being read is not the next request's."""

    class Interrupted(Exception):
        pass

    def interrupt(*_: object) -> None:
        raise Interrupted

    init = init_of(network)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        os.kill(init, signal.SIGSTOP)
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        with pytest.raises(Interrupted):
            network.make_socket(socket.AF_INET, socket.SOCK_STREAM, 0)
    finally:
        signal.signal(signal.SIGALRM, before)
        os.kill(init, signal.SIGCONT)
    with pytest.raises(DeviceGone, match="^private host: the process that keeps it has ended$"):
        network.make_socket(socket.AF_INET, socket.SOCK_DGRAM, 0)


def test_the_network_can_be_opened_once_more(network: KeptNamespace) -> None:
    """open_network() gives a descriptor of the namespace inside, the caller's; none once it is closed."""
    fd = network.open_network()
    assert network.holds(fd)
    os.close(fd)
    network.close()
    with pytest.raises(DeviceClosed, match="^private host: it is closed$"):
        network.open_network()


@pytest.mark.parametrize(("name", "value"), [("executable", None), ("executable", ""), ("frozen", True)])
def test_it_takes_an_interpreter(name: str, value: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Embedded or frozen, where there is no interpreter to run, the start says so, and starts nothing."""
    monkeypatch.setattr(sys, name, value, raising=False)
    text = "^private host: sys.executable is no Python interpreter, and it takes one to run keeper.py$"
    with pytest.raises(DeviceError, match=text):
        KeptNamespace.start()


def test_it_works_from_a_zip_file(tmp_path: Path) -> None:
    """Imported from a zip file, where no program has a path, it starts and runs programs all the same."""
    root = Path(kept.__file__).parents[2]
    archive = tmp_path / "program.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for module in root.glob("aiotun/**/*.py"):
            file.write(module, module.relative_to(root))
    script = textwrap.dedent("""
        import subprocess
        from aiotun.linux import kept
        network = kept.KeptNamespace.start()
        command, fds = network.entering(["echo", "ran"])
        print(subprocess.run(command, pass_fds=fds, capture_output=True).stdout, ".zip" in kept.__file__)
        network.close()
    """)
    path = os.pathsep.join([str(archive), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-P", "-c", script]
    told = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path})
    assert (told.stdout, told.stderr) == ("b'ran\\n' True\n", "")


def test_close_ends_every_process(network: KeptNamespace) -> None:
    """After close neither the keeper nor its init is there, not even as a zombie."""
    processes = [network.pid, init_of(network)]
    network.close()
    assert [pid for pid in processes if Path(f"/proc/{pid}").exists()] == []


def test_close_is_idempotent(network: KeptNamespace) -> None:
    """close() may be called again, and what is asked for afterwards is refused."""
    network.close()
    network.close()
    with pytest.raises(DeviceClosed, match="^private host: it is closed$"):
        network.make_socket(socket.AF_INET, socket.SOCK_STREAM, 0)
    with pytest.raises(DeviceClosed, match="^private host: it is closed$"):
        network.entering(["true"])
    assert not network.holds(0)


def test_a_child_of_the_owner_does_not_keep_it(network: KeptNamespace) -> None:
    """A child may hold the owner's end of the control socket as well; close() ends the keeper all the same."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[network._control.fileno()]) as child:
        network.close()
        assert network._process.returncode == 0
        child.communicate()


@pytest.mark.parametrize("victim", ["keeper", "init"])
def test_a_killed_keeper_is_gone(network: KeptNamespace, victim: str) -> None:
    """Killed, the keeper takes everything inside with it, and what is asked for afterwards raises DeviceGone."""
    init = os.pidfd_open(init_of(network))
    os.kill(network.pid if victim == "keeper" else init_of(network), signal.SIGKILL)
    os.waitid(os.P_PID, network.pid, os.WEXITED | os.WNOWAIT)
    wait_for_end(init)
    for _ in range(2):
        with pytest.raises(DeviceGone, match="^private host: the process that keeps it has ended$"):
            network.make_socket(socket.AF_INET, socket.SOCK_STREAM, 0)


def wait_for_end(process: int) -> None:
    """Wait until a process ended, and close its pidfd."""
    assert select.select([process], [], [], 10)[0]
    os.close(process)


def test_a_stopped_keeper_is_given_up(network: KeptNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A keeper that somebody stopped holds up neither a request nor close() for ever."""
    init = init_of(network)
    network._control.settimeout(0.01)
    monkeypatch.setattr(kept, "PATIENCE", 0.01)
    os.kill(init, signal.SIGSTOP)
    with pytest.raises(DeviceGone, match=r"^private host: no answer within 0 s$"):
        network.make_socket(socket.AF_INET, socket.SOCK_STREAM, 0)
    with pytest.raises(DeviceGone, match="has ended"):  # a late answer is not taken for another
        network.make_socket(socket.AF_INET, socket.SOCK_STREAM, 0)
    os.kill(network.pid, signal.SIGSTOP)
    init_ended = os.pidfd_open(init)
    network.close()
    assert network._process.returncode == -signal.SIGKILL
    wait_for_end(init_ended)


def test_a_program_runs_inside(network: KeptNamespace) -> None:
    """entering() makes a command that sees the private network, as root of it, and nothing of the PIDs outside."""
    command, fds = network.entering(["sh", "-c", "ip -o -4 addr; id -u; echo $$"])
    output = subprocess.run(command, pass_fds=fds, check=True, capture_output=True, text=True).stdout.split("\n")
    assert output[0].startswith("1: lo    inet 127.0.0.1/8")
    assert output[1:] == ["0", "4", ""]  # after the init, what forks the attendant, and the attendant


def test_where_namespaces_are_forbidden_the_remedy_is_named() -> None:
    """A limit of 0 user namespaces is refused with the setting that allows them, and leaves nothing behind."""
    script = textwrap.dedent("""
        import os
        from aiotun import DeviceError
        from aiotun.linux.kept import KeptNamespace
        with open("/proc/sys/user/max_user_namespaces", "w") as setting:
            setting.write("0")
        before = os.listdir("/proc/self/fd")
        try:
            KeptNamespace.start()
        except DeviceError as error:
            print(error)
        print(os.listdir("/proc/self/fd") == before)
    """)
    command = ["unshare", "--user", "--map-root-user", sys.executable, "-W", "error", "-c", script]
    path = os.pathsep.join([str(Path(kept.__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    told = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path})
    assert told.stdout.splitlines() == [
        "private host: cannot make a user, network and PID namespace: No space left on device: "
        "`sysctl user.max_user_namespaces=10000`",
        "True",
    ]
    assert told.stderr == ""


def test_running_out_of_processes_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A keeper that cannot be started leaves no descriptor."""

    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(subprocess, "Popen", refuse)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(BlockingIOError):
        KeptNamespace.start()
    assert os.listdir("/proc/self/fd") == before
