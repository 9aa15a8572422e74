"""What an interface may be called."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aiotun.endpoint.names import NAME_MAX, check_name, is_template

GOOD = ["tun0", "t", "tun%d", "%d", "a%dz", "fifteen-bytes-x", "vpn.100", "wg_0", "é" * 7, "日本", "a\x01", "..."]

BAD = [
    ("", "it is empty"),
    ("sixteen-bytes-xx", "it is 16 bytes, at most 15 fit"),
    ("é" * 8, "it is 16 bytes, at most 15 fit"),
    (".", "it names a directory"),
    ("..", "it names a directory"),
    ("a/b", "'/' may not be in it"),
    ("a:b", "':' may not be in it"),
    ("a b", "' ' may not be in it"),
    ("a\tb", "'\\\\t' may not be in it"),
    ("a\n", "'\\\\n' may not be in it"),
    ("a\0", "'\\\\x00' may not be in it"),
    ("à", "'à' may not be in it"),  # its second byte is 0xa0, a space to the kernel
    ("a%", "a % may only begin one %d"),
    ("a%s", "a % may only begin one %d"),
    ("a%5d", "a % may only begin one %d"),
    ("%d%d", "a % may only begin one %d"),
    ("%%d", "a % may only begin one %d"),
]


@pytest.mark.parametrize("name", GOOD)
def test_a_good_name(name: str) -> None:
    """A name that an interface may have is returned."""
    assert check_name(name) == name


@pytest.mark.parametrize(("name", "why"), BAD)
def test_a_bad_name(name: str, why: str) -> None:
    """A name that no interface may have is refused, with the name and the reason."""
    with pytest.raises(ValueError, match=f"cannot name an interface: {why}") as caught:
        check_name(name)
    assert str(caught.value).startswith(repr(name))


@settings(deadline=None)
@given(st.text(max_size=20))
@example("\ud800")  # half a surrogate pair: no bytes at all
@example("\udca0")  # a byte that is not UTF-8, as os.fsdecode() gives it
def test_any_text(name: str) -> None:
    """Whatever is accepted has 1 to 15 bytes, none of which ends a path, an alias or a word to the kernel."""
    try:
        octets = check_name(name).encode("utf-8", "surrogateescape")
    except ValueError:
        return
    assert 1 <= len(octets) <= NAME_MAX
    assert not set(octets) & set(b"\0/: \t\n\v\f\r\xa0")


@settings(deadline=None)
@given(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=NAME_MAX))
def test_letters_and_digits(name: str) -> None:
    """Up to 15 ASCII letters and digits are always a name."""
    assert check_name(name) == name


@settings(deadline=None)
@given(st.text(st.sampled_from("%ds.x"), min_size=1, max_size=8), st.integers(0, 99))
def test_an_accepted_template_can_be_filled(name: str, unit: int) -> None:
    """An accepted template takes a number and becomes a name without a %."""
    try:
        check_name(name)
    except ValueError:
        return
    if is_template(name):
        assert "%" not in name % unit


@pytest.mark.parametrize(("name", "expected"), [("tun%d", True), ("%d", True), ("tun0", False)])
def test_is_template(name: str, expected: bool) -> None:
    """A template is a name with a % in it."""
    assert is_template(name) is expected
