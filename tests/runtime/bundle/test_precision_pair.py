"""Names of precisions: whole ones and mixed ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrscribe.bundle.precision_pair import PrecisionPair
from cxrscribe.errors import BundleError

NAMES = st.sampled_from(("fp32", "int8", "fp16", "bf16", "int4"))


@pytest.mark.parametrize(
    ("name", "encoder", "graphs", "decoder"),
    [
        ("fp32", "fp32", "fp32", "fp32"),
        ("int8", "int8", "int8", "int8"),
        ("int8+fp32", "int8", "int8", "fp32"),
        ("bf16", "bf16", "fp32", "fp32"),
        ("bf16+int8", "bf16", "fp32", "int8"),
    ],
)
def test_a_name_says_both_precisions(name: str, encoder: str, graphs: str, decoder: str) -> None:
    pair = PrecisionPair.parse(name)
    assert (pair.encoder, pair.encoder_graphs, pair.decoder) == (encoder, graphs, decoder)
    assert pair.graphs == {graphs, decoder}
    assert str(pair) == name


@given(NAMES, NAMES.filter(lambda name: name != "bf16"))
def test_each_pair_is_read_back_from_its_name(encoder: str, decoder: str) -> None:
    pair = PrecisionPair(encoder, decoder)
    assert PrecisionPair.parse(str(pair)) == pair


def test_two_equal_names_are_one() -> None:
    assert str(PrecisionPair.parse("int8+int8")) == "int8"


@pytest.mark.parametrize("name", ["", "+", "int8+", "+int8", "a+b+c", "../x", "INT8", "int8 +fp32"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(BundleError, match="is not a name like 'int8'"):
        PrecisionPair.parse(name)


def test_no_decoder_computes_in_bf16() -> None:
    with pytest.raises(BundleError, match="no decoder computes in bf16"):
        PrecisionPair.parse("int8+bf16")
