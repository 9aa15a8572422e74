"""Pictures of what joins endpoints, with what passed each edge: Mermaid and Graphviz DOT."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .graph import text, word
from .statistics import StageStatistics

__all__ = ["Picture"]

# Opening and closing bracket, and the name of the shape, in the two languages.
_SHAPES = {
    "end": ("([", "])", "oval"),
    "stage": ("[", "]", "box"),
    "queue": ("[(", ")]", "cylinder"),
    "drop": ("[/", "/]", "parallelogram"),
}


class Picture:
    """Nodes, and edges with a number of packets on each."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._nodes: list[tuple[str, str, str]] = []  # name, text, kind
        self._edges: list[tuple[str, str, int]] = []
        self._drops: list[tuple[str, str, int]] = []

    def node(self, name: str, label: str, kind: str) -> str:
        """Add a node and return its name."""
        self._nodes.append((name, label, kind))
        return name

    def edge(self, start: str, end: str, count: int) -> None:
        """Add an edge that *count* packets went over."""
        self._edges.append((start, end, count))

    def drops(self, start: str, dropped: Mapping[str, int], *, name: str) -> None:
        """Add what was dropped behind a node, by reason, as nodes whose names begin with *name*."""
        for reason, count in dropped.items():
            drop = self.node(f"{name}_{word(reason)}", reason, "drop")
            self._drops.append((start, drop, count))

    def way(self, name: str, start: str, stages: Iterable[StageStatistics]) -> str:
        """Add stages one behind the other; return the last node."""
        for index, stage in enumerate(stages):
            here = self.node(f"{name}{index}", stage.name, "stage")
            self.edge(start, here, stage.entered)
            self.drops(here, stage.dropped, name=here)
            start = here
        return start

    def render(self, format: str) -> str:
        """
        Return the picture in ``"mermaid"`` or ``"dot"``.

        Raises:
            ValueError: If the format is another one.
        """
        formats = {"mermaid": self._mermaid, "dot": self._dot}
        if format not in formats:
            raise ValueError(f"{self.name}: no graph format {format!r}; there are {', '.join(formats)}")
        return "\n".join(formats[format]()) + "\n"

    def _mermaid(self) -> Iterable[str]:
        yield "flowchart LR"
        for name, label, kind in self._nodes:
            opening, closing, _ = _SHAPES[kind]
            yield f"    {name}{opening}{text(label)}{closing}"
        yield from (f"    {start} -->|{count}| {end}" for start, end, count in self._edges)
        yield from (f"    {start} -.->|{count}| {end}" for start, end, count in self._drops)

    def _dot(self) -> Iterable[str]:
        yield f"digraph {text(self.name)} {{"
        yield "    rankdir=LR;"
        for name, label, kind in self._nodes:
            yield f"    {name} [label={text(label)}, shape={_SHAPES[kind][2]}];"
        yield from (f'    {start} -> {end} [label="{count}"];' for start, end, count in self._edges)
        yield from (f'    {start} -> {end} [label="{count}", style=dashed];' for start, end, count in self._drops)
        yield "}"
