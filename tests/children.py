"""Forked children: one that says something, one that does nothing."""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["in_child", "living_child"]


def in_child(look: Callable[[], str]) -> str:
    """Fork a child, return what *look* returns in it, or what it raises, as text, and wait for its end."""
    reading, writing = os.pipe()
    child = _fork()
    if not child:
        try:
            text = look()
        except BaseException as error:
            text = f"{type(error).__name__}: {error}"
        os.write(writing, text.encode())
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as answer:
        told = answer.read().decode()
    os.waitpid(child, 0)
    return told


@contextmanager
def living_child() -> Iterator[int]:
    """Fork a child that does nothing, and ends with the block, which begins when the child runs."""
    ours, theirs = socket.socketpair()
    child = _fork()
    if not child:
        ours.close()
        theirs.send(b"alive")
        theirs.recv(1)
        os._exit(0)
    theirs.close()
    with ours:
        ours.recv(5)
        try:
            yield child
        finally:
            ours.close()
            os.waitpid(child, 0)


def _fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12 and later, with threads about
        return os.fork()
