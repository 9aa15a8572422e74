"""The private host: its start, its interfaces, its end."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from processes import children, watchers_ended

from aiotun import DeviceClosed, DeviceError, Tun
from aiotun.host.private import PrivateHost
from aiotun.linux import kept, opening, worker
from aiotun.linux.kept import KeptNamespace
from aiotun.linux.port import KernelPort

__all__ = ["watchers_ended"]

kernel = pytest.mark.kernel


async def inside(host: PrivateHost, *command: str) -> Any:
    """Return what ``ip`` says inside: the kernel's word, not ours."""
    return json.loads((await host.run(["ip", "-json", *command], check=True)).stdout)


@kernel
async def test_lo_is_up_and_alone() -> None:
    """A new network has lo, up, with the addresses of both families, and nothing else."""
    async with PrivateHost() as host:
        (lo,) = await inside(host, "address")
    assert (lo["ifname"], "UP" in lo["flags"]) == ("lo", True)
    assert [one["local"] for one in lo["addr_info"]] == ["127.0.0.1", "::1"]


@kernel
async def test_every_option_of_a_tun_arrives() -> None:
    """Addresses, mtu, queue length, up and link-local are what the kernel reports inside."""
    async with (
        PrivateHost() as host,
        host.open_tun(
            "set%d", address=["10.8.0.2/24", "fd00::2/64"], mtu=1400, queue_length=77, ipv6_linklocal=True
        ) as tun,
    ):
        (link,) = await inside(host, "address", "show", "dev", "set0")
    assert (tun.name, tun.mtu, link["mtu"], link["txqlen"]) == ("set0", 1400, 1400, 77)
    locals_ = [one["local"] for one in link["addr_info"]]
    assert locals_[:2] == ["10.8.0.2", "fd00::2"]
    assert [one[:5] for one in locals_[2:]] == ["fe80:"]
    assert "UP" in link["flags"]


@kernel
async def test_a_tun_is_as_on_the_machine() -> None:
    """Without options a tun is up, keeps 1000 packets, and has no address that nobody asked for."""
    async with PrivateHost() as host, host.open_tun():
        (link,) = await inside(host, "address", "show", "dev", "tun0")
    assert (link["mtu"], link["txqlen"], link["addr_info"]) == (1500, 1000, [])
    assert "UP" in link["flags"]


@kernel
async def test_every_option_of_a_tap_arrives() -> None:
    """A tap has its hardware address, mtu and queue length; ``up=False`` leaves it down."""
    async with (
        PrivateHost() as host,
        host.open_tap(
            "set%d",
            address="10.8.0.2/24",
            mac="02:00:00:00:00:2a",
            mtu=9000,
            queue_length=5,
            up=False,
            ipv6_linklocal=False,
        ) as tap,
    ):
        (link,) = await inside(host, "address", "show", "dev", "set0")
        assert (tap.kind, tap.name, tap.mtu) == ("tap", "set0", 9000)
    assert (link["address"], link["mtu"], link["txqlen"]) == ("02:00:00:00:00:2a", 9000, 5)
    assert [one["local"] for one in link["addr_info"]] == ["10.8.0.2"]
    assert "UP" not in link["flags"]


@kernel
async def test_when_down_arrives() -> None:
    """``when_down`` is the endpoint's."""
    async with PrivateHost() as host:
        for open in (host.open_tun, host.open_tap):
            async with open(up=False, when_down="raise") as endpoint:
                with pytest.raises(DeviceError, match="down"):
                    await endpoint.recv()


@kernel
async def test_the_machine_does_not_see_it() -> None:
    """An interface inside is none of the namespace the process is in, and its name is free there."""
    async with PrivateHost() as host, host.open_tun("hidden0"):
        with pytest.raises(OSError):
            socket.if_nametoindex("hidden0")


@kernel
async def test_several_hosts_are_apart() -> None:
    """Each host is a network of its own: the same name and address can be had in all of them."""
    async with PrivateHost() as one, PrivateHost() as other:
        async with one.open_tun("same0", address="10.1.0.1/24"), other.open_tun("same0", address="10.1.0.1/24"):
            assert len(await inside(one, "link")) == len(await inside(other, "link")) == 2


@kernel
async def test_a_refused_name_is_explained_from_inside() -> None:
    """What the kernel refuses is explained by what is inside, not by the machine's interfaces."""
    async with PrivateHost() as host, host.open_tun("kind0"):
        with pytest.raises(DeviceError, match="kind0: .*is a tun, not a tap"):
            await host.open_tap("kind0")


@kernel
async def test_addresses_can_be_added() -> None:
    """add_address() gives an interface one address or several, by name or by endpoint, once each."""
    async with PrivateHost() as host, host.open_tun() as tun:
        await host.add_address("lo", "10.1.0.1/32")
        await host.add_address(tun, ["10.2.0.1/24", "fd00::1/64"])
        await host.add_address(tun, "10.2.0.1/24")
        lo, link = await inside(host, "address")
    assert [one["local"] for one in lo["addr_info"]] == ["127.0.0.1", "10.1.0.1", "::1"]
    assert [one["local"] for one in link["addr_info"]] == ["10.2.0.1", "fd00::1"]


@kernel
async def test_routes_can_be_added_and_replaced() -> None:
    """add_route() leads a prefix to a router, an interface, or both; the same prefix again replaces it."""
    async with PrivateHost() as host, host.open_tun(address=["10.8.0.2/24", "fd00::2/64"]) as tun:
        await host.add_route("default", via="10.8.0.1")
        await host.add_route("10.9.0.0/16", interface="lo")
        await host.add_route("10.9.0.0/16", interface=tun)
        await host.add_route("::/0", via="fd00::1", interface=tun)
        routes = await inside(host, "route")
        routes6 = await inside(host, "-6", "route", "show", "default")
    found = {(one["dst"], one.get("gateway"), one["dev"]) for one in routes}
    assert found == {("default", "10.8.0.1", "tun0"), ("10.9.0.0/16", None, "tun0"), ("10.8.0.0/24", None, "tun0")}
    assert [(one["gateway"], one["dev"]) for one in routes6] == [("fd00::1", "tun0")]


@kernel
async def test_a_route_that_cannot_be_is_refused() -> None:
    """Neither router nor interface, no such interface, no way to the router: each is said, with the prefix."""
    async with PrivateHost() as host:
        with pytest.raises(ValueError, match="^private host: a route to 10.0.0.0/8 needs a router or an interface$"):
            await host.add_route("10.0.0.0/8")
        with pytest.raises(ValueError, match="has host bits set"):
            await host.add_route("10.0.0.1/8", interface="lo")
        with pytest.raises(DeviceError, match="^10.0.0.0/8: cannot set the route: Network is unreachable"):
            await host.add_route("10.0.0.0/8", via="192.0.2.1")
        with pytest.raises(OSError, match="none0: No such device"):
            await host.add_route("10.0.0.0/8", interface="none0")


@kernel
async def test_closing_closes_every_endpoint() -> None:
    """aclose() closes the endpoints, quietly for who iterates, and its processes are gone."""
    before = children()
    host = PrivateHost()
    await host.start()
    tun, tap = await host.open_tun(), await host.open_tap()
    assert (host.closed, len(children())) == (False, len(before) + 1)
    await host.aclose()
    assert (host.closed, tun.closed, tap.closed, children()) == (True, True, True, before)


@kernel
async def test_an_endpoint_that_is_forgotten_is_not_kept_alive() -> None:
    """The host does not keep its endpoints from being collected; nobody closing one is told."""
    async with PrivateHost() as host:
        tun = await host.open_tun()
        with pytest.warns(ResourceWarning, match="never closed"):
            del tun
            gc.collect()


@kernel
async def test_close_is_idempotent() -> None:
    """aclose() may be called again, by several tasks at once, and without a start."""
    async with PrivateHost() as host:
        await asyncio.gather(host.aclose(), host.aclose())
        await host.aclose()
    await PrivateHost().aclose()


@kernel
@pytest.mark.parametrize("ticks", range(1, 5))
async def test_a_cancelled_close_frees_everything(ticks: int) -> None:
    """Cancelled at any of its turns, aclose() ends the processes and endpoints first, and is cancelled."""
    before = children()
    host = PrivateHost()
    await host.start()
    endpoints = [await host.open_tun() for _ in range(2)]
    closing = asyncio.create_task(host.aclose())
    for _ in range(ticks):
        await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert ([one.closed for one in endpoints], children()) == ([True, True], before)


@kernel
@pytest.mark.parametrize("ticks", range(4))
async def test_a_cancelled_start_leaves_nothing(ticks: int) -> None:
    """Cancelled at any turn, start() leaves no process and no descriptor, and can be tried again."""
    before = children()
    host = PrivateHost()
    starting = asyncio.create_task(host.start())
    for _ in range(ticks):
        await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert children() == before
    async with host:
        assert len(children()) == len(before) + 1


@kernel
async def test_a_host_is_started_once() -> None:
    """A second start() is refused, and changes nothing."""
    async with PrivateHost() as host:
        with pytest.raises(RuntimeError, match="^private host: it was started before; make another one$"):
            await host.start()
        host.socket().close()


@kernel
async def test_closed_while_it_starts_it_is_closed() -> None:
    """aclose() during start() leaves nothing behind, and start() says so."""
    before = children()
    host = PrivateHost()
    starting = asyncio.create_task(host.start())
    await asyncio.sleep(0)
    await host.aclose()
    with pytest.raises(DeviceClosed, match="^private host: it is closed$"):
        await starting
    assert children() == before


@kernel
async def test_closed_while_a_tun_opens_the_tun_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint that opens while the host is closed is closed with it."""
    host = PrivateHost()
    await host.start()
    opened = []

    class Port(KernelPort):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            opened.append(self)
            host._closed = True  # as aclose() does, in this very moment

    monkeypatch.setattr(opening, "KernelPort", Port)
    with pytest.raises(DeviceClosed, match="^private host: it is closed$"):
        await host.open_tun()
    assert [port.fileno() for port in opened] == [-1]
    await host.aclose()


@kernel
async def test_a_host_is_closed_when_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a thread to close in, the network ends all the same."""

    async def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    before = children()
    async with PrivateHost():
        monkeypatch.setattr(worker, "in_thread", refuse)
    assert children() == before


@kernel
async def test_a_forgotten_host_warns() -> None:
    """A host that nobody closed ends its network when it is collected, and says so."""
    before = children()
    host = PrivateHost()
    await host.start()
    with pytest.warns(ResourceWarning, match="PrivateHost.*was never closed"):
        del host
        gc.collect()
    assert children() == before


async def test_before_its_start_it_is_not_there() -> None:
    """What is asked of a host that was not started is refused, with what to write."""
    host = PrivateHost()
    text = r"^private host: it was not started; write `async with aiotun.PrivateHost\(\) as host:`$"
    with pytest.raises(RuntimeError, match=text):
        host.socket()
    with pytest.raises(RuntimeError, match=text):
        await host.open_tun()
    with pytest.raises(RuntimeError, match=text):
        await host.add_address("lo", "10.0.0.1/32")
    with pytest.raises(RuntimeError, match=text):
        await host.run(["true"])
    del host  # and nothing warns


@kernel
async def test_after_close_everything_is_refused() -> None:
    """What is asked of a closed host raises DeviceClosed."""
    host = PrivateHost()
    async with host:
        pass
    with pytest.raises(DeviceClosed, match="^private host: it is closed$"):
        host.socket()
    with pytest.raises(DeviceClosed):
        await host.open_tap()
    with pytest.raises(DeviceClosed):
        await host.add_route("default", interface="lo")
    with pytest.raises(DeviceClosed):
        await host.spawn(["true"])
    with pytest.raises(RuntimeError, match="started before"):
        await host.start()


async def test_elsewhere_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no Linux kernel, the start says what to use."""
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(DeviceError, match="on Linux, not on darwin; use aiotun.SoftHost"):
        await PrivateHost().start()


async def test_a_refused_start_can_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start that failed raises why, and the host may be started later."""

    def refuse() -> KeptNamespace:
        raise PermissionError(1, "private host: cannot")

    monkeypatch.setattr(kept.KeptNamespace, "start", refuse)
    host = PrivateHost()
    for _ in range(2):
        with pytest.raises(PermissionError, match="private host: cannot"):
            await host.start()


@kernel
async def test_starting_does_not_block_the_loop() -> None:
    """Other tasks have turns while a network is made and while it ends."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count())
    await asyncio.sleep(0)
    turns = 0
    async with PrivateHost():
        started = turns
    counting.cancel()
    assert started > 10


@kernel
async def test_a_tun_of_it_can_be_adopted() -> None:
    """A descriptor detached from an endpoint inside works under Tun.from_fd() like any."""
    async with PrivateHost() as host:
        fd = (await host.open_tun("moved0", address="10.8.0.1/24")).detach_fd()
        async with Tun.from_fd(fd) as tun:
            with host.socket(type=socket.SOCK_DGRAM) as sock:
                sock.sendto(b"hello", ("10.8.0.2", 9))
            assert (await tun.recv()).endswith(b"hello")


def test_importing_it_imports_nothing_of_the_kernel() -> None:
    """A program pays for the namespaces' code when it starts one."""
    script = "import sys, aiotun.host.private; print('ctypes' in sys.modules, 'aiotun.linux' in sys.modules)"
    path = os.pathsep.join([str(Path(kept.__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path}
    told = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, env=environment)
    assert told.stdout == "False False\n"
