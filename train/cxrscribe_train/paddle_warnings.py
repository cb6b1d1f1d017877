"""Warnings that Paddle gives to everybody and that no user can act on."""

from __future__ import annotations

import warnings
from typing import Final

# The first comes at import, from a part that compiles extensions; the second from batch norm in each step.
_HARMLESS: Final = ("No ccache found", "When training, we now always track global mean and variance")


def ignore_paddle_warnings() -> None:
    """Silence them in this process. Call it before the first import of Paddle."""
    for message in _HARMLESS:
        warnings.filterwarnings("ignore", message=message, category=UserWarning)
