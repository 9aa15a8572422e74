"""A Mermaid sequence diagram of what happened in a lab."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ..packet.text import describe, describe_frame
from .lab_record import Crossing, Note

__all__ = ["Describe", "diagram", "one_line"]

Describe = Callable[[bytes], str]
"""Returns one line about a packet."""

_CODES = str.maketrans({"#": "#35;", ";": "#59;"})

SHOWN = 8
"""Bytes shown of what is no IP packet."""


def one_line(packet: bytes) -> str:
    """Return one line about a packet: what it is, if it is an IP packet, else its length and its first bytes."""
    text = describe(packet)
    if text.startswith("malformed"):
        more = "..." if len(packet) > SHOWN else ""
        return f"{len(packet)} bytes {packet[:SHOWN].hex(' ')}{more}"
    return text


def diagram(
    entries: Sequence[Crossing | Note], nodes: Iterable[str], describe: Describe = one_line, earlier: int = 0
) -> str:
    """
    Return *entries* as a Mermaid sequence diagram.

    An arrow is a packet at the time it was sent, a crossed one a packet that does not arrive.

    Args:
        entries: What is shown.
        nodes: The names of all nodes, in the order that they stand in; those without an entry are left out.
        describe: Returns one line about what is no frame.
        earlier: How many entries before these are not shown, for a note.
    """
    seen = {name for entry in entries for name in _names(entry)}
    aliases = {name: f"n{index}" for index, name in enumerate(name for name in nodes if name in seen)}
    lines = ["sequenceDiagram", *(f"    participant {alias} as {_plain(name)}" for name, alias in aliases.items())]
    if earlier and aliases:
        lines.append(f"    Note over {next(iter(aliases.values()))}: {earlier} earlier entries are not shown")
    for entry in entries:
        places = [aliases[name] for name in _names(entry)]
        if isinstance(entry, Note):
            lines.append(f"    Note over {','.join(places)}: {_seconds(entry.time)}: {_plain(entry.text)}")
        else:
            arrow = "-x" if entry.dropped else "->>"
            fate = entry.dropped or entry.changed
            text = describe_frame(entry.packet) if entry.ethernet else describe(entry.packet)
            said = f"{text} ({fate})" if fate else text
            lines.append(f"    {places[0]}{arrow}{places[1]}: {_seconds(entry.time)}: {_plain(said)}")
    return "\n".join(lines) + "\n"


def _names(entry: Crossing | Note) -> tuple[str, ...]:
    return entry.nodes if isinstance(entry, Note) else (entry.source, entry.target)


def _seconds(time: float) -> str:
    """Return a time to the microsecond, without zeros at its end."""
    return f"{time:.6f}".rstrip("0").rstrip(".") + " s"


def _plain(text: str) -> str:
    """Return text that Mermaid takes as text: a semicolon ends a line there, a hash begins a code."""
    return " ".join(text.split()).translate(_CODES)
