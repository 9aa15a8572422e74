"""Where a capture goes: a row of files over time."""

from __future__ import annotations

from pathlib import Path

from aiotun.capture import Rotation
from aiotun.capture.sinks import RotatingSink


def test_rotation_by_time(tmp_path: Path) -> None:
    """A file is due for the next when it was written to for long enough, by a clock of its own."""
    now = 100.0
    sink = RotatingSink(tmp_path / "vpn.pcapng", Rotation(seconds=60), lambda: now)
    now = 159.0
    assert not sink.due(10)
    now = 160.0
    assert sink.due(10)
    sink.next()
    assert not sink.due(10)
    assert len(sink.files) == 2
    sink.close()


def test_a_file_that_was_taken_away(tmp_path: Path) -> None:
    """A file of the row that somebody else deleted is not missed."""
    sink = RotatingSink(tmp_path / "vpn.pcapng", Rotation(bytes=10, files=1))
    sink.files[0].unlink()
    sink.next()
    assert list(tmp_path.iterdir()) == sink.files
    sink.close()


def test_the_names(tmp_path: Path) -> None:
    """A file is called by its number and the time it was begun."""
    sink = RotatingSink(tmp_path / "vpn.pcapng", Rotation(bytes=10))
    stem, number, stamp = sink.files[0].stem.split("_")
    assert (stem, number, len(stamp), sink.files[0].suffix) == ("vpn", "00001", 14, ".pcapng")
    sink.close()
