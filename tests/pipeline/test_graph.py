"""Pictures of a path."""

from __future__ import annotations

import pytest

from aiotun.errors import DeviceDown
from aiotun.pipeline import Batch, Path


def halve(batch: Batch) -> Batch:
    return batch[::2]


def fails_or_halves(batch: Batch) -> Batch:
    if len(batch) == 1:
        raise DeviceDown("down")
    return batch[::2]


def drawn() -> Path:
    path = Path("tun0 output", [("ready", list), ("halve", halve)], ends=("stack", "snd"))
    path([b"1", b"2", b"3"])
    return path


def test_mermaid_shows_stages_edges_and_drops() -> None:
    """A Mermaid flowchart has a counter on each edge, and a slanted box for each reason."""
    assert drawn().graph().splitlines() == [
        "flowchart LR",
        '    first(["stack"])',
        '    s0["ready"]',
        '    s1["halve"]',
        '    last(["snd"])',
        "    first -->|3| s0",
        "    s0 -->|3| s1",
        "    s1 -->|2| last",
        '    s1 -.->|1| s1_halve[/"halve"/]',
    ]


def test_dot_shows_stages_edges_and_drops() -> None:
    """A DOT graph has the same in Graphviz's language."""
    assert drawn().graph("dot").splitlines() == [
        'digraph "tun0 output" {',
        "    rankdir=LR;",
        "    node [shape=box];",
        '    first [label="stack", shape=oval];',
        '    s0 [label="ready"];',
        '    s1 [label="halve"];',
        '    last [label="snd", shape=oval];',
        '    first -> s0 [label="3"];',
        '    s0 -> s1 [label="3"];',
        '    s1 -> last [label="2"];',
        '    s1_halve [label="halve", shape=parallelogram];',
        '    s1 -> s1_halve [label="1", style=dashed];',
        "}",
    ]


def test_a_path_without_stages_is_one_edge() -> None:
    """An empty path goes from one end to the other."""
    path = Path("p", ends=("here", "there"))
    path([b"1"])
    assert path.graph().splitlines()[1:] == [
        '    first(["here"])',
        '    last(["there"])',
        "    first -->|1| last",
    ]


def test_a_name_that_is_no_identifier_is_quoted() -> None:
    """Any name can be drawn: quotes are changed, and node names keep to letters and digits."""
    path = Path("p", [('the "big" one', lambda batch: ())])
    path([b"1"])
    text = path.graph()
    assert "    s0[\"the 'big' one\"]" in text
    assert "    s0 -.->|1| s0_the__big__one[/\"the 'big' one\"/]" in text


def test_both_end_with_a_line_end() -> None:
    """The text is whole lines."""
    assert drawn().graph().endswith("]\n")
    assert drawn().graph("dot").endswith("}\n")


def test_a_table_of_short_names() -> None:
    """The heading is as wide as it must be, and several reasons stand in one line."""
    path = Path("p", [("a", fails_or_halves)])
    path([b"1", b"2"])
    with pytest.raises(DeviceDown):
        path([b"1"])
    assert path.describe().splitlines() == [
        "p",
        "  stage    entered       left  dropped",
        "  a              3          1  1 a, 1 down",
    ]
