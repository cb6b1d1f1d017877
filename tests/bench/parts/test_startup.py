"""What the first report costs in a fresh process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from cxrscribe_bench.parts.startup import Moment, Start, sample_startup


def test_every_kind_of_start_is_sampled_once_a_round_in_order_of_time(
    small_bundle: Path, tmp_path: Path
) -> None:
    film = tmp_path / "film.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 50), dtype=np.uint8)).save(film)
    samples = sample_startup(small_bundle, film, rounds=2)
    assert list(samples) == list(Start)
    assert list(samples[Start.EMPTY]) == [Moment.PYTHON]
    for start in (Start.OFF, Start.COLD, Start.WARM):
        assert list(samples[start]) == [Moment.IMPORT, Moment.LOAD, Moment.REPORT]
        for imported, loaded, reported in zip(*samples[start].values(), strict=True):
            assert 0 < imported.seconds <= loaded.seconds <= reported.seconds
            assert 0 < imported.peak_bytes <= loaded.peak_bytes <= reported.peak_bytes
