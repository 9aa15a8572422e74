"""The network side of a device: configuration, the paths, the send queue, counting, telling."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from ipaddress import ip_interface

import pytest

from aiotun.driver import Flags, Interface
from aiotun.driver.interface import IF_MINMTU, IFQ_MAXLEN
from aiotun.endpoint import AddressChange, Event, EventKind
from aiotun.errors import DeviceDown, DeviceError, DeviceGone, PacketTooBig
from aiotun.pipeline import Batch
from aiotun.queueing import Discipline, Fifo, Priority, TokenBucket

from .fakes import Listener, Stack

ADDRESS = ip_interface("10.0.0.1/24")


class Plain(Interface):
    """A driver with one stage in each path."""

    header = 2
    output_stages = (("enqueue", "_enqueue"),)
    start_stages = (("nobody", "_nobody"),)
    input_stages = (("stack", "_input"),)

    def _enqueue(self, batch: Batch) -> Batch:
        return self.snd.enqueue_many(batch, 0.0)

    def _nobody(self, batch: Batch) -> Batch:
        return ()

    def _input(self, batch: Batch) -> Batch:
        self._stack(self, list(batch))
        return batch[:1]


def interface(*, up: bool = True, mtu: int = 1500, queue_length: int = 50) -> Plain:
    made = Plain("if0", Stack(), mtu=mtu, queue_length=queue_length)
    if up:
        made.set_up(True)
    return made


def packets(count: int) -> list[bytes]:
    return [bytes([number]) for number in range(count)]


# --- configuration --------------------------------------------------------------------------------


def test_a_new_interface_is_down() -> None:
    """An interface begins down, with the mtu and queue length of the drivers."""
    made = Interface("if0", Stack())
    assert (made.up, made.flags, made.mtu, made.snd.max_packets) == (False, Flags(0), 1500, 50)


def test_up_is_running() -> None:
    """Bringing an interface up sets UP and RUNNING, and nothing else."""
    assert interface().flags == Flags.UP | Flags.RUNNING


def test_down_is_not_running() -> None:
    """Bringing an interface down clears UP and RUNNING and leaves the other flags."""
    made = interface()
    made._flags |= int(Flags.OACTIVE)
    made.set_up(False)
    assert made.flags == Flags.OACTIVE


def test_lastchange(monkeypatch: pytest.MonkeyPatch) -> None:
    """lastchange is when the interface went up or down last, None before; what is so already changes nothing."""
    made = interface(up=False)
    times = iter([1.5, 2.5])
    monkeypatch.setattr(time, "time", lambda: next(times))
    stamps = [made.lastchange]
    for up in (False, True, True, False, False):
        made.set_up(up)
        stamps.append(made.lastchange)
    assert stamps == [None, None, 1.5, 1.5, 2.5, 2.5]


def test_up_is_known_before_it_is_told() -> None:
    """The driver reacts to up and down after the flags changed, and before listeners hear of it."""
    seen: list[tuple[str, bool]] = []

    class Reacting(Interface):
        def link_changed(self) -> None:
            seen.append(("driver", self.up))

    made = Reacting("if0", Stack())
    made.listen(lambda event: seen.append(("listener", made.up)))
    made.set_up(True)
    made.set_up(False)
    assert seen == [("driver", True), ("listener", True), ("driver", False), ("listener", False)]


def test_up_and_down_are_told() -> None:
    """Listeners hear of up and down, and not of what was so already."""
    made, listener = interface(up=False), Listener()
    made.listen(listener)
    for up in (False, True, True, False):
        made.set_up(up)
    assert listener.told == [Event(EventKind.UP), Event(EventKind.DOWN)]


def test_mtu_is_set_and_told() -> None:
    """set_mtu() sets the mtu and tells it with its value, and not if it is so already."""
    made, listener = interface(), Listener()
    made.listen(listener)
    made.set_mtu(1400)
    made.set_mtu(1400)
    assert (made.mtu, listener.told) == (1400, [Event(EventKind.MTU, 1400)])


def test_the_least_mtu() -> None:
    """An mtu of 72 is accepted, at making and later."""
    assert interface(mtu=72).mtu == 72
    made = interface()
    made.set_mtu(72)
    assert made.mtu == 72


@pytest.mark.parametrize("mtu", [71, 0, -1])
def test_an_mtu_below_the_least(mtu: int) -> None:
    """An mtu below 72 is refused with both numbers, and the old one stays."""
    made = interface()
    with pytest.raises(ValueError, match=f"if0: mtu {mtu} is below 72"):
        made.set_mtu(mtu)
    assert made.mtu == 1500


@pytest.mark.parametrize("mtu", [71, 0, -1])
def test_an_interface_below_the_least_mtu(mtu: int) -> None:
    """An interface with an mtu below 72 is not made."""
    with pytest.raises(ValueError, match=f"if0: mtu {mtu} is below 72"):
        interface(mtu=mtu)


def test_addresses() -> None:
    """Addresses are kept in order, each once."""
    made = interface()
    other = ip_interface("fd00::1/64")
    for address in (ADDRESS, other, ADDRESS):
        made.add_address(address)
    assert made.addresses == [ADDRESS, other]


def test_addresses_are_told() -> None:
    """An address that comes or goes is told with its prefix length; one that is there already is not."""
    made, listener = interface(), Listener()
    made.listen(listener)
    made.add_address(ADDRESS)
    made.add_address(ADDRESS)
    made.remove_address(ADDRESS)
    changes = [AddressChange(ADDRESS, "usable"), AddressChange(ADDRESS, "removed")]
    assert listener.told == [Event(EventKind.ADDRESS, change) for change in changes]


def test_an_address_that_is_not_there() -> None:
    """Taking away an address that the interface does not have is EADDRNOTAVAIL; the others stay."""
    made = interface()
    made.add_address(ADDRESS)
    with pytest.raises(DeviceError, match="if0: the address 10.0.0.2/24 is not its own") as caught:
        made.remove_address(ip_interface("10.0.0.2/24"))
    assert (caught.value.errno, made.addresses) == (errno.EADDRNOTAVAIL, [ADDRESS])


def test_purging_addresses() -> None:
    """purge_addresses() takes every address away, and tells each."""
    made, listener = interface(), Listener()
    made.add_address(ADDRESS)
    made.add_address(ip_interface("fd00::1/64"))
    made.listen(listener)
    made.purge_addresses()
    changes = [AddressChange(address, "removed") for address in (ADDRESS, ip_interface("fd00::1/64"))]
    assert (made.addresses, [event.value for event in listener.told]) == ([], changes)


def test_the_drivers_constants() -> None:
    """The least mtu is 72 bytes, and a send queue has 50 places."""
    assert (IF_MINMTU, IFQ_MAXLEN) == (72, 50)


def test_repr() -> None:
    """The repr has name, flags and mtu."""
    assert repr(interface(up=False)) == "<Plain if0 <Flags: 0> mtu 1500>"


# --- the paths ------------------------------------------------------------------------------------


def test_the_paths_have_the_drivers_stages() -> None:
    """Each path has the stages that the driver says, and the interface's name in its own."""
    made = interface()
    paths = [made.output, made.start, made.input]
    assert [(path.name, list(path)) for path in paths] == [
        ("if0 output", ["enqueue"]),
        ("if0 start", ["nobody"]),
        ("if0 input", ["stack"]),
    ]


def test_the_ends_of_the_paths() -> None:
    """Output goes from the stack to the queue, start from there to the reader, input back to the stack."""
    made = interface()
    assert [path.ends for path in (made.output, made.start, made.input)] == [
        ("stack", "snd"),
        ("snd", "reader"),
        ("application", "stack"),
    ]


def test_a_path_is_one() -> None:
    """A path is made once: what is put into it stays in it."""
    made = interface()
    made.output.append(lambda batch: batch[:1], name="first")
    assert made.output(packets(3)) == packets(1)


def test_a_plain_interface_has_no_stages() -> None:
    """Without a driver the paths are empty."""
    made = Interface("if0", Stack())
    assert [len(path) for path in (made.output, made.start, made.input)] == [0, 0, 0]


def test_drops_in_a_path_are_the_interfaces() -> None:
    """What a stage of output or input drops counts at the interface; start's batch stays queued, and does not."""
    made = interface(queue_length=2)
    made.output(packets(5))
    made.start(packets(1))
    made.input(packets(3))
    assert made.counters().dropped == {"enqueue": 3, "queue_full": 3, "stack": 2}


# --- ready, and the size --------------------------------------------------------------------------


def test_ready() -> None:
    """An interface is ready while it runs; otherwise checking raises DeviceDown."""
    made = interface()
    made.check_ready()
    made.set_up(False)
    assert not made.is_ready()
    with pytest.raises(DeviceDown, match="if0: the interface is down"):
        made.check_ready()


def test_ready_after_the_end() -> None:
    """A destroyed interface is gone, which is more than down."""
    made = interface()
    made.destroy()
    with pytest.raises(DeviceGone):
        made.check_ready()


def test_the_mtu_bounds_what_is_behind_the_header() -> None:
    """The size that the mtu bounds leaves the header out."""
    made = interface(mtu=100)
    assert made.layer3_size(bytes(102)) == 100
    assert (made.oversize([bytes(10), bytes(102)]), made.oversize([])) == (None, None)


def test_oversize_names_the_first() -> None:
    """The error has the size of the first packet that is too long, and the mtu."""
    error = interface(mtu=100).oversize([bytes(102), bytes(103), bytes(200)])
    assert isinstance(error, PacketTooBig) and str(error) == "if0: packet is 101 bytes, mtu is 100"


def test_oversize_leaves_the_last_word_to_the_driver() -> None:
    """A longer packet whose header the driver knows to be longer is not too long."""

    class Tagged(Plain):
        def layer3_size(self, packet: bytes) -> int:
            return len(packet) - 6

    made = Tagged("if0", Stack(), mtu=100)
    assert (made.oversize([bytes(106)]), made.oversize([bytes(107)]) is None) == (None, False)


# --- the send queue -------------------------------------------------------------------------------


def test_room() -> None:
    """room() says how many packets the send queue still takes."""
    made = interface(queue_length=5)
    made.output(packets(2))
    assert made.room() == 3


def test_a_discipline_of_ones_own() -> None:
    """The send queue is the discipline that was given, and knows how long the link header is."""
    snd = TokenBucket(8000, 100)
    made = Plain("if0", Stack(), snd=snd)
    assert (made.snd is snd, snd.offset, interface().snd.offset) == (True, 2, 2)


def test_another_discipline() -> None:
    """A new send queue drops what the old one held, as requeued; drops of the old one stay counted."""
    made = interface(queue_length=2)
    made.output(packets(3))
    new = Fifo(7)
    made.snd = new
    assert (made.snd is new, new.offset, len(new)) == (True, 2, 0)
    made.output(packets(8))
    assert made.counters().dropped == {"enqueue": 2, "queue_full": 2, "requeued": 2}


def test_the_same_discipline() -> None:
    """Setting the send queue that is there already changes nothing: what waits goes on waiting."""
    made = interface(queue_length=2)
    made.output(packets(3))
    made.snd = made.snd
    assert (made.snd.dequeue_many(64, 0.0), made.counters().dropped) == (packets(2), {"enqueue": 1, "queue_full": 1})


def test_a_discipline_of_another() -> None:
    """A send queue that another interface uses is refused, by setting and by making, and nothing is dropped."""
    first, second = interface(), interface()
    first.name, second.name = "if1", "if2"
    first.output(packets(2))
    second.output(packets(1))
    for refused in (first.snd, TokenBucket(8000, 100, first.snd), Priority([Fifo(), first.snd], len)):
        with pytest.raises(ValueError, match="^if2: the queue belongs to if1$"):
            second.snd = refused
    with pytest.raises(ValueError, match="^if3: the queue belongs to if1$"):
        Plain("if3", Stack(), snd=first.snd)
    assert (len(first.snd), len(second.snd), second.counters().dropped) == (2, 1, {})
    assert (first.snd.owner, second.snd.owner) == (first, second)


@pytest.mark.parametrize("wrap", [lambda queue: queue, lambda queue: TokenBucket(8000, 100, queue),
                                  lambda queue: Priority([queue, Fifo()], len)])  # fmt: skip
def test_a_part_of_a_discipline_of_another(wrap: Callable[[Fifo], Discipline]) -> None:
    """What a discipline holds belongs to the interface as well, until that has another send queue."""
    part = Fifo()
    first, second = interface(), interface()
    first.snd = wrap(part)
    with pytest.raises(ValueError, match="^if0: the queue belongs to if0$"):
        second.snd = part
    first.snd = Fifo()
    second.snd = part
    assert part.owner is second


def test_a_discipline_around_ones_own() -> None:
    """An interface may put a regulator around the send queue that it has."""
    made = interface(queue_length=2)
    made.output(packets(3))
    made.snd = TokenBucket(8000, 100, made.snd)
    made.output(packets(3))
    assert (len(made.snd), made.counters().dropped) == (2, {"enqueue": 2, "queue_full": 2, "requeued": 2})
    assert made.snd.offset == 2


def test_a_discipline_of_a_destroyed_interface() -> None:
    """A destroyed interface leaves its send queue to another, and keeps its own counters."""
    first, second = interface(), interface()
    first.snd = queue = Fifo(2)
    first.output(packets(3))
    first.destroy()
    second.snd = queue
    second.output(packets(4))
    assert (first.purge("closed"), len(queue)) == ([], 2)
    assert first.counters().dropped == {"enqueue": 1, "queue_full": 1, "gone": 2}
    assert second.counters().dropped == {"enqueue": 2, "queue_full": 2}


def test_a_destroyed_interface_keeps_no_discipline() -> None:
    """A send queue that is given to a destroyed interface stays free for another."""
    made, queue = interface(), Fifo()
    made.destroy()
    made.snd = queue
    assert queue.owner is None


def test_drops_of_another_time() -> None:
    """What a queue dropped before it was this interface's is not this interface's, now or later."""
    queue = Fifo(1)
    queue.enqueue_many(packets(6))
    queue.purge("closed")
    made = interface()
    made.snd = queue
    counted = [made.counters().dropped]
    made.output(packets(3))
    counted.append(made.counters().dropped)
    made.snd = Fifo()
    counted.append(made.counters().dropped)
    assert counted == [
        {},
        {"enqueue": 2, "queue_full": 2},
        {"enqueue": 2, "queue_full": 2, "requeued": 1},
    ]


def test_the_flags_are_told() -> None:
    """flags has the interface flags as they are."""
    made = interface()
    made._flags |= int(Flags.OACTIVE)
    assert made.flags == Flags.UP | Flags.RUNNING | Flags.OACTIVE


# --- dropping and counting ------------------------------------------------------------------------


def test_purge() -> None:
    """purge() drops what is queued under its reason and returns it."""
    made = interface()
    made.output(packets(2))
    assert made.purge("closed") == packets(2)
    assert made.counters().dropped == {"closed": 2}


def test_dropping_nothing() -> None:
    """Dropping no packet makes no counter."""
    made = interface()
    made.drop("down", 0)
    assert made.counters().dropped == {}


def test_counters() -> None:
    """The counters have what was counted, each in its place."""
    made = interface()
    counts = made.counts
    counts.ipackets, counts.ibytes, counts.opackets, counts.obytes = 1, 2, 3, 4
    counters = made.counters()
    assert (counters.ipackets, counters.ibytes, counters.opackets, counters.obytes) == (1, 2, 3, 4)


def test_drops_add_up() -> None:
    """Drops under one reason add up."""
    made = interface()
    made.drop("down", 1)
    made.drop("down", 2)
    assert made.counters().dropped == {"down": 3}


def test_counters_are_a_snapshot() -> None:
    """A value of counters stays as it was."""
    made = interface()
    made.drop("down", 1)
    before = made.counters()
    made.drop("down", 1)
    assert before.dropped == {"down": 1}


# --- telling --------------------------------------------------------------------------------------


def test_everybody_is_told() -> None:
    """Each listener hears each event."""
    made, listeners = interface(up=False), [Listener(), Listener()]
    for listener in listeners:
        made.listen(listener)
    made.set_up(True)
    assert [listener.told for listener in listeners] == [[Event(EventKind.UP)]] * 2


def test_unlisten() -> None:
    """After unlisten() a listener hears nothing; asking twice is nothing to undo."""
    made, listener = interface(up=False), Listener()
    made.listen(listener)
    made.unlisten(listener)
    made.unlisten(listener)
    made.set_up(True)
    assert listener.told == []


def test_a_listener_may_leave_while_it_is_told() -> None:
    """A listener that leaves during an event keeps no other from hearing it."""
    made, listener = interface(up=False), Listener()

    def leave(event: Event) -> None:
        made.unlisten(leave)

    made.listen(leave)
    made.listen(listener)
    made.set_up(True)
    assert listener.told == [Event(EventKind.UP)]


# --- the end --------------------------------------------------------------------------------------


def test_destroying_is_told() -> None:
    """Destroying an interface that is up is down, then gone."""
    made, listener = interface(), Listener()
    made.listen(listener)
    made.destroy()
    assert listener.told == [Event(EventKind.DOWN), Event(EventKind.GONE)]


def test_destroying_a_down_interface_is_told() -> None:
    """Destroying an interface that is down is gone alone."""
    made, listener = interface(up=False), Listener()
    made.listen(listener)
    made.destroy()
    assert listener.told == [Event(EventKind.GONE)]


def test_listening_after_the_end() -> None:
    """Whoever listens to a destroyed interface is told so at once."""
    made, listener = interface(), Listener()
    made.destroy()
    made.listen(listener)
    assert listener.told == [Event(EventKind.GONE)]


def test_destroying_purges() -> None:
    """Destroying drops what is queued as gone, and takes the addresses."""
    made = interface()
    made.add_address(ADDRESS)
    made.output(packets(2))
    assert made.going is False
    made.destroy()
    assert (len(made.snd), made.counters().dropped, made.addresses) == (0, {"gone": 2}, [])


def test_destroying_twice() -> None:
    """Destroying again does nothing."""
    made, listener = interface(), Listener()
    made.listen(listener)
    made.destroy()
    told = list(listener.told)
    made.destroy()
    assert listener.told == told


def test_going_is_first() -> None:
    """When the first listener hears of the destruction, the interface is going and not up."""
    made = interface()
    seen: list[tuple[bool, bool]] = []
    made.listen(lambda event: seen.append((made.going, made.up)))
    made.destroy()
    assert seen == [(True, False)] * 2


@pytest.mark.parametrize(
    "operation",
    [
        lambda made: made.set_up(True),
        lambda made: made.set_mtu(1400),
        lambda made: made.add_address(ADDRESS),
        lambda made: made.remove_address(ADDRESS),
        lambda made: made.check_alive(),
    ],
)
def test_after_the_end(operation: Callable[[Interface], None]) -> None:
    """What is done to a destroyed interface raises DeviceGone, with ENXIO."""
    made = interface()
    made.destroy()
    with pytest.raises(DeviceGone, match="if0: the interface was deleted") as caught:
        operation(made)
    assert caught.value.errno == errno.ENXIO


def test_nobody_listens_after_the_end() -> None:
    """A destroyed interface has let its listeners go."""
    made, listener = interface(), Listener()
    made.listen(listener)
    made.destroy()
    made.tell(Event(EventKind.UP))
    assert listener.told == [Event(EventKind.DOWN), Event(EventKind.GONE)]


def test_the_driver_reacts_to_the_end() -> None:
    """The driver is told of the end after the queue was purged, and before listeners are."""
    seen: list[tuple[int, list[Event]]] = []
    listener = Listener()

    class Reacting(Plain):
        def link_changed(self) -> None:
            seen.append((len(self.snd), list(listener.told)))

    made = Reacting("if0", Stack())
    made.output(packets(1))
    made.listen(listener)
    made.destroy()
    assert seen == [(0, [])]
