"""What open_tun() returns, awaited or entered."""

from __future__ import annotations

import pytest

from aiotun.endpoint import Endpoint, Opening

from .fakes import FakePort


class Opener:
    """Opens endpoints over fake ports, and keeps the ports."""

    def __init__(self, error: Exception | None = None) -> None:
        self.ports: list[FakePort] = []
        self._error = error

    def opening(self) -> Opening[Endpoint]:
        return Opening(self._open)

    async def _open(self) -> Endpoint:
        if self._error:
            raise self._error
        self.ports.append(FakePort())
        return Endpoint(self.ports[-1])


async def test_nothing_happens_before() -> None:
    """An opening that is neither awaited nor entered opens nothing, and complains of nothing."""
    opener = Opener()
    opener.opening()
    assert opener.ports == []


async def test_awaited() -> None:
    """Awaiting gives the endpoint, to be closed by the caller."""
    opener = Opener()
    endpoint = await opener.opening()
    assert not opener.ports[0].freed
    await endpoint.aclose()


async def test_entered() -> None:
    """Entering gives the endpoint and leaving closes it."""
    opener = Opener()
    async with opener.opening() as endpoint:
        assert not endpoint.closed
    assert opener.ports[0].freed


async def test_left_by_an_error() -> None:
    """An error in the block closes the endpoint and goes on."""
    opener = Opener()
    with pytest.raises(KeyError):
        async with opener.opening():
            raise KeyError
    assert opener.ports[0].freed


async def test_closed_inside() -> None:
    """An endpoint closed inside the block is not closed again."""
    opener = Opener()
    async with opener.opening() as endpoint:
        await endpoint.aclose()
    assert opener.ports[0].closes == 1


async def test_entered_twice() -> None:
    """An opening can be entered once; the second time it says what to do."""
    opening = Opener().opening()
    async with opening:
        pass
    with pytest.raises(RuntimeError, match=r"used already; call open_tun\(\) or open_tap\(\) again"):
        async with opening:
            pass


async def test_entered_twice_opens_once() -> None:
    """Entering a second time opens nothing."""
    opener = Opener()
    opening = opener.opening()
    async with opening:
        with pytest.raises(RuntimeError):
            async with opening:
                pass
    assert len(opener.ports) == 1


async def test_a_failed_opening() -> None:
    """What opening raises reaches the caller, awaited or entered, and there is nothing to close."""
    opener = Opener(OSError("no device"))
    with pytest.raises(OSError, match="no device"):
        await opener.opening()
    with pytest.raises(OSError, match="no device"):
        async with opener.opening():
            pass
    assert opener.ports == []


async def test_entered_again_after_it_failed() -> None:
    """An opening that failed may be entered again."""
    opener = Opener(OSError("busy"))
    opening = opener.opening()
    with pytest.raises(OSError):
        async with opening:
            pass
    opener._error = None
    async with opening as endpoint:
        assert not endpoint.closed
