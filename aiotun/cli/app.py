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
