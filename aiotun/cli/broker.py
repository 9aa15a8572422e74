"""``aiotun broker``: the small privileged program that opens devices for others, by policy."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
import socket
import stat
import sys
from contextlib import ExitStack, suppress

import attrs
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..host.broker_policy import Policy, Rule
from ..host.broker_policy_file import read_policy
from ..host.broker_server import Broker
from ..linux.privileges import keep_only
from ..linux.service import listen_fds, notify

__all__ = ["Options", "listening_socket", "run_broker"]

log = logging.getLogger("aiotun.broker")

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@attrs.frozen(kw_only=True)
class Options:
    """What ``aiotun broker`` was asked for."""

    socket: str
    policy: str
    mode: int = 0o666
    check: bool = False


def run_broker(options: Options) -> int:
    """Check the policy, or serve by it until SIGTERM; return the exit status."""
    try:
        policy = read_policy(options.policy)
        if options.check:
            print_policy(Console(), policy)
            return 0
        _serve(options, policy)
    except (OSError, ValueError) as error:
        print(f"aiotun broker: {getattr(error, 'strerror', None) or error}", file=sys.stderr)
        return 1
    return 0


def print_policy(console: Console, policy: Policy) -> None:
    """Print the rules as a table, a column for each."""
    table = Table("")
    for rule in policy.rules:
        table.add_column(Text(rule.name))
    for field in attrs.fields(Rule):
        if field.name != "name":
            table.add_row(field.name, *(Text(_value(getattr(rule, field.name))) for rule in policy.rules))
    console.print(table)


def _value(value: object) -> str:
    if isinstance(value, frozenset):
        value = sorted(value)
    if isinstance(value, tuple | list):
        return "\n".join(map(str, value))
    return str(value or "")


def _serve(options: Options, policy: Policy) -> None:
    logging.basicConfig(format="aiotun broker: %(message)s", level=logging.INFO)
    logging.captureWarnings(True)  # of what could not be undone
    with ExitStack() as undo:
        listener = undo.enter_context(_listener(options, undo))
        # To enter a namespace takes more than to make a device in one's own.
        elsewhere = any(rule.netns for rule in policy.rules)
        keep_only(["CAP_NET_ADMIN", "CAP_SYS_ADMIN"] if elsewhere else ["CAP_NET_ADMIN"])
        asyncio.run(_until_signalled(Broker(listener, policy), listener.getsockname()))


async def _until_signalled(broker: Broker, path: str) -> None:
    loop, serving = asyncio.get_running_loop(), asyncio.current_task()
    assert serving is not None

    def stop() -> None:
        for number in SIGNALS:  # once is enough: what is being undone shall not be interrupted
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)
        serving.cancel()

    for number in SIGNALS:
        loop.add_signal_handler(number, stop)
    broker.listen()
    log.info("serving at %s", path)
    notify("READY=1")
    with suppress(asyncio.CancelledError):
        await broker.serve()
    log.info("ended")


def _listener(options: Options, undo: ExitStack) -> socket.socket:
    """Return the socket that the service manager listens on for this program, or make one, to be removed later."""
    for fds in listen_fds().values():
        return socket.socket(fileno=fds[0])
    listener = listening_socket(options.socket, options.mode)
    undo.callback(_remove, options.socket)
    return listener


def listening_socket(path: str, mode: int) -> socket.socket:
    """
    Return a socket of sequential packets that is bound to *path*, in place of one that nobody listens at any more.

    Raises:
        OSError: If somebody does, or there is another file.
    """
    _clear(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    before = os.umask(0o777 & ~mode)  # from the beginning: a mode that is set later is too late
    try:
        listener.bind(path)
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"cannot listen at {path}: {error.strerror}") from error
    finally:
        os.umask(before)
    return listener


def _clear(path: str) -> None:
    """Remove the socket of a broker that was killed."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise OSError(errno.EEXIST, f"{path}: there is a file, and it is not a socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except OSError as error:
            raise OSError(errno.EADDRINUSE, f"{path}: somebody else listens there: {error.strerror}") from error
    raise OSError(errno.EADDRINUSE, f"{path}: a broker listens there already")


def _remove(path: str) -> None:
    with suppress(OSError):  # somebody removed it
        os.unlink(path)
