"""One more address, one more route: what the kernel then has."""

from __future__ import annotations

import errno
import json
import subprocess
from collections.abc import Iterator
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

import pytest

from aiotun import DeviceError
from aiotun.linux.changing import add_address, add_route
from aiotun.linux.origin import HERE

pytestmark = pytest.mark.kernel


@pytest.fixture
def link() -> Iterator[str]:
    """A link that is up, with one address."""
    subprocess.run(["ip", "link", "add", "change0", "type", "veth", "peer", "name", "change1"], check=True)
    subprocess.run(["ip", "link", "set", "change0", "up"], check=True)
    subprocess.run(["ip", "address", "add", "10.20.0.1/24", "dev", "change0"], check=True)
    yield "change0"
    subprocess.run(["ip", "link", "del", "change0"], check=True)


def told(*command: str) -> Any:
    """Return what ``ip`` says: the kernel's word, not ours."""
    return json.loads(subprocess.run(["ip", "-json", *command], check=True, capture_output=True).stdout)


def routes(prefix: str) -> list[tuple[str | None, str]]:
    """Return the routes to a prefix: router and link of each."""
    return [(one.get("gateway"), one["dev"]) for one in told("route", "show", prefix)]


def test_an_address_is_added_once(link: str) -> None:
    """An address is added beside the others; one that is there already is no error."""
    for _ in range(2):
        add_address(link, ip_interface("10.20.1.1/16"), HERE)
    (described,) = told("-4", "address", "show", "dev", link)
    found = [(one["local"], one["prefixlen"]) for one in described["addr_info"]]
    assert found == [("10.20.0.1", 24), ("10.20.1.1", 16)]


def test_a_route_by_a_router(link: str) -> None:
    """With a router alone, the kernel knows the link."""
    add_route(ip_network("10.30.0.0/16"), ip_address("10.20.0.254"), None, HERE)
    assert routes("10.30.0.0/16") == [("10.20.0.254", link)]


def test_a_route_out_of_a_link(link: str) -> None:
    """With a link alone, packets go out of it to whom they are for."""
    add_route(ip_network("10.31.0.0/16"), None, link, HERE)
    assert routes("10.31.0.0/16") == [(None, link)]


def test_a_route_is_replaced(link: str) -> None:
    """A route to the same prefix takes the earlier one's place."""
    add_route(ip_network("10.32.0.0/16"), None, link, HERE)
    add_route(ip_network("10.32.0.0/16"), ip_address("10.20.0.254"), link, HERE)
    assert routes("10.32.0.0/16") == [("10.20.0.254", link)]


def test_a_refused_route_is_said(link: str) -> None:
    """What the kernel refuses is raised with its errno and the prefix."""
    with pytest.raises(DeviceError, match="^10.33.0.0/16: cannot set the route: ") as caught:
        add_route(ip_network("10.33.0.0/16"), ip_address("192.0.2.1"), None, HERE)
    assert caught.value.errno == errno.ENETUNREACH


def test_a_link_that_is_not_there_is_said() -> None:
    """A route out of a link that does not exist is refused with its name."""
    with pytest.raises(OSError, match="none0: No such device") as caught:
        add_route(ip_network("10.34.0.0/16"), None, "none0", HERE)
    assert caught.value.errno == errno.ENODEV
