"""Every test of what has a twin in C runs with the form in Python, and again with the twin where that is built."""

from __future__ import annotations

import importlib

import pytest

from aiotun import speedups

from . import packets, trains

FORMS = ("coalesce", "complete", "segment")
USERS = [packets, trains, *(importlib.import_module(f"aiotun.offload.{name}") for name in ("segment", "segmenter"))]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of a module that calls one of them twice."""
    if any(hasattr(metafunc.module, name) for name in FORMS):
        metafunc.parametrize("chosen_form", ["python", "c"] if speedups.active else ["python"], indirect=True)


@pytest.fixture(autouse=True)
def chosen_form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the forms in Python in the place of those in use, if that is what the test is to run with."""
    if getattr(request, "param", "c") == "python":
        for module in (request.module, *USERS):
            for name in FORMS:
                if hasattr(module, name):
                    monkeypatch.setattr(module, name, speedups.pure[name])
