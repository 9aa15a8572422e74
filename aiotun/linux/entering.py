"""
Running a program inside a private network: a program, run by path with nothing but the standard library.

``entering.py USER PID NET command ...``: three descriptors of namespaces to enter, and what to run there. This
process is the program's stand-in outside: signals sent to it reach the program, it ends as the program ended, and
when it is killed so is the program.

A process that enters a PID namespace stays outside; its children are in. The program is not its child, though: when
a stand-in is killed its children go to the init outside, and if that one is slow to reap them the network cannot
end. So an attendant, adopted by the network's init, is the program's parent, and tells how it ended.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import select
import signal
import socket
import sys
from collections.abc import Iterable

__all__ = ["main"]

# Linux include/uapi/linux/prctl.h
PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4

NOT_RUN = 127
"""The exit status of a shell whose command could not be run."""

libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Enter the namespaces, run the command, and end as it ends."""
    fds, command = map(int, sys.argv[1:4]), sys.argv[4:]
    # From now on they wait until the program can be sent them.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    while os.open(os.devnull, os.O_RDWR) <= 2:  # lest a socket of ours be a standard stream that is closed
        pass
    try:
        _enter(fds)
        ours, theirs = socket.socketpair()
        stand_in = os.pidfd_open(os.getpid())
        child = os.fork()
    except OSError as error:
        if error.errno == errno.ENOMEM:  # what fork() says when the namespace's init is gone: pid_namespaces(7)
            _end_as(signal.SIGKILL)
        sys.exit(f"cannot run {command[0]} in a private network: {error.strerror}")
    if child:
        theirs.close()
        os.closerange(0, 3)  # an end of a pipe that the program closes shall be closed
        os.waitpid(child, 0)
        _end_as(_status(ours))
    ours.close()
    if not os.fork():
        _attend(theirs, stand_in, command, mask)
    os._exit(0)


def _enter(fds: Iterable[int]) -> None:
    for fd in fds:
        if libc.setns(fd, 0):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        os.close(fd)


def _attend(control: socket.socket, stand_in: int, command: list[str], mask: Iterable[int]) -> None:
    """Run the command, give the stand-in its pidfd, wait, and tell its status; kill it if the stand-in is killed."""
    child = os.fork()
    if not child:
        _execute(command, mask)
    os.closerange(0, 3)
    program = os.pidfd_open(child)
    with contextlib.suppress(BrokenPipeError):
        socket.send_fds(control, [b"\0"], [program])
    poll = select.poll()
    poll.register(stand_in, select.POLLIN)
    poll.register(program, select.POLLIN)
    if stand_in in dict(poll.poll()):
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    with contextlib.suppress(BrokenPipeError):
        control.send(b"%d" % status)


def _execute(command: list[str], mask: Iterable[int]) -> None:
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # by Python, at its start
        signal.signal(ignored, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        os.write(2, os.fsencode(f"{command[0]}: {error.strerror}\n"))
        os._exit(NOT_RUN)


def _status(control: socket.socket) -> int:
    """Return what waitpid() said of the program, once it ended; meanwhile pass on what signals come."""
    message, fds, _, _ = socket.recv_fds(control, 1, 1)
    control.setblocking(False)
    fcntl.fcntl(control, fcntl.F_SETOWN, os.getpid())  # SIGIO when there is something to read
    fcntl.fcntl(control, fcntl.F_SETFL, os.O_NONBLOCK | os.O_ASYNC)
    while message:
        try:
            message = control.recv(16)
            break
        except BlockingIOError:
            signalled = signal.sigwaitinfo(signal.valid_signals())
        if signalled.si_code <= 0:  # a process sent it; the kernel, for a terminal, sends the program its own
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(fds[0], signalled.si_signo)
    return int(message or signal.SIGKILL)  # killed with the attendant, and all the network


def _end_as(status: int) -> None:
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)  # one core is enough
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [-code])
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    main()
