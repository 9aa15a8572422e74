"""Every test runs off this machine's network, async tests on both event loops, and none may leak."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvloop
from hypothesis import HealthCheck, settings
from isolation import isolate

# For `make mutation`, which runs each test once a mutant, all in one process and its forks.
settings.register_profile(
    "mutation", derandomize=True, database=None, max_examples=25, suppress_health_check=list(HealthCheck)
)

KERNEL_REFUSAL = pytest.StashKey[str | None]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-kernel", action="store_true", help="fail kernel tests that cannot run here, where they are skipped"
    )


def pytest_configure(config: pytest.Config) -> None:
    # A shell starts what it runs in the background with these ignored, and a program inherits that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    config.stash[KERNEL_REFUSAL] = isolate()
    uvloop.new_event_loop().close()  # the first one opens descriptors that stay


def pytest_report_header(config: pytest.Config) -> str:
    return f"kernel tests: {config.stash[KERNEL_REFUSAL] or 'in a private network namespace'}"


def pytest_runtest_setup(item: pytest.Item) -> None:
    refusal = item.config.stash[KERNEL_REFUSAL]
    if refusal and item.get_closest_marker("kernel"):
        if item.config.getoption("--require-kernel"):
            pytest.fail(f"--require-kernel: {refusal}", pytrace=False)
        pytest.skip(refusal)


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The event loops that every async test runs on, one after the other."""
    return {"asyncio": asyncio.SelectorEventLoop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True)
def nothing_leaks() -> Iterator[None]:
    """Fail a test after which a file descriptor or a thread is left."""
    before = _left_over()
    yield
    if _left_over() != before:
        gc.collect()  # a cycle of the test's own objects is no leak
        assert _left_over() == before


def _left_over() -> tuple[list[str], int]:
    """Describe the open descriptors and count the threads."""
    fds = Path("/proc/self/fd")
    names = sorted(_target(fd) for fd in fds.iterdir()) if fds.exists() else []
    return names, threading.active_count()


def _target(fd: Path) -> str:
    try:
        return os.readlink(fd)
    except OSError:  # the descriptor that listed the directory
        return ""
