"""The stage that merges packets."""

from __future__ import annotations

import pytest

from aiotun import offload, stages
from aiotun.pipeline import Path

from .packets import superpacket


@pytest.mark.parametrize("protocol", [6, 17])
def test_a_train_is_merged(protocol: int) -> None:
    """Packets that follow each other become one, and are counted as merged."""
    path = Path("x")
    path.append(stages.coalesce())
    train = superpacket(protocol=protocol)
    assert list(path(offload.segment(train))) == [train]
    assert (list(path), dict(path.statistics().dropped)) == (["coalesce"], {"merged": 2})


@pytest.mark.parametrize(("protocol", "name"), [(6, "tcp"), (17, "udp")])
def test_a_protocol_left_out(protocol: int, name: str) -> None:
    """What is not to be merged passes as it is."""
    packets = offload.segment(superpacket(protocol=protocol))
    assert list(stages.coalesce(**{name: False})(packets)) == packets
