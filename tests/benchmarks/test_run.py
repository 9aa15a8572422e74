"""Tests of benchmarks/run.py: the command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from .sample import results

RUN = str(Path(__file__).resolve().parents[2] / "benchmarks" / "run.py")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, RUN, *arguments], capture_output=True, text=True)


def test_the_page_is_made_from_the_json_alone(tmp_path: Path) -> None:
    """With ``--page`` nothing is asked, and the page is written again, beside the JSON."""
    (tmp_path / "results.json").write_text(json.dumps(results()))
    done = run("--page", "--output", str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "results.md").read_text().startswith("# Results\n")


def test_a_question_that_is_none_is_refused() -> None:
    """A name that no question has is an error that lists those there are."""
    done = run("--only", "nothing")
    assert done.returncode == 2
    assert "iterate" in done.stderr
