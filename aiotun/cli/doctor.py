"""``aiotun doctor``: show what this machine allows, what is wrong, and what mends it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..endpoint.names import check_name
from ..errors import DeviceError
from ..host.broker_messages import DEFAULT_PATH
from ..host.system import check_platform

if TYPE_CHECKING:
    from ..linux.doctor import Diagnosis, Usable
    from ..linux.doctor_device import Described
    from ..linux.finding import Finding

__all__ = ["diagnosis_json", "print_diagnosis", "run_doctor"]

HEALTHY = 0
PROBLEM = 1
UNUSABLE = 2

SCHEMA = 1
"""Counted up when a field of the JSON changes its meaning or goes; new ones may come without."""

MARKS = {
    "ok": Text("ok", style="green"),
    "warning": Text("warning", style="yellow"),
    "problem": Text("PROBLEM", style="bold red"),
    "not applicable": Text("-", style="dim"),
}


def run_doctor(device: str | None = None, *, json: bool = False) -> int:
    """
    Examine this machine, and a device if one is named.

    Returns:
        The exit status: 0, 1 if there is a problem, 2 if an interface cannot be called *device*.
    """
    try:
        if device is not None:
            check_name(device)
        check_platform()
    except ValueError as error:
        print(f"aiotun doctor: {error}", file=sys.stderr)
        return UNUSABLE
    except DeviceError as error:
        print(diagnosis_json(_elsewhere(str(error))) if json else f"aiotun doctor: {error}")
        return HEALTHY  # nothing is broken: SoftHost is what such a machine has
    from ..linux.doctor import diagnose
    from ..linux.machine import Machine

    diagnosis = diagnose(Machine(broker=DEFAULT_PATH), device)
    if json:
        print(diagnosis_json(_document(diagnosis)))
    else:
        print_diagnosis(Console(), diagnosis)
    return PROBLEM if diagnosis.problems else HEALTHY


def diagnosis_json(document: dict[str, Any]) -> str:
    """Return the document as JSON, with the version of its schema."""
    return json.dumps({"schema": SCHEMA, **document}, indent=2)


def print_diagnosis(console: Console, diagnosis: Diagnosis) -> None:
    """Print every finding by group, what mends the bad ones under each, and which hosts work."""
    for group, findings in groupby(diagnosis.findings, key=lambda finding: finding.group):
        console.print(Text(f"\n{group}", style="bold underline"))
        console.print(_findings(list(findings)))
    console.print(Text("\nwhat you can use here", style="bold underline"))
    console.print(_hosts(diagnosis.hosts))
    console.print()
    problems = len(diagnosis.problems)
    warnings = sum(finding.state == "warning" for finding in diagnosis.findings)
    ending = f"{_count(problems, 'problem')}, {_count(warnings, 'warning')}"
    console.print(Text(ending, style="bold red" if problems else "green"))


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


def _findings(findings: Sequence[Finding]) -> Table:
    table = _grid()
    for finding in findings:
        table.add_row(MARKS[finding.state], _said(finding.title, finding.detail))
        if finding.fix:
            table.add_row("", Text.assemble(("fix: ", "bold"), (finding.fix, "cyan")))
    return table


def _hosts(hosts: Sequence[Usable]) -> Table:
    table = _grid()
    for one in hosts:
        mark = Text("yes", style="green") if one.usable else Text("no", style="yellow")
        table.add_row(mark, _said(one.host, one.why))
    return table


def _said(title: str, text: str) -> Text:
    return Text.assemble((title, "bold"), ": ", text)


def _grid() -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(width=7, no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _document(diagnosis: Diagnosis) -> dict[str, Any]:
    return {
        "problems": len(diagnosis.problems),
        "findings": [
            {
                "id": finding.id,
                "group": finding.group,
                "state": finding.state,
                "title": finding.title,
                "detail": finding.detail,
                "fix": finding.fix,
                "hinders": sorted(finding.hinders),
            }
            for finding in diagnosis.findings
        ],
        "hosts": [{"host": one.host, "usable": one.usable, "why": one.why} for one in diagnosis.hosts],
        "device": None if diagnosis.device is None else _device(diagnosis.device),
    }


def _device(device: Described) -> dict[str, Any]:
    """Return a device as plain values: bytes, numbers of users, and for each holder whether its device is this one."""
    holders = [{"pid": one.pid, "program": one.program, "fd": one.fd, "here": one.here} for one in device.holders]
    document: dict[str, Any] = {"name": device.name, "netns": device.netns, "holders": holders, "exists": False}
    if device.link is None:
        return document
    tun = device.link.tun
    return document | {
        "exists": True,
        "index": device.link.index,
        "kind": device.link.kind,
        "mtu": device.link.mtu,
        "up": bool(device.link.flags & 1),
        "carrier": device.link.carrier,
        "addresses": [{"address": str(one.address), "state": one.state} for one in device.addresses],
        "persistent": tun and tun.persistent,
        "owner": tun and tun.owner,
        "group": tun and tun.group,
        "multi_queue": tun and tun.multi_queue,
        "queues": tun and tun.queues,
    }


def _elsewhere(why: str) -> dict[str, Any]:
    """Return what there is to say of a machine without a Linux kernel."""
    kernel = [{"host": host, "usable": False, "why": why} for host in ("SystemHost", "BrokerHost", "PrivateHost")]
    soft = {"host": "SoftHost", "usable": True, "why": "in process, on any machine"}
    system = {"id": "kernel", "group": "driver", "state": "not applicable", "title": "Linux", "detail": sys.platform}
    return {"problems": 0, "findings": [{**system, "fix": "", "hinders": []}], "hosts": [*kernel, soft], "device": None}
