"""Media words: their numbers and names, choosing one, and telling which."""

from __future__ import annotations

import errno

import pytest

from aiotun.driver import media as module
from aiotun.driver.media import (
    IFM_100_TX,
    IFM_1000_T,
    IFM_AUTO,
    IFM_ETHER,
    IFM_FDX,
    Media,
    MediaStatus,
    media_name,
    tap_media,
)
from aiotun.errors import DeviceError

AUTO = IFM_ETHER | IFM_AUTO
FAST = IFM_ETHER | IFM_100_TX
GIGABIT = IFM_ETHER | IFM_1000_T | IFM_FDX
NUMBERS = {
    "ETHER": 0x20, "AUTO": 0, "MANUAL": 1, "NONE": 2, "10_T": 3, "100_TX": 6, "1000_T": 16,
    "FDX": 0x00100000, "HDX": 0x00200000, "FLOW": 0x00400000, "LOOP": 0x08000000, "AVALID": 1, "ACTIVE": 2,
}  # fmt: skip


class Driver:
    """A mediachange() that keeps what it is asked for, and may refuse."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.refuses = False

    def __call__(self, word: int) -> None:
        self.asked.append(word)
        if self.refuses:
            raise DeviceError("tap0: no", errno.EIO)


@pytest.fixture
def driver() -> Driver:
    return Driver()


@pytest.fixture
def media(driver: Driver) -> Media:
    return tap_media("tap0", driver)


@pytest.mark.parametrize(("name", "number"), NUMBERS.items())
def test_a_constant_has_its_number(name: str, number: int) -> None:
    """A constant has the number of NetBSD's if_media.h."""
    assert getattr(module, f"IFM_{name}") == number


@pytest.mark.parametrize(
    ("word", "name"),
    [
        (0x20, "autoselect"),
        (0x21, "manual"),
        (0x22, "none"),
        (0x23, "10baseT"),
        (0x26, "100baseTX"),
        (0x30, "1000baseT"),
        (0x100030, "1000baseT <full-duplex>"),
        (0x200026, "100baseTX <half-duplex>"),
        (0x8500023, "10baseT <full-duplex,flowcontrol,loopback>"),
        (0x3F, "subtype 31"),
    ],
)
def test_a_word_has_a_name(word: int, name: str) -> None:
    """A word reads as its subtype and its options."""
    assert media_name(word) == name


def test_the_media_of_a_tap(media: Media) -> None:
    """A tap has seven media, and autoselect selected."""
    assert [media_name(word) for word in media.supported] == [
        "1000baseT",
        "1000baseT <full-duplex>",
        "100baseTX",
        "100baseTX <full-duplex>",
        "10baseT",
        "10baseT <full-duplex>",
        "autoselect",
    ]
    assert all(word & 0xE0 == IFM_ETHER for word in media.supported)
    assert media.current == AUTO


def test_taps_share_their_media() -> None:
    """The list of media is one object for every tap."""
    assert tap_media("tap0").supported is tap_media("tap1").supported


def test_adding(media: Media) -> None:
    """A medium added to one interface is not added to another; one it has is not added again."""
    media.add(IFM_ETHER | 20)
    media.add(IFM_ETHER | 20)
    assert media.supported == (*tap_media("tap1").supported, IFM_ETHER | 20)
    media.change(IFM_ETHER | 20)
    assert media.current == IFM_ETHER | 20


def test_setting_tells_nobody(media: Media, driver: Driver) -> None:
    """set() selects a medium without the driver."""
    media.set(FAST)
    assert (media.current, driver.asked) == (FAST, [])


def test_changing_asks_the_driver(media: Media, driver: Driver) -> None:
    """change() selects a medium and tells the driver."""
    media.change(GIGABIT)
    assert (media.current, driver.asked) == (GIGABIT, [GIGABIT])


def test_changing_without_a_driver() -> None:
    """change() does with nobody to tell."""
    media = Media("tap0", [FAST, AUTO], FAST)
    media.change(AUTO)
    assert media.current == AUTO


def test_changing_to_the_same(media: Media, driver: Driver) -> None:
    """Selecting the same again does not ask the driver; autoselect always does."""
    media.change(AUTO)
    media.change(FAST)
    media.change(FAST)
    assert driver.asked == [AUTO, FAST]


def test_a_driver_that_refuses(media: Media, driver: Driver) -> None:
    """When the driver refuses, the medium stays what it was."""
    media.change(FAST)
    driver.refuses = True
    with pytest.raises(DeviceError, match="^tap0: no$"):
        media.change(GIGABIT)
    assert media.current == FAST


def test_no_such_medium(media: Media, driver: Driver) -> None:
    """A word not on the list is ENXIO, and changes nothing."""
    small = Media("tap0", (FAST, AUTO), FAST, driver)
    for select in (small.set, small.change):
        with pytest.raises(DeviceError) as error:
            select(GIGABIT)
        text = "tap0: no medium 1000baseT <full-duplex> (0x100030); it has 100baseTX, autoselect"
        assert (str(error.value), error.value.errno) == (text, errno.ENXIO)
    assert (small.current, driver.asked) == (FAST, [])


def test_a_first_medium_that_is_not_there() -> None:
    """An interface cannot begin with a medium it has not."""
    with pytest.raises(DeviceError):
        Media("tap0", [FAST], GIGABIT)


def test_status(media: Media) -> None:
    """status() tells what is selected and in use, and what there is; a tap has no status bits."""
    media.set(FAST)
    assert media.status() == MediaStatus(current=FAST, active=FAST, status=0, supported=media.supported)


def test_a_status_of_little() -> None:
    """A status needs the two words alone: no bits then, and nothing to choose from."""
    assert MediaStatus(current=FAST, active=AUTO) == MediaStatus(current=FAST, active=AUTO, status=0, supported=())


def test_status_bits(media: Media) -> None:
    """A driver's status bits are passed on."""
    assert media.status(3).status == 3
