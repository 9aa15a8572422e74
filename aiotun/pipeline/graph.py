"""Pictures of a path with what passed each edge: a table, Mermaid, and Graphviz DOT."""

from __future__ import annotations

from collections.abc import Iterator

from .statistics import PathStatistics

__all__ = ["describe", "dot", "mermaid", "text", "word"]

Ends = tuple[str, str]


def describe(path: PathStatistics) -> str:
    """Return one line for each stage: packets in, packets out, and drops by reason."""
    width = max(len(name) for name in ("stage", *(stage.name for stage in path.stages)))
    lines = [path.name, f"  {'stage':<{width}} {'entered':>10} {'left':>10}  dropped"]
    for stage in path.stages:
        dropped = ", ".join(f"{count} {reason}" for reason, count in stage.dropped.items())
        lines.append(f"  {stage.name:<{width}} {stage.entered:>10} {stage.left:>10}  {dropped}".rstrip())
    return "\n".join(lines)


def mermaid(path: PathStatistics, ends: Ends) -> str:
    """Return the path as a Mermaid flowchart; drops are slanted boxes on dotted edges."""
    lines = ["flowchart LR", f"    first([{text(ends[0])}])"]
    lines += [f"    s{index}[{text(stage.name)}]" for index, stage in enumerate(path.stages)]
    lines.append(f"    last([{text(ends[1])}])")
    lines += [f"    {start} -->|{count}| {end}" for start, end, count in _edges(path)]
    for index, reason, count in _drops(path):
        lines.append(f"    s{index} -.->|{count}| s{index}_{word(reason)}[/{text(reason)}/]")
    return "\n".join(lines) + "\n"


def dot(path: PathStatistics, ends: Ends) -> str:
    """Return the path in Graphviz's DOT language; drops are dashed edges."""
    lines = [f"digraph {text(path.name)} {{", "    rankdir=LR;", "    node [shape=box];"]
    lines.append(f"    first [label={text(ends[0])}, shape=oval];")
    lines += [f"    s{index} [label={text(stage.name)}];" for index, stage in enumerate(path.stages)]
    lines.append(f"    last [label={text(ends[1])}, shape=oval];")
    lines += [f'    {start} -> {end} [label="{count}"];' for start, end, count in _edges(path)]
    for index, reason, count in _drops(path):
        drop = f"s{index}_{word(reason)}"
        lines.append(f"    {drop} [label={text(reason)}, shape=parallelogram];")
        lines.append(f'    s{index} -> {drop} [label="{count}", style=dashed];')
    return "\n".join([*lines, "}"]) + "\n"


def _edges(path: PathStatistics) -> Iterator[tuple[str, str, int]]:
    """Yield each edge as start, end and the packets that went over it."""
    start, count = "first", path.stages[0].entered if path.stages else path.left
    for index, stage in enumerate(path.stages):
        yield start, f"s{index}", count
        start, count = f"s{index}", stage.left
    yield start, "last", count


def _drops(path: PathStatistics) -> Iterator[tuple[int, str, int]]:
    for index, stage in enumerate(path.stages):
        for reason, count in stage.dropped.items():
            yield index, reason, count


def text(text: str) -> str:
    """Quote *text* as both languages do; neither lets a quote or a backslash stand in it plainly."""
    return '"' + text.replace('"', "'").replace("\\", "/") + '"'


def word(text: str) -> str:
    """Return *text* as part of a node's name."""
    return "".join(letter if letter.isalnum() else "_" for letter in text)
