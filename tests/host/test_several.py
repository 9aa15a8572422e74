"""One endpoint or several."""

from __future__ import annotations

import pytest

from aiotun import Queues, Tun
from aiotun.endpoint import ClosedPort, Port
from aiotun.host.several import endpoints_over, one_or_several


class FakePort(ClosedPort):
    """An open device that nobody uses."""

    name = "fake0"
    mtu = 1500
    _counters = None

    def __init__(self) -> None:
        super().__init__(self)
        self.freed = False

    def close_now(self) -> None:
        self.freed = True


async def opened(count: int) -> list[Tun]:
    ports: list[Port] = [FakePort() for _ in range(count)]
    return endpoints_over(Tun, ports, "wait")


async def test_one() -> None:
    """Without ``queues`` there is the endpoint itself."""
    async with one_or_several(lambda: opened(1), None) as tun:
        assert type(tun) is Tun


@pytest.mark.parametrize("count", [1, 3])
async def test_several(count: int) -> None:
    """With a number there are queues, of which one may be all."""
    async with one_or_several(lambda: opened(count), count) as queues:
        assert isinstance(queues, Queues)
        assert len(queues) == count


def test_what_cannot_be_an_endpoint_is_closed() -> None:
    """When an endpoint refuses its options every port that was opened for it is closed."""
    ports = [FakePort(), FakePort()]
    with pytest.raises(ValueError, match="when_down"):
        endpoints_over(Tun, ports, "later")  # type: ignore[arg-type]
    assert [port.freed for port in ports] == [True, True]
