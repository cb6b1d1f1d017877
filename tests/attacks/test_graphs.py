"""Graphs with hidden parts, with operators that no bundle has, and with outputs that can't be."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

pytest.importorskip("onnx", reason="needs onnx, which has no release for this Python")

import onnx
from onnx import defs

from attacks import graphs
from attacks.attack import Attack, films, load
from cxrscribe.bundle.contract import BEAM_STEP, ENCODER
from cxrscribe.bundle.graph_contents import GraphContents
from cxrscribe.bundle.operators import OPERATORS, check_contents
from cxrscribe.embedded import demo_bundle
from cxrscribe.errors import BundleError
from cxrscribe.search.expander import Candidates
from support.small_bundle import SmallBundle


@pytest.mark.parametrize("attack", graphs.ATTACKS, ids=lambda attack: attack.name)
def test_a_hostile_graph_is_refused_or_gives_no_report(attack: Attack, tmp_path: Path) -> None:
    attack.attempt(tmp_path)


def test_operators_are_standard_ones_of_dense_tensors_without_chance_or_subgraph() -> None:
    newest = {schema.name: schema for schema in defs.get_all_schemas() if schema.domain == ""}
    assert set(newest) >= OPERATORS
    for name in OPERATORS:
        schema = newest[name]
        kinds = {attribute.type for attribute in schema.attributes.values()}
        assert not kinds & {defs.OpSchema.AttrType.GRAPH, defs.OpSchema.AttrType.GRAPHS}, name
        # What draws random numbers takes a seed; what works on lists or on what may be missing says so.
        assert "seed" not in schema.attributes, name
        for parameter in (*schema.inputs, *schema.outputs):
            assert any(kind.startswith("tensor(") for kind in parameter.types), name
    assert not OPERATORS & {"If", "Loop", "Scan", "SequenceMap", "ImageDecoder", "StringNormalizer"}


@pytest.mark.parametrize("graph", sorted(demo_bundle().glob("**/*.onnx")), ids=lambda graph: graph.name)
def test_contents_are_those_that_onnx_reads(graph: Path) -> None:
    contents = GraphContents.read(graph)
    model = onnx.load(graph)
    assert contents.operators == {(node.domain, node.op_type) for node in model.graph.node}
    check_contents(graph, contents)


@pytest.fixture(scope="module")
def step(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return (
        SmallBundle(external_data=True, hidden=16).write(tmp_path_factory.mktemp("step"))
        / "decoder_step.onnx"
    )


@hypothesis_settings(max_examples=300, deadline=None)
@given(place=st.integers(0, 10**6), other=st.integers(0, 255))
def test_a_damaged_graph_is_read_as_onnx_reads_it_or_refused(step: Path, place: int, other: int) -> None:
    """Whatever protobuf takes, no tensor's file and no operator goes unseen."""
    content = bytearray(step.read_bytes())
    content[place % len(content)] = other
    damaged = step.with_name("damaged.onnx")
    damaged.write_bytes(content)
    try:
        model = onnx.load_model_from_string(bytes(content))
    except Exception:  # protobuf's own, whose class differs from one implementation to the next
        return
    try:
        contents = GraphContents.read(damaged)
    except BundleError:
        return
    located = {
        entry.value
        for tensor in model.graph.initializer
        for entry in tensor.external_data
        if entry.key == "location"
    }
    assert set(contents.external) >= located
    assert contents.operators == {(node.domain, node.op_type) for node in model.graph.node}


def test_shapes_are_checked_where_each_film_would_get_the_first_one_s_report(tmp_path: Path) -> None:
    attack = next(
        attack
        for attack in graphs.SHAPES
        if attack.name == f"{ENCODER}: features with axis 0 of 1, unforeseen"
    )
    attack.attempt(tmp_path)
    with (
        load(tmp_path / "bundle") as reporter,
        pytest.raises(BundleError, match=r"\[1, 6\], where .*\[6, 6\]"),
    ):
        reporter.report_batch(films())
    with load(tmp_path / "bundle") as reporter:  # nobody is harmed who gives one film at a time
        assert reporter.report(films()[0]).finished


def test_one_image_s_impossible_candidates_leave_the_others_alone() -> None:
    candidates = Candidates(
        np.full((4, 6), -1, np.float32), np.arange(24).reshape(4, 6), np.full((4, 6), -1, np.float32)
    )
    candidates.index[1, 5] = 36
    candidates.token_log_prob[2, 0] = -np.inf
    candidates.score[3, 1:], candidates.token_log_prob[3, 1:] = -np.inf, -np.inf  # no candidates: nothing odd
    candidates.check(36)
    assert np.isnan(candidates.score).all(axis=1).tolist() == [False, True, True, False]
    assert not np.isnan(candidates.score[[0, 3]]).any()
    assert candidates.index.max() < 36


@given(
    index=st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 40), min_size=12, max_size=12),
    score=st.lists(st.floats(width=32), min_size=12, max_size=12),
    share=st.lists(st.floats(width=32), min_size=12, max_size=12),
)
def test_candidates_that_pass_can_be(index: list[int], score: list[float], share: list[float]) -> None:
    candidates = Candidates(
        np.array(score, np.float32).reshape(2, 6),
        np.array(index, np.int64).reshape(2, 6),
        np.array(share, np.float32).reshape(2, 6),
    )
    candidates.check(36)
    assert ((candidates.index >= 0) & (candidates.index < 36)).all()
    live = candidates.score > -np.inf
    good = ~np.isnan(candidates.score).any(axis=1)
    assert np.isfinite(candidates.token_log_prob[good][live[good]]).all()
    assert not np.isposinf(candidates.score).any()


@pytest.mark.skipif(os.name != "posix", reason="there are no pipes with a name here")
def test_a_pipe_in_the_place_of_a_graph_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / BEAM_STEP)
    with pytest.raises(BundleError, match="not a regular file"):
        GraphContents.read(tmp_path / BEAM_STEP)
