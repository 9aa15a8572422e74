"""
The process that undoes what its owner changed, once that is gone; and how a change is undone.

``guardian.py CONTROL OWNER NETLINK``, three descriptors: a SOCK_SEQPACKET socket to be told by, a pidfd of the owner,
and a route socket of the network that is changed. A program, run by path with nothing but the standard library. It is
told each step before the change is made, as JSON: ``{"step": {...}}``, with a descriptor if the step has a file;
``{"forget": true}`` takes the last one back; ``{"undo": true}`` undoes all, last first, and is answered by a list of
what could not be undone; ``{"keep": true}`` ends it with nothing undone. It ends after one of the last two, or undoes
when its owner died, by SIGKILL too. It lives in a session of its own, and nothing but SIGKILL ends it before.

A step says ``what`` was changed, and how that is undone, each only where it still is as the owner left it:

- ``send``: rtnetlink requests, in hexadecimal; what is not there any more, or there again, is no failure.
- ``link``, ``path``, ``ours``: send only if this attribute of the link of this index is still ours.
- ``fd``, ``ours``, ``before``: a file of /proc/sys, which gets back what it said before.
- ``run``: a program and its arguments.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import select
import socket
import struct
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["ask", "attribute", "main", "messages", "undo_all"]

Step = Mapping[str, Any]

# Linux include/uapi/linux/netlink.h and rtnetlink.h
HEADER = struct.Struct("=IHHII")
"""struct nlmsghdr: length, type, flags, sequence, port."""
CODE = struct.Struct("=i")
ATTRIBUTE = struct.Struct("=HH")
IFINFO = struct.Struct("=BxHiII")
NLMSG_ERROR = 2
NLMSG_DONE = 3
NLM_F_REQUEST = 0x01
NLM_F_ACK = 0x04
NLM_F_CAPPED = 0x100
NLMSGERR_ATTR_MSG = 1
NLA_TYPE_MASK = 0x3FFF
RTM_GETLINK = 18

MESSAGE = 1 << 16
"""Bytes of the longest message, by either socket."""

NOTHING_LEFT = {errno.ENOENT, errno.ESRCH, errno.ENODEV, errno.EADDRNOTAVAIL, errno.EEXIST}
"""What the kernel says to who removes a rule, a route, a link or an address that is not there, or adds one that is."""

PATIENCE = 10.0
"""Seconds for a program to end."""

sequences = itertools.count(1)


def main() -> None:
    """Be told, until there is something to do."""
    control, owner, netlink = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3])
    os.chdir("/")  # so as to keep no directory busy
    steps: list[Step] = []
    if not _told(control, owner, steps):
        return
    failed = undo_all(steps, socket.socket(fileno=netlink))
    try:
        control.send(json.dumps(failed).encode())
    except OSError:  # nobody is there any more
        for what in failed:
            print(f"aiotun: not undone: {what}", file=sys.stderr)


def _told(control: socket.socket, owner: int, steps: list[Step]) -> bool:
    """Take note of steps until the owner says what is to be done, or is gone; return whether to undo them."""
    younger: list[int] = []
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(owner, select.POLLIN)
    while control.fileno() in (ready := dict(poll.poll())) or owner not in ready:
        message, fds, _, _ = socket.recv_fds(control, MESSAGE, 1)
        if not message:
            break
        told = json.loads(message)
        if "step" in told:
            steps.append(told["step"] | ({"fd": fds[0]} if fds else {}))
        elif "forget" in told:
            steps.pop()
        elif "younger" in told:
            younger += fds
        else:
            return "undo" in told
    _wait_for_ends(younger)
    return True


def _wait_for_ends(processes: Sequence[int]) -> None:
    """Let guardians of the same owner undo first what was changed after our steps: ours may be under it."""
    for process in processes:
        poll = select.poll()
        poll.register(process, select.POLLIN)
        poll.poll(PATIENCE * 1000)


def undo_all(steps: list[Step], netlink: socket.socket) -> list[str]:
    """Undo the steps, last first, and empty the list; return what could not be undone, and why."""
    failed = []
    while steps:
        step = steps.pop()
        try:
            _undo(step, netlink)
        except OSError as error:
            failed.append(f"{step['what']}: {error.strerror or error}")
    return failed


def _undo(step: Step, netlink: socket.socket) -> None:
    if "fd" in step:
        if os.pread(step["fd"], MESSAGE, 0).split() == step["ours"].encode().split():
            os.pwrite(step["fd"], step["before"].encode(), 0)
    elif "run" in step:
        run(step["run"])
    elif "link" not in step or _is_ours(step, netlink):
        for request in step["send"]:
            try:
                ask(netlink, bytes.fromhex(request))
            except OSError as error:
                if error.errno not in NOTHING_LEFT:
                    raise


def run(command: Sequence[str], text: str = "") -> None:
    """
    Run a program, with *text* to read.

    Raises:
        OSError: If there is none, or it fails; with what it said.
    """
    import subprocess  # late, for the guardian's start

    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        raise OSError(errno.ETIMEDOUT, f"{command[0]} did not end within {PATIENCE:g} s") from None
    if done.returncode:
        raise OSError(errno.EIO, done.stderr.strip() or f"{command[0]} ended with status {done.returncode}")


def _is_ours(step: Step, netlink: socket.socket) -> bool:
    body = IFINFO.pack(socket.AF_UNSPEC, 0, step["link"], 0, 0)
    try:
        answer = ask(netlink, HEADER.pack(HEADER.size + len(body), RTM_GETLINK, NLM_F_REQUEST, 0, 0) + body)
    except OSError as error:
        if error.errno in NOTHING_LEFT:
            return False
        raise
    return attribute(answer[0][HEADER.size + IFINFO.size :], step["path"]) == bytes.fromhex(step["ours"])


# --- rtnetlink ------------------------------------------------------------------------------------


def ask(netlink: socket.socket, request: bytes) -> list[bytes]:
    """
    Send a request and return the messages it is answered with; for a change, none.

    Raises:
        OSError: If the kernel refuses, in its own words where it has some.
    """
    length, kind, flags, _, _ = HEADER.unpack_from(request)
    sequence = next(sequences)
    # To an address: the kernel then looks at the rights of who sends, and not also of who opened the socket.
    netlink.sendto(HEADER.pack(length, kind, flags | NLM_F_ACK, sequence, 0) + request[HEADER.size :], (0, 0))
    answers: list[bytes] = []
    while True:
        for message in messages(netlink.recv(MESSAGE)):
            _, kind, flags, answered, _ = HEADER.unpack_from(message)
            if answered != sequence:
                continue
            if kind in (NLMSG_ERROR, NLMSG_DONE):
                _check(message[HEADER.size :], flags)
                return answers
            answers.append(message)


def _check(payload: bytes, flags: int) -> None:
    code = -CODE.unpack_from(payload)[0]
    if code:
        length = HEADER.unpack_from(payload, CODE.size)[0] if len(payload) >= CODE.size + HEADER.size else 0
        skipped = CODE.size + (HEADER.size if flags & NLM_F_CAPPED else length + 3 & ~3)
        words = (attribute(payload[skipped:], [NLMSGERR_ATTR_MSG]) or b"").rstrip(b"\0").decode()
        raise OSError(code, os.strerror(code) + (f" ({words})" if words else ""))


def messages(buffer: bytes) -> Iterator[bytes]:
    """Yield the messages in a buffer, each with its header."""
    while len(buffer) >= HEADER.size:
        length = HEADER.unpack_from(buffer)[0]
        yield buffer[:length]
        buffer = buffer[max(length + 3 & ~3, HEADER.size) :]


def attribute(buffer: bytes, path: Sequence[int]) -> bytes | None:
    """Return an attribute's value, by its type, the types of those it is nested in first; None if there is none."""
    while len(buffer) >= ATTRIBUTE.size:
        length, kind = ATTRIBUTE.unpack_from(buffer)
        if kind & NLA_TYPE_MASK == path[0]:
            value = buffer[ATTRIBUTE.size : length]
            return attribute(value, path[1:]) if path[1:] else value
        buffer = buffer[max(length + 3 & ~3, ATTRIBUTE.size) :]
    return None


if __name__ == "__main__":
    main()
