"""
What does a full queue cost those who share it?

On a simulated clock, a bulk transfer and a ping-like flow share a link of 10 Mbit/s, behind each queueing discipline in
turn, of 1000 packets (the kernel's usual txqueuelen). The bulk sender is TCP-like: it doubles and then adds to its
window, and halves it when a packet is lost. Delay is a ping's time in the queue and that of its bits at the link's
rate, of every ping sent while the bulk transfer ran.

Every run gives the same figures. ``--plot FILE.svg`` draws them, and needs matplotlib.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import statistics
from collections.abc import Callable
from pathlib import Path

from aiotun.packet import UDP, IPv4, Protocol
from aiotun.queueing import CoDel, Discipline, Fifo, FQCoDel, TokenBucket

RATE = 10_000_000
MTU = 1500
ROUND_TRIP = 0.020
"""Seconds from the link to the receiver and back to the sender, without any queue."""
PING_INTERVAL = 0.010
PING_BYTES = 100
START, STOP, END = 5.0, 25.0, 30.0
"""When the bulk transfer starts and stops, and when the pings stop, in seconds."""

DISCIPLINES: dict[str, Callable[[], Discipline]] = {
    "Fifo": lambda: Fifo(1000),
    "CoDel": lambda: CoDel(1000, mtu=MTU),
    "FQCoDel": lambda: FQCoDel(1000, quantum=MTU, mtu=MTU, seed=1),
}

NUMBER = slice(28, 36)
"""Where a packet carries its number, right behind its headers."""


class Link:
    """The link behind its queue, and the clock: one timer, set from ready_at()."""

    def __init__(self, queue: Discipline) -> None:
        self.queue = TokenBucket(RATE, MTU, queue)
        self.now = 0.0
        self.left: Callable[[bytes], None] = lambda packet: None
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._timer: float | None = None

    def at(self, time: float, act: Callable[[], None]) -> None:
        """Call *act* at a time; what is due at the same time happens in the order of these calls."""
        heapq.heappush(self._events, (time, next(self._order), act))

    def run(self) -> None:
        while self._events:
            self.now, _, act = heapq.heappop(self._events)
            act()

    def send(self, packet: bytes) -> None:
        self.queue.enqueue_many([packet], self.now)
        self._set_timer()

    def _set_timer(self) -> None:
        ready = self.queue.ready_at(self.now)
        if ready is not None and (self._timer is None or ready < self._timer):
            self._timer = ready
            self.at(ready, self._leave)

    def _leave(self) -> None:
        self._timer = None
        for packet in self.queue.dequeue_many(64, self.now):
            self.left(packet)
        self._set_timer()


class Flow:
    """Numbered packets of one flow."""

    def __init__(self, link: Link, port: int, size: int) -> None:
        self.link = link
        self.sent = 0
        datagram = UDP(port, 9, bytes(size - 28)).build("10.0.0.1", "10.0.0.2")
        self._packet = IPv4("10.0.0.1", "10.0.0.2", Protocol.UDP, datagram).build()

    def send_one(self) -> None:
        packet = self._packet[: NUMBER.start] + self.sent.to_bytes(8, "big") + self._packet[NUMBER.stop :]
        self.sent += 1
        self.link.send(packet)


class Ping(Flow):
    """One small packet every interval; the delay of each that arrived, with the time it was sent."""

    def __init__(self, link: Link) -> None:
        super().__init__(link, 1, PING_BYTES)
        self.delays: list[tuple[float, float]] = []
        for number in range(round(END / PING_INTERVAL)):
            # Three tenths of an interval late, so that no ping falls on the start of the bulk transfer.
            link.at((number + 0.3) * PING_INTERVAL, self.send_one)

    def arrived(self, number: int) -> None:
        sent = (number + 0.3) * PING_INTERVAL
        self.delays.append((sent, self.link.now - sent + PING_BYTES * 8 / RATE))

    def busy(self) -> list[float]:
        """The delays while the bulk transfer ran, sorted."""
        return sorted(delay for sent, delay in self.delays if START <= sent < STOP)


class Bulk(Flow):
    """As many packets in flight as a window allows, which grows and shrinks as TCP Reno's does (RFC 5681)."""

    def __init__(self, link: Link) -> None:
        super().__init__(link, 2, MTU)
        self.delivered = 0
        self._window = 10.0
        self._threshold = float("inf")
        self._next_expected = 0
        self._recovered_at = 0
        link.at(START, self._fill)

    def arrived(self, number: int) -> None:
        if self.link.now < STOP:
            self.delivered += 1
        self.link.at(self.link.now + ROUND_TRIP, lambda: self._acknowledged(number))

    def _acknowledged(self, number: int) -> None:
        # Packets of a flow arrive in order, so a gap is a loss; one in a round trip halves the window.
        if number > self._next_expected and number >= self._recovered_at:
            self._threshold = self._window = max(self._window / 2, 2.0)
            self._recovered_at = self.sent
        else:
            self._window += 1 if self._window < self._threshold else 1 / self._window
        self._next_expected = number + 1
        self._fill()

    def _fill(self) -> None:
        while self.link.now < STOP and self.sent - self._next_expected < int(self._window):
            self.send_one()


def simulate(queue: Discipline) -> tuple[Ping, Bulk]:
    """Run both flows through *queue* to the end."""
    link = Link(queue)
    ping, bulk = Ping(link), Bulk(link)
    flows: dict[int, Ping | Bulk] = {1: ping, 2: bulk}

    def left(packet: bytes) -> None:
        flows[int.from_bytes(packet[20:22], "big")].arrived(int.from_bytes(packet[NUMBER], "big"))

    link.left = left
    link.run()
    return ping, bulk


def show(name: str, queue: Discipline, ping: Ping, bulk: Bulk) -> None:
    busy = ping.busy()
    cuts = statistics.quantiles(busy, n=100, method="inclusive")
    figures = [cuts[49], cuts[98], busy[-1]]
    rate = bulk.delivered * MTU * 8 / (STOP - START) / 1e6
    drops = ", ".join(f"{count} {reason}" for reason, count in queue.statistics().dropped.items()) or "none"
    print(f"{name:10}" + "".join(f"{delay * 1e3:10.1f}" for delay in figures) + f"{rate:10.2f}    {drops}")


def plot(file: Path, pings: dict[str, Ping]) -> None:
    """Draw the longest delay of each tenth of a second, on a logarithmic scale."""
    import matplotlib

    matplotlib.use("svg")
    # Text stays text and identifiers repeat: the file is small, and the same on every run.
    matplotlib.rcParams.update(
        {"svg.hashsalt": "aiotun", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 11}
    )
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.2), layout="constrained")
    axes.axvspan(START, STOP, color="0.95", linewidth=0)
    axes.text((START + STOP) / 2, 2600, "bulk transfer running", ha="center", va="top", color="0.4")
    for (name, ping), color in zip(pings.items(), ("#b3372f", "#c98a1b", "#2a6f97"), strict=True):
        longest: dict[int, float] = {}
        for sent, delay in ping.delays:
            tenth = int(sent * 10)
            longest[tenth] = max(longest.get(tenth, 0.0), delay * 1e3)
        axes.plot([tenth / 10 for tenth in longest], longest.values(), color=color, linewidth=1.4, label=name)
    axes.set_yscale("log")
    axes.set_ylim(0.05, 3500)
    axes.set_xlim(0, END)
    axes.set_yticks([0.1, 1, 10, 100, 1000], ["0.1 ms", "1 ms", "10 ms", "100 ms", "1 s"])
    axes.minorticks_off()
    axes.grid(axis="y", color="0.88", linewidth=0.8)
    axes.set_xlabel("seconds")
    axes.set_title("Delay of a ping that shares 10 Mbit/s with a bulk transfer", loc="left", fontsize=12)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, metadata={"Date": None, "Creator": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="draw the delays; needs matplotlib")
    given = parser.parse_args()
    print(f"{'':10}{'ping p50':>10}{'p99':>10}{'max':>10}{'bulk':>10}    dropped")
    print(f"{'':10}{'ms':>10}{'ms':>10}{'ms':>10}{'Mbit/s':>10}")
    pings = {}
    for name, make in DISCIPLINES.items():
        queue = make()
        ping, bulk = simulate(queue)
        show(name, queue, ping, bulk)
        pings[name] = ping
    if given.plot is not None:
        plot(given.plot, pings)


if __name__ == "__main__":
    main()
