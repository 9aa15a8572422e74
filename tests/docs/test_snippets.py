"""The programs printed in our pages run as they stand, and print what the pages say."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from examples.program import PATIENCE, namespaces

from .fences import ROOT, Snippet, snippets

ALL = list(snippets())
KINDS = {"runnable", "kernel"}


def marked(word: str) -> list[Snippet]:
    """Return the snippets whose info string has *word*; a page without any would make the test empty."""
    return [snippet for snippet in ALL if word in snippet.words]


def run(snippet: Snippet, folder: Path) -> str:
    """Run a snippet as a program of its own, every warning an error, and return what it printed."""
    for module in snippet.needs:
        pytest.importorskip(module)
    program = folder / "snippet.py"
    program.write_text(snippet.text)
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-W", "error", str(program)],
        env=os.environ | {"PYTHONPATH": path},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("snippet", marked("runnable"), ids=str)
def test_runs_without_privilege(snippet: Snippet, tmp_path: Path) -> None:
    """A snippet marked runnable ends well, and prints the output shown after it."""
    assert run(snippet, tmp_path) == (snippet.output or "")


@pytest.mark.kernel
@pytest.mark.parametrize("snippet", marked("kernel"), ids=str)
def test_runs_on_the_kernel(snippet: Snippet, tmp_path: Path) -> None:
    """A snippet marked kernel ends well where the namespace `play` is, and prints the output shown after it."""
    with namespaces("play"):
        assert run(snippet, tmp_path) == (snippet.output or "")


@pytest.mark.parametrize("snippet", [snippet for snippet in ALL if not snippet.words & KINDS], ids=str)
def test_is_python(snippet: Snippet) -> None:
    """A snippet that is a part of a program is at least Python."""
    compile(snippet.text, str(snippet), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST)


def test_every_info_string_is_understood() -> None:
    """No snippet goes untested because of a mistyped word."""
    words = {word for snippet in ALL for word in snippet.words}
    assert {word for word in words if word not in KINDS and not word.startswith("needs:")} == set()
