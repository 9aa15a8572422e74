"""The network side of a device: configuration, output, input, counting, telling."""

from __future__ import annotations

from ipaddress import ip_interface

import pytest

from aiotun.driver import Flags, Interface
from aiotun.endpoint import Event, EventKind
from aiotun.errors import DeviceDown, DeviceGone, PacketTooBig

from .fakes import Listener, Stack, stack_of

ADDRESS = ip_interface("10.0.0.1/24")


def interface(*, up: bool = True, **options: int) -> Interface:
    made = Interface("if0", Stack(), **options)
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
    made.flags |= Flags.OACTIVE
    made.set_up(False)
    assert made.flags == Flags.OACTIVE


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


def test_repr() -> None:
    """The repr has name, flags and mtu."""
    assert repr(interface(up=False)) == "<Interface if0 <Flags: 0> mtu 1500>"


# --- output ---------------------------------------------------------------------------------------


def test_output_queues() -> None:
    """output() queues packets in order and says how many."""
    made = interface()
    assert made.output(packets(3)) == 3
    assert made.snd.dequeue_many(5) == packets(3)


def test_output_starts_once_a_batch() -> None:
    """The driver is started once for a batch, after it was queued, and not for nothing."""
    queued: list[int] = []

    class Starting(Interface):
        def start(self) -> None:
            queued.append(len(self.snd))

    made = Starting("if0", Stack(), queue_length=2)
    made.set_up(True)
    made.output([])
    made.output(packets(3))
    made.output(packets(1))
    assert queued == [2]


def test_output_order() -> None:
    """A batch is checked for readiness, then for size, classified, queued, counted, and started."""
    steps: list[str] = []

    class Tracing(Interface):
        def ready(self) -> bool:
            steps.append("ready")
            return True

        def layer3_size(self, packet: bytes) -> int:
            steps.append("size")
            return 1500

        def classify(self, batch: object) -> list[bytes]:
            steps.append("classify")
            return packets(1)

        def queued(self, batch: object) -> None:
            steps.append("queued")

        def start(self) -> None:
            steps.append("start")

    Tracing("if0", Stack()).output([bytes(1501)])
    assert steps == ["ready", "size", "classify", "queued", "start"]


def test_output_of_a_down_interface() -> None:
    """output() of an interface that is down raises, and counts every packet as dropped."""
    made = interface(up=False)
    with pytest.raises(DeviceDown, match="if0: the interface is down"):
        made.output(packets(3))
    assert (made.counts.oerrors, made.counters().dropped, len(made.snd)) == (3, {"down": 3}, 0)


def test_output_over_the_mtu() -> None:
    """output() of a packet over the mtu raises with both numbers; nothing of its batch is queued or counted."""
    made = interface()
    with pytest.raises(PacketTooBig, match="if0: packet is 1501 bytes, mtu is 1500"):
        made.output([bytes(40), bytes(1501), bytes(1600)[:1500]])
    assert (len(made.snd), made.counters().dropped) == (0, {})


def test_output_of_the_mtu() -> None:
    """A packet of exactly the mtu is queued."""
    assert interface().output([bytes(1500)]) == 1


def test_output_into_a_full_queue() -> None:
    """What finds the send queue full is dropped, a collision each."""
    made = interface(queue_length=2)
    assert made.output(packets(5)) == 2
    assert (made.counts.collisions, made.counters().dropped) == (3, {"queue_full": 3})


def test_room() -> None:
    """room() says how many packets the send queue still takes."""
    made = interface(queue_length=5)
    made.output(packets(2))
    assert made.room() == 3


# --- input ----------------------------------------------------------------------------------------


def test_input_reaches_the_stack() -> None:
    """input() hands the batch to the stack, with the interface it came through."""
    made = interface()
    made.input(packets(2))
    assert (stack_of(made).entered, stack_of(made).interfaces) == (packets(2), {made})


def test_input_is_counted_before_the_stack_sees_it() -> None:
    """ipackets and ibytes count what entered, before the stack gets it."""
    counted: list[int] = []
    made = Interface("if0", lambda interface, batch: counted.append(interface.counts.ipackets))
    made.input([b"ab", b"c"])
    assert (counted, made.counters().ipackets, made.counters().ibytes) == ([2], 2, 3)


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
        lambda made: made.output([b"x"]),
        lambda made: made.check_alive(),
    ],
)
def test_after_the_end(operation: object) -> None:
    """What is done to a destroyed interface raises DeviceGone."""
    made = interface()
    made.destroy()
    assert callable(operation)
    with pytest.raises(DeviceGone, match="if0: the interface was deleted"):
        operation(made)
