"""The twins in C beside the forms in Python: the same for all arguments, and what only C could get wrong."""

from __future__ import annotations

import gc
import random
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twins import forms, only_c

from aiotun import offload, speedups
from aiotun.packet import SuperPacket

from . import packets as p
from .differences import NAMES, difference, outcome, random_call, super_packets, trains
from .quick_trains import check_train, random_train

Form = Callable[..., Any]

many = settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
seeds = given(st.integers(0, 1 << 48))
both = pytest.mark.parametrize(
    ("name", "form"),
    [pytest.param(name, *one.values, id=f"{name}-{one.id}") for name in NAMES for one in forms(getattr(offload, name))],
)


@only_c
@many
@seeds
def test_the_forms_agree(seed: int) -> None:
    """Both forms give the same packets and fields, or the same exception, whatever they are given."""
    call = random_call(random.Random(seed))
    assert difference(call) is None, call


@many
@seeds
def test_a_train_is_one_super_packet(seed: int) -> None:
    """Packets that follow each other become one super-packet, which is cut into the same packets."""
    check_train(*random_train(random.Random(seed)))


@only_c
def test_python_is_asked_for_refusals_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is good is cut, completed and merged without the form in Python."""
    for name in NAMES:
        monkeypatch.setitem(speedups.pure, name, None)
    for ethernet, packet in super_packets():
        assert offload.segment(packet, ethernet) and offload.complete(packet)
    for ethernet, train in trains():
        assert offload.coalesce(train, ethernet)
    with pytest.raises(TypeError, match="NoneType"):
        offload.segment(SuperPacket(b"", 1, 1))


@both
@pytest.mark.parametrize(
    ("args", "named", "text"),
    [
        ((), {}, "missing 1 required positional argument"),
        ((), {"batches": []}, "got an unexpected keyword argument 'batches'"),
        ((b"",) * 7, {}, "positional arguments? but 7 were given"),
        ((b"",), {"packet": b"", "batch": b""}, "(multiple values for|unexpected keyword) argument"),
    ],
)
def test_wrong_arguments(name: str, form: Form, args: tuple[Any, ...], named: dict[str, Any], text: str) -> None:
    """Arguments that do not fit are a TypeError in the words of Python."""
    with pytest.raises(TypeError, match=rf"^{name}\(\) .*{text}"):
        form(*args, **named)


@both
def test_arguments_by_name(name: str, form: Form) -> None:
    """Every argument may be given by its name."""
    if name == "coalesce":
        batch = p.stream(4, [10, 10, 10])
        named = {"max_size": 60, "max_segments": 2, "udp": False, "tcp": True, "ethernet": False}
        assert p.sizes(form(batch=batch, **named)) == [20, 10]
    elif name == "segment":
        packet = p.big(4, size=1000, gso_size=100)
        assert form(limit=2, first=3, packet=packet, ethernet=False) == form(packet)[3:5]
    else:
        assert form(packet=b"abc") == b"abc"


class Derived(SuperPacket):
    @property
    def hdr_len(self) -> int:
        raise LookupError("hdr_len")

    @hdr_len.setter
    def hdr_len(self, value: int) -> None: ...


@both
def test_a_derived_class(name: str, form: Form) -> None:
    """A class derived from SuperPacket is one, and what a field of it raises, if it is looked at, comes through."""
    packet = p.big(4)
    derived = Derived(packet, **vars(packet))
    if name == "coalesce":
        assert form([derived])[0] is derived
        return
    try:
        result = form(derived)
    except LookupError as error:
        assert str(error) == "hdr_len"
    else:
        assert result == form(packet)


@pytest.mark.parametrize("field", ["gso_type", "gso_size", "csum_start", "csum_offset", "needs_csum", "fixed_id"])
@pytest.mark.parametrize("form", forms(offload.segment))
def test_a_field_that_is_gone(form: Form, field: str) -> None:
    """A SuperPacket without one of its fields is an AttributeError that names it."""
    packet = p.big(4)
    delattr(packet, field)
    with pytest.raises(AttributeError, match=field):
        form(packet)


@pytest.mark.parametrize("form", forms(offload.coalesce))
def test_a_super_packet_hashes_as_its_bytes(form: Form) -> None:
    """A super-packet that is made here is equal to its bytes, and so is its hash."""
    (merged,) = form(p.stream(6, [10, 10]))
    assert hash(merged) == hash(bytes(merged)) and {bytes(merged): 1}[merged] == 1


class Emptying:
    """What is no packet, and empties the batch when it is looked at."""

    def __init__(self, batch: list[Any]) -> None:
        self.batch = batch

    def __getitem__(self, where: slice) -> bytes:
        self.batch.clear()
        return b""


@only_c
def test_a_batch_that_is_emptied_meanwhile() -> None:
    """The packets of a batch are held until it is done, whatever code of Python does to the list."""
    batch: list[Any] = p.stream(4, [10, 10, 10])
    batch.insert(1, Emptying(batch))
    result = offload.coalesce(batch)
    assert not batch and len(result) == 2 and p.sizes(result[:1]) == [30]


@pytest.mark.parametrize("form", forms(offload.coalesce))
def test_an_iterable_that_fails(form: Form) -> None:
    """What the batch raises while it is read comes through."""
    with pytest.raises(ZeroDivisionError):
        form(p.tcp(4) if number else bytes(1 // number) for number in (1, 1, 0))
    with pytest.raises(TypeError, match="'int' object is not iterable"):
        form(5)


@pytest.mark.parametrize("form", forms(offload.coalesce))
def test_a_thousand_flows(form: Form) -> None:
    """Every flow of a batch has a train of its own, however many there are."""
    flows = [p.datagrams(4 + 2 * (port % 2), [10, 10], src_port=port) for port in range(1000)]
    merged = form([packets[number] for number in (0, 1) for packets in flows])
    assert [p.cut([packet]) for packet in merged] == flows


FRAGMENT = p.wrap(6, 17, bytes(8), extensions=b"\x2c\0\0\x08\0\0\0\0")
CALLS: dict[str, Callable[[], object]] = {
    "cut": lambda: offload.segment(p.big(4, 100, 30)),
    "refuse to cut": lambda: p.refused(p.with_fields(p.big(4, 100, 30), gso_size=0)),
    "complete": lambda: offload.complete(p.big(6, 100, 300)),
    "merge": lambda: offload.coalesce(p.stream(4, [10, 10, 10]) + p.datagrams(6, [10, 10, 10])),
    "ask Python for a flow": lambda: offload.coalesce([*p.datagrams(6, [10, 10]), FRAGMENT]),
    "refuse a batch": lambda: outcome(offload.coalesce, ("coalesce", ([*p.datagrams(6, [10, 10]), 5],), {})),
    "refuse arguments": lambda: outcome(offload.segment, ("segment", (), {})),
}


@only_c
@pytest.mark.parametrize("name", CALLS)
def test_nothing_is_left_of_a_call(name: str) -> None:
    """A thousand calls, good or refused, leave no object behind."""
    for _ in range(100):
        CALLS[name]()
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(1000):
        CALLS[name]()
    gc.collect()
    assert sys.getallocatedblocks() - before < 500


@only_c
def test_the_module_needs_no_packets() -> None:
    """The twins are loaded without aiotun.packet, which is imported when the first SuperPacket is asked for."""
    program = "import sys, aiotun._speedups as c; print('aiotun.packet' in sys.modules, c.complete(b'abc'))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False b'abc'\n"
