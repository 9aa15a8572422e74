"""Wires between private networks."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import pytest
from processes import watchers_ended

from aiotun import DeviceClosed, DeviceError
from aiotun.host.private import PrivateHost
from aiotun.linux.rtnetlink import messages

__all__ = ["watchers_ended"]

pytestmark = pytest.mark.kernel

# Linux include/uapi/linux/rtnetlink.h
RTMGRP_LINK = 1
RTM_DELLINK = 17


async def link(host: PrivateHost, name: str) -> Any:
    """Return what ``ip`` says of a link inside."""
    (one,) = json.loads((await host.run(["ip", "-json", "address", "show", "dev", name], check=True)).stdout)
    return one


async def links(host: PrivateHost) -> list[str]:
    """Return the names of the links inside."""
    return [one["ifname"] for one in json.loads((await host.run(["ip", "-json", "link"])).stdout)]


def kinds(buffer: bytes) -> list[int]:
    """Return the types of the netlink messages in a buffer."""
    return [kind for kind, _, _ in messages(buffer)]


async def test_a_connection_goes_by_the_wire() -> None:
    """TCP from one host reaches a server in the other, between the addresses of the two ends."""

    async def tell(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(writer.get_extra_info("peername")[0].encode())
        writer.close()

    async with PrivateHost() as one, PrivateHost() as other:
        await one.join(other, "wire0", "wire1", address="10.8.0.1/24", other_address="10.8.0.2/24")
        async with await other.start_server(tell, "10.8.0.2", 80):
            reader, writer = await one.open_connection("10.8.0.2", 80)
            assert await reader.read() == b"10.8.0.1"
            writer.close()


async def test_ipv6_can_be_used_at_once() -> None:
    """When join() returns, the IPv6 addresses of both ends are no longer tentative."""
    async with PrivateHost() as one, PrivateHost() as other:
        await one.join(other, "wire0", "wire0", address="fd00::1/64", other_address="fd00::2/64")
        with await other.datagram(local_addr=("fd00::2", 9)), await one.datagram(local_addr=("fd00::1", 9)):
            pass  # a tentative address cannot be bound


async def test_the_ends_are_what_was_asked_for() -> None:
    """Both ends are up, with their names, addresses and the mtu."""
    async with PrivateHost() as one, PrivateHost() as other:
        await one.join(other, "here0", "there0", address=["10.1.0.1/24", "10.2.0.1/24"], mtu=9000)
        near, far = await link(one, "here0"), await link(other, "there0")
    found = [
        (end["mtu"], end["operstate"], [a["local"] for a in end["addr_info"] if a["family"] == "inet"])
        for end in (near, far)
    ]
    assert found == [(9000, "UP", ["10.1.0.1", "10.2.0.1"]), (9000, "UP", [])]


async def test_a_host_can_be_joined_to_itself() -> None:
    """Both ends may be in one network."""
    async with PrivateHost() as host:
        await host.join(host, "wire0", "wire1")
        assert sorted(await links(host)) == ["lo", "wire0", "wire1"]


@pytest.mark.parametrize(("near", "far"), [("wire0", "free0"), ("free0", "wire1")])
async def test_a_taken_name_is_refused(near: str, far: str) -> None:
    """A name that is taken at either end is refused, with both, and nothing is made."""
    async with PrivateHost() as one, PrivateHost() as other:
        await one.join(other, "wire0", "wire1")
        with pytest.raises(DeviceError, match=f"^{near}: cannot make a veth whose other end is {far}: File exists$"):
            await one.join(other, near, far)
        assert (await links(one), await links(other)) == (["lo", "wire0"], ["lo", "wire1"])


async def test_a_refused_setting_leaves_no_wire() -> None:
    """When an end cannot be what was asked for, neither end is there."""
    async with PrivateHost() as one, PrivateHost() as other:
        with pytest.raises(DeviceError, match="^wire0: cannot set mtu 70000: "):
            await one.join(other, "wire0", "wire1", mtu=70000)
        assert (await links(one), await links(other)) == (["lo"], ["lo"])


async def test_what_is_no_address_or_mtu_is_refused() -> None:
    """Addresses need a prefix length, and the mtu is above 0."""
    async with PrivateHost() as one, PrivateHost() as other:
        with pytest.raises(ValueError, match="has no prefix length"):
            await one.join(other, "wire0", "wire1", other_address="10.8.0.2")
        with pytest.raises(ValueError, match="^mtu is above 0"):
            await one.join(other, "wire0", "wire1", mtu=0)


@pytest.mark.parametrize("ticks", range(4))
async def test_a_cancelled_join_leaves_no_wire(ticks: int) -> None:
    """Cancelled at any of its turns, join() leaves neither end."""
    async with PrivateHost() as one, PrivateHost() as other:
        joining = asyncio.create_task(one.join(other, "wire0", "wire1", address="10.8.0.1/24"))
        for _ in range(ticks):
            await asyncio.sleep(0)
        joining.cancel()
        with pytest.raises(asyncio.CancelledError):
            await joining
        assert (await links(one), await links(other)) == (["lo"], ["lo"])


async def test_the_wire_ends_with_either_host() -> None:
    """When one host is closed, its end and the other's are gone."""
    async with PrivateHost() as one:
        with one.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as told:
            async with PrivateHost() as other:
                await one.join(other, "wire0", "wire1")
                told.bind((0, RTMGRP_LINK))
            while RTM_DELLINK not in kinds(await asyncio.get_running_loop().sock_recv(told, 65536)):
                pass
        assert await links(one) == ["lo"]


async def test_a_closed_host_is_joined_to_nothing() -> None:
    """Neither a closed host nor an open one to a closed one can be joined."""
    async with PrivateHost() as one:
        async with PrivateHost() as closed:
            pass
        for near, far in ((one, closed), (closed, one)):
            with pytest.raises(DeviceClosed, match="^private host: it is closed$"):
                await near.join(far, "wire0", "wire1")


async def test_its_process_leads_other_programs_inside() -> None:
    """With ``pid`` a program from outside enters the network, as nsenter does."""
    async with PrivateHost() as host:
        await host.join(host, "wire0", "wire1")
        command = ["nsenter", "--preserve-credentials", "-U", "-n", "-t", str(host.pid), "ip", "-br", "link"]
        entered = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        told, _ = await entered.communicate()
        assert [line.split()[0].partition("@")[0] for line in told.decode().splitlines()] == ["lo", "wire1", "wire0"]
    with pytest.raises(DeviceClosed):
        host.pid  # noqa: B018
