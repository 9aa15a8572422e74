"""Python 3.11 watches each subprocess in a thread, which may outlive the wait for it by a moment."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def watchers_ended() -> Iterator[None]:
    """Wait for asyncio's threads, before anybody counts what is left."""
    yield
    for thread in threading.enumerate():
        if thread.name.startswith("asyncio-waitpid-"):
            thread.join()
