"""The architecture: who may import whom, and the shape of every file."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "aiotun"

# A file imports only from lower floors, or from its own room. Moving a room is editing this list.
FLOORS = {
    "_version": 0,
    "errors": 0,
    "routing": 0,
    "speedups": 0,
    "batch": 1,
    "packet": 1,
    "offload": 2,
    "queueing": 2,
    "endpoint": 3,
    "pipeline": 4,
    "channel": 4,
    "linux": 4,
    "driver": 5,
    "capture": 5,
    "stages": 5,
    "host": 6,
    "testing": 7,
    "cli": 8,
    "__main__": 9,
    "__init__": 9,
}

LINES = 300

# What only the room of a kernel may name: its ioctls, and the sockets one configures it through.
KERNEL = re.compile(r"AF_NETLINK|NETLINK_\w+|TUN[SG]ET\w+")

FILES = sorted(PACKAGE.rglob("*.py"))
TEST_FILES = sorted(TESTS.rglob("test_*.py"))


def label(file: Path) -> str:
    return str(file.relative_to(PACKAGE if PACKAGE in file.parents else TESTS))


every_file = pytest.mark.parametrize("file", FILES, ids=label)


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(), filename=str(file))


def room(file: Path) -> str:
    """The folder the file is in; a file at the top is a room of its own."""
    return Path(label(file)).parts[0].removesuffix(".py")


def imports(file: Path) -> Iterator[str]:
    """Every module that the file imports, wherever in it, by its full name."""
    package = ["aiotun", *file.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*above, node.module] if node.module else above)
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def rooms_imported(file: Path) -> set[str]:
    """Every room that the file imports from; a name taken from ``aiotun`` itself is of the top room."""
    names = (name.split(".") for name in imports(file))
    return {parts[1] if parts[1] in FLOORS else "__init__" for parts in names if parts[0] == "aiotun" and parts[1:]}


def names_used(file: Path) -> set[str]:
    """Every name and attribute that the file says."""
    nodes = list(ast.walk(tree(file)))
    plain = {node.id for node in nodes if isinstance(node, ast.Name)}
    return plain | {node.attr for node in nodes if isinstance(node, ast.Attribute)}


def public_names(file: Path) -> set[str]:
    """The functions, classes and constants that the file defines at its top, less those of its own business."""
    names: set[str] = set()
    for node in tree(file).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names.update(target.id for target in targets if isinstance(target, ast.Name))
    return {name for name in names if not name.startswith("_")}


def exported(file: Path) -> list[str] | None:
    """The file's ``__all__``."""
    for node in tree(file).body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]:
            names: list[str] = ast.literal_eval(node.value)
            return names
    return None


@every_file
def test_imports_flow_down(file: Path) -> None:
    """A file imports from lower floors and from its own room, nowhere else."""
    here = room(file)
    upward = {other for other in rooms_imported(file) - {here} if FLOORS[other] >= FLOORS[here]}
    assert not upward, f"floor {FLOORS[here]} imports {upward}"


def test_a_function_level_import_is_seen() -> None:
    """The rule above sees imports inside functions and under TYPE_CHECKING."""
    assert "linux" in rooms_imported(PACKAGE / "host" / "system.py")


@every_file
def test_only_the_kernels_room_speaks_to_the_kernel(file: Path) -> None:
    """fcntl, pyroute2, netlink and the kernel's ioctl numbers are in linux/ and nowhere else."""
    if room(file) == "linux":
        return
    assert not {name.partition(".")[0] for name in imports(file)} & {"fcntl", "pyroute2"}
    assert not {name for name in names_used(file) if KERNEL.fullmatch(name)}


@every_file
def test_a_file_is_short(file: Path) -> None:
    """A file has at most 300 lines, or stands in the list with a reason."""
    assert len(file.read_text().splitlines()) <= LINES


@every_file
def test_a_file_says_what_it_holds(file: Path) -> None:
    """Every module opens with a docstring."""
    assert ast.get_docstring(tree(file))


@every_file
def test_a_file_says_what_is_public(file: Path) -> None:
    """A module that defines public names has an ``__all__``."""
    assert exported(file) is not None or not public_names(file)


@every_file
def test_what_is_public_is_there(file: Path) -> None:
    """``__all__`` names only what the file defines, or, in the front of a room, imports."""
    imported = {name.rpartition(".")[2] for name in imports(file)} if file.name == "__init__.py" else set()
    dunder = {"__version__"}
    assert set(exported(file) or ()) <= public_names(file) | imported | dunder


@pytest.mark.parametrize("file", TEST_FILES, ids=label)
def test_a_test_is_a_sentence(file: Path) -> None:
    """Every test function has a docstring that begins with its claim, a sentence."""
    functions = [node for node in ast.walk(tree(file)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    tests = [node for node in functions if node.name.startswith("test_")]
    claims = {node.name: (ast.get_docstring(node) or "").partition("\n\n")[0] for node in tests}
    assert not [name for name, claim in claims.items() if not claim.endswith(".")]
