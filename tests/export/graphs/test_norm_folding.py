"""Folding batch norms changes nothing but the number of nodes."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx

from cxrscribe.bundle.contract import encoder_interface
from cxrscribe_export.graphs.checked_graph import check
from cxrscribe_export.graphs.norm_folding import fold_batch_norms
from cxrscribe_export.graphs.runner import GraphRunner
from support.small_convolutions import FEATURES, SIDE, small_encoder, small_films


def norms(model: onnx.ModelProto) -> int:
    return Counter(node.op_type for node in model.graph.node)["BatchNormalization"]


def test_the_folded_graph_gives_the_same_with_no_norm_behind_a_convolution() -> None:
    model = small_encoder()
    folded = fold_batch_norms(model)
    check(folded, encoder_interface(SIDE, SIDE, FEATURES))
    assert (norms(model), norms(folded)) == (5, 1)  # one stands behind a Concat
    films = small_films(5)
    expected, found = (GraphRunner(graph).run(films)[0] for graph in (model, folded))
    np.testing.assert_allclose(found, expected, atol=1e-4 * float(np.abs(expected).max()))


def test_the_graph_that_was_given_stays_as_it_is() -> None:
    model = small_encoder()
    before = model.SerializeToString(deterministic=True)
    fold_batch_norms(model)
    assert model.SerializeToString(deterministic=True) == before


def test_a_convolution_that_something_else_reads_keeps_its_norm() -> None:
    model = small_encoder()
    conv = next(node for node in model.graph.node if node.op_type == "Conv")
    model.graph.node.append(onnx.helper.make_node("Identity", [conv.output[0]], ["also_read"]))
    model.graph.output.append(onnx.helper.make_tensor_value_info("also_read", 1, None))
    folded = fold_batch_norms(model)
    assert norms(folded) == 2


def test_convolutions_that_share_a_weight_are_folded_each_with_its_own_norm() -> None:
    model = small_encoder()
    first, second = [node for node in model.graph.node if node.op_type == "Conv"][1:3]
    second.input[1] = first.input[1]
    films = small_films(3)
    expected, found = (GraphRunner(graph).run(films)[0] for graph in (model, fold_batch_norms(model)))
    np.testing.assert_allclose(found, expected, atol=1e-4 * float(np.abs(expected).max()))
