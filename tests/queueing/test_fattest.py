"""The flow with most bytes, beside one that looks at each."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotun.queueing import FairQueue, FQCoDel
from aiotun.queueing.fattest import Fattest

from .packets import datagram


class Flow:
    """The packets of one flow, of these sizes."""

    def __init__(self, *sizes: int) -> None:
        self.packets = list(sizes)

    @property
    def nbytes(self) -> int:
        return sum(self.packets)

    @nbytes.setter
    def nbytes(self, nbytes: int) -> None:
        raise AssertionError("nobody sets it")

    def size(self) -> tuple[int, int]:
        return self.nbytes, len(self.packets)


class Watched(list[Flow]):
    """Counts how often somebody looks at all flows."""

    looks = 0

    def __iter__(self):  # type: ignore[no-untyped-def]
        self.looks += 1
        return super().__iter__()


steps = st.lists(
    st.tuples(st.sampled_from(["grow", "grow", "shrink", "find", "clear"]), st.integers(0, 4)), max_size=80
)


@given(steps)
def test_as_one_that_looks_at_each(steps: list[tuple[str, int]]) -> None:
    """It finds a flow of as many bytes, and as many packets, as the fattest has."""
    flows = [Flow() for _ in range(5)]
    fattest: Fattest[Flow] = Fattest()
    for name, number in steps:
        flow = flows[number]
        match name:
            case "grow":
                flow.packets.append(number)  # flow 0 has packets of 0 bytes
                fattest.grew(flow)
            case "shrink":
                del flow.packets[:1]
            case "clear":
                fattest.clear()
            case _ if any(each.packets for each in flows):
                assert fattest.find(flows).size() == max(each.size() for each in flows if each.packets)


def test_by_packets_too() -> None:
    """Of flows with as many bytes, the one with most packets is found; one without any never."""
    assert Fattest[Flow]().find([Flow(), Flow(0), two := Flow(0, 0), Flow(0)]) is two


def test_it_looks_at_all_flows_once() -> None:
    """All flows are looked at when the first is wanted, and not for those after it."""
    flows = Watched(Flow(100) for _ in range(50))
    fattest: Fattest[Flow] = Fattest()
    for flow in flows[:40]:
        fattest.find(flows).packets.clear()
        flow.packets.append(90)
        fattest.grew(flow)
    assert flows.looks == 1


def test_what_is_remembered_is_bounded() -> None:
    """After four times the flows and 64 packets more, what is known is dropped, and all are looked at again."""
    flows = Watched([Flow(1), Flow(1), Flow()])  # two that have packets: 8 and 64, 2 of which are there from the start
    fattest: Fattest[Flow] = Fattest()
    fattest.find(flows)
    for _ in range(70):
        fattest.grew(flows[0])
    fattest.find(flows)
    looks = [flows.looks]
    fattest.grew(flows[0])
    fattest.find(flows)
    assert [*looks, flows.looks] == [1, 2]


def test_forgetting() -> None:
    """clear() forgets all flows: the next are looked at."""
    flows = Watched([Flow(1)])
    fattest: Fattest[Flow] = Fattest()
    fattest.find(flows)
    fattest.clear()
    fattest.find(flows)
    assert flows.looks == 2


@pytest.mark.parametrize("queue", [FairQueue(1000), FQCoDel(1000, flows=65536, seed=1)], ids=["fair", "fq_codel"])
def test_a_full_queue_of_many_flows(queue: FairQueue | FQCoDel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full queue of a thousand flows looks at all of them once for a thousand packets."""
    found = list[int]()
    original = Fattest.find

    def find(self: Fattest[Flow], flows: list[Flow]) -> Flow:
        watched = Watched(flows)
        chosen = original(self, watched)
        found.append(watched.looks)
        return chosen

    monkeypatch.setattr(Fattest, "find", find)
    batch = [datagram(flow) for flow in range(2000)]
    assert queue.enqueue_many(batch, 0.0) is batch
    assert (len(queue), len(found), sum(found)) == (1000, 1000, 1)
    queue.purge()
    queue.enqueue_many(batch[:1001], 0.0)
    assert sum(found) == 2  # what was purged is forgotten
