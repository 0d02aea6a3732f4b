"""A box for each test, from the debug build that COFFERD names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.box import Box, fresh_box


@pytest.fixture
def box() -> Iterator[Box]:
    with fresh_box(Path(os.environ["COFFERD"]), None) as box:
        yield box
