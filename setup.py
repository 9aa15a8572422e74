"""Builds the C twin of the hot functions where there is a compiler; everything else is in pyproject.toml."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from setuptools import Extension, setup

SOURCES = sorted(str(source) for source in Path("speedups").glob("*.c"))
HEADERS = sorted(str(header) for header in Path("speedups").glob("*.h"))

# What reads and writes packets are the system calls of POSIX; and PyPy is faster without a C extension.
WANTED = os.name == "posix" and sys.implementation.name == "cpython" and not os.environ.get("AIOTUN_PURE")

setup(
    ext_modules=[
        Extension(
            "aiotun._speedups",
            SOURCES,
            depends=HEADERS,
            extra_compile_args=["-std=c11", "-O3", "-Wall", "-Wextra", "-fvisibility=hidden"],
            optional=True,  # without a compiler aiotun installs and runs, in Python alone
        )
    ]
    if WANTED
    else []
)
