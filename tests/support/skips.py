"""Skips that hide nothing: CI must have what tests need."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def skip_or_fail(reason: str) -> NoReturn:
    """Skip the test for want of a program or a service. Where the environment's CI is `true`, it fails."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason}; CI must have it: .ci/run installs what tests need")
    pytest.skip(reason)
