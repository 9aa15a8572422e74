"""The command line: arguments in, exit status out. What a command needs is imported when it runs."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from .._version import __version__

__all__ = ["app"]

app = typer.Typer(
    help="Async tun and tap endpoints for asyncio.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Host(enum.StrEnum):
    """Where the demo's two hosts live."""

    SOFT = "soft"
    SYSTEM = "system"


class Loop(enum.StrEnum):
    """Which event loop runs the demo."""

    AUTO = "auto"
    ASYNCIO = "asyncio"
    UVLOOP = "uvloop"


def _version(wanted: bool) -> None:
    if wanted:
        print(f"aiotun {__version__}")
        raise typer.Exit


@app.callback()
def aiotun(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """Async tun and tap endpoints for asyncio."""


@app.command()
def demo(
    host: Annotated[
        Host,
        typer.Option(help="In process, or two network namespaces of this machine's kernel (needs root)."),
    ] = Host.SOFT,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long to ping and transfer.")] = 10.0,
    size: Annotated[int, typer.Option(min=1280, max=65483, help="Bytes of an IP packet; the mtu of both tuns.")] = 1420,
    loop: Annotated[Loop, typer.Option(help="Event loop; auto takes uvloop if it is installed.")] = Loop.AUTO,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON, and nothing else.")] = False,
    live: Annotated[bool, typer.Option("--live/--no-live", help="Show the table while it runs.")] = True,
) -> None:
    """
    Join two hosts, each with a tun, by an encrypted UDP tunnel; ping and transfer through it.

    Ends with a summary. The exit status is 1 if a packet was lost without a counted reason, or the
    transfer did not arrive intact. Ctrl-C ends it early.
    """
    from .demo import Options, run_demo

    raise typer.Exit(
        run_demo(Options(host=host.value, seconds=seconds, size=size, loop=loop.value, json=json, live=live))
    )


@app.command()
def broker(
    policy: Annotated[
        str, typer.Option(help="The policy, a TOML file: who may open what.")
    ] = "/etc/aiotun/broker.toml",
    socket: Annotated[
        str, typer.Option(help="Where to listen, unless a service manager does that for it.")
    ] = "/run/aiotun.sock",
    mode: Annotated[str, typer.Option(help="Who may connect to the socket, octal.")] = "0666",
    check: Annotated[bool, typer.Option("--check", help="Show the policy as a table, and leave.")] = False,
) -> None:
    """
    Open devices for users without privileges, by policy, and pass them over a unix socket.

    Needs CAP_NET_ADMIN, and gives up every other privilege (CAP_SYS_ADMIN stays if a rule has netns). On SIGTERM it
    ends, and with it the devices it opened.
    """
    from .broker import Options, run_broker

    try:
        bits = int(mode, 8)
    except ValueError:
        raise typer.BadParameter(f"a mode is octal, like 0660, not {mode}", param_hint="--mode") from None
    raise typer.Exit(run_broker(Options(socket=socket, policy=policy, mode=bits, check=check)))


@app.command()
def doctor(
    device: Annotated[
        str | None, typer.Argument(help="A tun or tap to look at as well: what it is, who holds it.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON, and nothing else.")] = False,
) -> None:
    """
    Examine what this machine allows: the driver, privileges, namespaces, offloads; and what mends what is wrong.

    Opens a device for a moment, here and in a private network, to see whether it can be. The exit status is 1 if
    there is a problem: nothing but the in-process host works, or the device cannot be used.
    """
    from .doctor import run_doctor

    raise typer.Exit(run_doctor(device, json=json))
