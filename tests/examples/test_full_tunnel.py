"""The full tunnel: two namespaces, a client's packets for an address that only the server's side has, and no leaks."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from .program import ROOT, Program, free_of_complaints, namespaces, ping, run

pytestmark = pytest.mark.kernel

CLIENT, SERVER = f"vpn-client-{os.getpid()}", f"vpn-server-{os.getpid()}"
FARAWAY = "198.51.100.7"

COMMON = ("--local", "0.0.0.0:5555")
CLIENTS = ("client", "--address", "10.8.0.2/24", *COMMON, "--remote", "192.0.2.1:5555")
SERVERS = ("server", "--address", "10.8.0.1/24", *COMMON, "--remote", "192.0.2.2:5555")


@pytest.fixture(autouse=True)
def joined() -> Iterator[None]:
    """A client and a server on one link, the client's default route to the server; an address behind the server."""
    with namespaces(CLIENT, SERVER):
        run("ip", "link", "add", "wan0", "netns", SERVER, "type", "veth", "peer", "name", "wan0", "netns", CLIENT)
        for name, address in ((SERVER, "192.0.2.1/24"), (CLIENT, "192.0.2.2/24")):
            run("ip", "-n", name, "address", "add", address, "dev", "wan0")
            run("ip", "-n", name, "link", "set", "wan0", "up")
        run("ip", "-n", CLIENT, "route", "add", "default", "via", "192.0.2.1")
        run("ip", "-n", SERVER, "address", "add", f"{FARAWAY}/32", "dev", "lo")
        yield


def routing() -> tuple[str, ...]:
    """Return the client's rules of both IP versions, and its IPv4 routes."""
    commands = (("-4", "rule"), ("-6", "rule"), ("-4", "route", "show", "table", "all"))
    return tuple(run("ip", "-n", CLIENT, *command) for command in commands)


def sent_by(netns: str, link: str) -> int:
    """Return the packets that left by a link."""
    told = run("ip", "-n", netns, "-s", "-s", "link", "show", link)
    found = re.search(r"TX:.*\n +\d+ +(\d+)", told)
    assert found, told
    return int(found[1])


def test_a_client_reaches_the_world_by_the_tunnel() -> None:
    """What the client sends anywhere goes into the tun and comes back by it; afterwards its routing is as before."""
    before = routing()
    with Program("full_tunnel.py", *SERVERS, netns=SERVER) as server:
        with Program("full_tunnel.py", *CLIENTS, netns=CLIENT) as client:
            assert ping(CLIENT, FARAWAY, 20) == 20
            assert sent_by(CLIENT, "vpn0") == 20
    assert (free_of_complaints(client), free_of_complaints(server)) == ([], [])
    assert routing() == before


def test_nothing_leaks_when_the_tun_is_deleted() -> None:
    """With the tun deleted under the running program, a ping has nowhere to go until it ends."""
    with Program("full_tunnel.py", *CLIENTS, netns=CLIENT) as client:
        run("ip", "-n", CLIENT, "link", "del", "vpn0")
        command = ["ip", "netns", "exec", CLIENT, "ping", "-c", "1", "-W", "1", FARAWAY]
        assert subprocess.run(command, capture_output=True).returncode != 0
    assert client.lines == ["vpn0: the interface was deleted; nothing leaves the machine until Ctrl-C"]
    assert free_of_complaints(client) == []
    assert ping(CLIENT, "192.0.2.1", 1) == 1


def test_a_full_tunnel_takes_a_right() -> None:
    """Without CAP_NET_ADMIN the program ends with a sentence that names it."""
    command = [
        "ip",
        "netns",
        "exec",
        CLIENT,
        "setpriv",
        "--bounding-set",
        "-net_admin",
        sys.executable,
        "-m",
        "examples.full_tunnel",
    ]
    done = subprocess.run([*command, *CLIENTS], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "CAP_NET_ADMIN" in done.stderr
