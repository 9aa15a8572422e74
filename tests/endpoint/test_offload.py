"""The ``offload`` option, and the environment."""

from __future__ import annotations

from typing import Any

import pytest

from aiotun.endpoint import OFFLOAD, allowed_offload, check_offload
from aiotun.endpoint.offload import ENVIRONMENT


@pytest.mark.parametrize(
    ("given", "features"),
    [(True, OFFLOAD), (False, set()), (None, set()), ("tso", {"tso"}), (["tso", "uso"], {"tso", "uso"}), ((), set())],
)
def test_what_an_option_names(given: Any, features: set[str]) -> None:
    """True is all, False and None none, and otherwise what is named."""
    assert check_offload(given) == features


@pytest.mark.parametrize("given", ["lro", ["tso", "lro"], [1]])
def test_another_name(given: Any) -> None:
    """A feature there is not is an error that names those there are."""
    with pytest.raises(ValueError, match="offload is True, False, or some of tcp_gro, tso, tunnel, udp_gro, uso; not "):
        check_offload(given)


def test_what_is_no_name() -> None:
    """What is neither a bool nor names is a TypeError."""
    with pytest.raises(TypeError):
        check_offload(1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        (None, OFFLOAD),
        ("1", OFFLOAD),
        ("0", set()),
        ("", set()),
        ("tso", {"tso"}),
        ("tso, tcp_gro", {"tso", "tcp_gro"}),
        ("-uso", OFFLOAD - {"uso"}),
        ("-uso,-udp_gro,-tunnel", {"tso", "tcp_gro"}),
        ("tso,-tso", set()),
        ("1,-tso", OFFLOAD - {"tso"}),
    ],
)
def test_the_environment_narrows(text: str | None, allowed: set[str]) -> None:
    """AIOTUN_OFFLOAD names what may be used, or with a minus what may not."""
    environment = {} if text is None else {ENVIRONMENT: text}
    assert allowed_offload(OFFLOAD, environment)[0] == allowed


def test_the_environment_adds_nothing() -> None:
    """What a program did not ask for the environment does not switch on."""
    assert allowed_offload({"tso"}, {ENVIRONMENT: "tso,uso"})[0] == {"tso"}


def test_the_environment_names_something_else() -> None:
    """A feature there is not is an error that names those there are."""
    with pytest.raises(ValueError, match="names lro; the features are tcp_gro, tso, tunnel, udp_gro, uso"):
        allowed_offload(OFFLOAD, {ENVIRONMENT: "lro"})
