"""What a bundle is opened as."""

from __future__ import annotations

from pathlib import Path

import pytest

import cxrscribe
from cxrscribe.errors import BundleError


def test_reporter_knows_where_its_bundle_is(small_bundle: Path) -> None:
    with cxrscribe.load(small_bundle, device="cpu") as reporter:
        assert reporter.folder == small_bundle


def test_fp32_is_taken_unless_another_is_asked_for(small_bundle: Path) -> None:
    with cxrscribe.load(small_bundle, device="cpu") as reporter:
        assert (reporter.precision, reporter.choice) == ("fp32", None)


@pytest.mark.parametrize("asked", ["fp16", "int3", "int8+fp32", "fp32+int8"])
def test_a_precision_that_the_bundle_lacks_is_named(small_bundle: Path, asked: str) -> None:
    with pytest.raises(BundleError, match=r"has no graphs of precision '(fp16|int3|int8)'; it has fp32"):
        cxrscribe.load(small_bundle, device="cpu", precision=asked)
