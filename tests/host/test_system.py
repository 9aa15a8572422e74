"""This machine's stack as a host: what it asks of the kernel's room, which is a fake here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from ipaddress import ip_interface
from types import ModuleType
from typing import Any

import attrs
import pytest

import aiotun
from aiotun.endpoint import ClosedPort, Port, Tap, Tun, kinds
from aiotun.errors import DeviceError
from aiotun.host import SystemHost, system


@attrs.frozen(kw_only=True)
class Settings:
    """What the kernel's room is told of the link, as it takes it."""

    addresses: Any = attrs.field(factory=list)
    peers: Any = attrs.field(factory=list)
    mtu: int | None = None
    queue_length: int | None = None
    mac: bytes | None = None
    group: int | None = None
    ipv6_linklocal: bool | None = None
    up: bool = True
    sysctls: Any = attrs.field(factory=dict)
    routes: Any = attrs.field(factory=list)
    rules: Any = attrs.field(factory=list)
    dns: Any = attrs.field(factory=list)


@attrs.frozen(kw_only=True)
class Terms:
    """What the kernel's room is told of the device, as it takes it."""

    queues: int | None = None
    persistent: bool = False
    owner: int | None = None
    owner_group: int | None = None
    napi: bool = False
    napi_frags: bool = False
    offload: frozenset[str] = frozenset()


DEFAULT = Settings()
PLAIN = Terms()


class FakePort(ClosedPort):
    """An open device that nobody uses."""

    name = "fake0"
    mtu = 1500
    _counters = None

    def __init__(self) -> None:
        super().__init__(self)
        self.up = True

    def is_up(self) -> bool:
        return self.up

    def watch(self, tell: object) -> None:
        pass

    def read_many(self, limit: int) -> list[bytes]:
        return []


class FakeLinux(ModuleType):
    """The kernel's room: keeps what it is asked to open and to adopt."""

    Settings = Settings
    Terms: type = Terms

    def __init__(self) -> None:
        super().__init__("aiotun.linux")
        self.opened: list[tuple[Any, ...]] = []
        self.adopted: list[tuple[int, str]] = []
        self.port = FakePort()

    async def open_ports(self, *args: Any, terms: Any) -> list[Port]:
        self.opened.append((*args, terms))
        return [self.port] * (terms.queues or 1)

    def adopt_port(self, fd: int, kind: str) -> Port:
        self.adopted.append((fd, kind))
        return self.port


@pytest.fixture
def linux(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLinux]:
    """A Linux whose kernel is a fake."""
    fake = FakeLinux()
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setitem(sys.modules, "aiotun.linux", fake)
    monkeypatch.setattr(kinds, "_adopt", system._adopt)
    yield fake
    # A ClosedPort, so the endpoints over it are closed: nothing to free.


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system without Linux's tun."""
    monkeypatch.setattr(sys, "platform", "plan9")
    monkeypatch.setattr(kinds, "_adopt", system._adopt)


async def test_a_tun_as_it_comes(linux: FakeLinux) -> None:
    """Without options a tun is asked for by its template, and the rest is left to the kernel."""
    assert type(await SystemHost().open_tun()) is Tun
    assert linux.opened == [("tun", "tun%d", DEFAULT, None, PLAIN)]


async def test_a_tap_as_it_comes(linux: FakeLinux) -> None:
    """Without options a tap is asked for by its template, and the rest is left to the kernel."""
    assert type(await SystemHost().open_tap()) is Tap
    assert linux.opened == [("tap", "tap%d", DEFAULT, None, PLAIN)]


async def test_a_tuns_options(linux: FakeLinux) -> None:
    """Every option of open_tun() reaches the kernel's room."""
    await SystemHost().open_tun(
        "vpn0", address="10.8.0.2/24", mtu=1420, queue_length=50, netns="blue", up=False, ipv6_linklocal=True
    )
    settings = attrs.evolve(
        DEFAULT, addresses=[ip_interface("10.8.0.2/24")], mtu=1420, queue_length=50, ipv6_linklocal=True, up=False
    )
    assert linux.opened == [("tun", "vpn0", settings, "blue", PLAIN)]


async def test_a_taps_options(linux: FakeLinux) -> None:
    """Every option of open_tap() reaches the kernel's room."""
    await SystemHost().open_tap(
        "lan0",
        address=["fd00::1/64"],
        mtu=9000,
        mac="02:00:00:00:00:01",
        queue_length=50,
        netns="/run/netns/blue",
        up=False,
        ipv6_linklocal=False,
    )
    settings = Settings(
        addresses=[ip_interface("fd00::1/64")],
        mtu=9000,
        queue_length=50,
        mac=bytes.fromhex("020000000001"),
        ipv6_linklocal=False,
        up=False,
    )
    assert linux.opened == [("tap", "lan0", settings, "/run/netns/blue", PLAIN)]


async def test_queues(linux: FakeLinux) -> None:
    """``queues`` reaches the kernel's room among the terms, and gives an endpoint for each."""
    host = SystemHost()
    tuns, taps = await host.open_tun(queues=2), await host.open_tap("lan0", queues=1)
    assert [[type(one) for one in queues] for queues in (tuns, taps)] == [[Tun, Tun], [Tap]]
    assert [opened[-1] for opened in linux.opened] == [Terms(queues=2), Terms(queues=1)]


async def test_the_drivers_options(linux: FakeLinux) -> None:
    """The options of the tun driver reach the kernel's room as its terms."""
    await SystemHost().open_tap(persistent=True, owner=5, owner_group=6, napi=True, napi_frags=True)
    terms = Terms(persistent=True, owner=5, owner_group=6, napi=True, napi_frags=True)
    assert linux.opened == [("tap", "tap%d", DEFAULT, None, terms)]


@pytest.mark.parametrize("options", [{"queues": 0}, {"owner": "no such user"}, {"when_down": "later"}])
async def test_a_bad_term_leaves_nothing_open(linux: FakeLinux, options: dict[str, Any]) -> None:
    """What cannot be is refused; if the kernel was asked before that was seen, its device is closed again."""
    closed: list[None] = []
    linux.port.close_now = lambda: closed.append(None)  # type: ignore[method-assign]
    with pytest.raises(ValueError):
        await SystemHost().open_tun(**options)
    assert len(closed) == len(linux.opened)


async def test_when_down(linux: FakeLinux) -> None:
    """when_down is the endpoint's, of a tun, a tap and an adopted device."""
    linux.port.up = False
    host = SystemHost()
    for endpoint in [
        await host.open_tun(when_down="raise"),
        await host.open_tap(when_down="raise"),
        Tun.from_fd(77, when_down="raise"),
    ]:
        with pytest.raises(DeviceError, match="fake0: the interface is down"):
            endpoint.recv_nowait()


@pytest.mark.parametrize("options", [{"address": "10.8.0.2"}, {"mac": "02:00"}])
async def test_a_bad_option_opens_nothing(linux: FakeLinux, options: dict[str, Any]) -> None:
    """A value that cannot be is refused before the kernel is asked."""
    with pytest.raises(ValueError):
        await SystemHost().open_tap(**options)
    assert linux.opened == []


async def test_nothing_is_asked_before_it_is_awaited(linux: FakeLinux) -> None:
    """An opening that nobody awaits asks the kernel nothing."""
    SystemHost().open_tun()
    assert linux.opened == []


async def test_the_modules_functions(linux: FakeLinux) -> None:
    """aiotun.open_tun and aiotun.open_tap open on this machine."""
    await aiotun.open_tun()
    await aiotun.open_tap()
    assert [kind for kind, *_ in linux.opened] == ["tun", "tap"]


@pytest.mark.parametrize(("kind", "word"), [(Tun, "tun"), (Tap, "tap")])
async def test_adopting(linux: FakeLinux, kind: type[Tun | Tap], word: str) -> None:
    """from_fd() gives the descriptor to the kernel's room, with the kind it must be."""
    assert type(kind.from_fd(77)) is kind
    assert linux.adopted == [(77, word)]


async def test_closing_the_system(linux: FakeLinux) -> None:
    """The kernel stays when its host is closed."""
    host = SystemHost()
    await host.aclose()
    async with host:
        await host.open_tun()
    await host.open_tun()
    assert len(linux.opened) == 2


async def test_another_system(elsewhere: None) -> None:
    """Elsewhere opening is refused, naming the system and what to use there."""
    for opening in (aiotun.open_tun(), aiotun.open_tap()):
        with pytest.raises(DeviceError, match="supported on Linux, not on plan9; use aiotun.SoftHost"):
            await opening


def test_adopting_on_another_system(elsewhere: None) -> None:
    """Elsewhere adopting a descriptor is refused in the same words."""
    with pytest.raises(DeviceError, match="supported on Linux, not on plan9; use aiotun.SoftHost"):
        Tun.from_fd(77)
