"""A context acts at every step, and decoding computes what it adds to the gates once a film."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import paddle
import pytest

from cxrscribe.bundle.architecture import Architecture, ContextSizes
from cxrscribe_models import ReportDecoder

BARE = Architecture("resnet18", {}, 7, 5, 6, 2, 11, dropout=0.3)


def decoder_of(layers: int, tags: int = 3) -> ReportDecoder:
    paddle.seed(layers)
    decoder = ReportDecoder(replace(BARE, layers=layers, context=ContextSizes(4, 9, tags)))
    decoder.eval()
    return decoder


@pytest.mark.parametrize("tags", [0, 3])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_steps_give_what_teacher_forcing_gives(layers: int, tags: int) -> None:
    decoder = decoder_of(layers, tags)
    features, patient = paddle.randn([4, 7]), paddle.randn([4, 4])
    tokens = paddle.randint(0, 11, [4, 9])
    logits = decoder(features, tokens, patient)
    expected = paddle.nn.functional.log_softmax(logits, axis=-1).numpy()

    context = decoder.context_gates(features, patient)
    hidden, cell = decoder.initial_state(features, context)
    for place in range(9):
        log_probs, hidden, cell = decoder.step(tokens[:, place], hidden, cell, context)
        np.testing.assert_allclose(log_probs.numpy(), expected[:, place], atol=1e-5)


def test_the_last_word_still_knows_the_patient() -> None:
    decoder = decoder_of(1)
    features, tokens = paddle.randn([1, 7]), paddle.randint(0, 11, [1, 40])
    with_text, without = (
        decoder(features, tokens, patient).numpy() for patient in (paddle.ones([1, 4]), paddle.zeros([1, 4]))
    )
    assert (np.abs(with_text - without).max(axis=2) > 1e-3).all()


def test_tags_that_are_given_stand_for_those_that_the_features_tell() -> None:
    decoder = decoder_of(2)
    features, patient = paddle.randn([5, 7]), paddle.randn([5, 4])
    told = decoder.context(features, patient, decoder.context.tags(features))
    np.testing.assert_allclose(decoder.context(features, patient).numpy(), told.numpy(), atol=1e-5)


def test_tags_are_told_by_weights_that_no_training_changes() -> None:
    decoder = decoder_of(1)
    decoder.train()
    decoder(paddle.randn([2, 7]), paddle.randint(0, 11, [2, 3]), paddle.randn([2, 4])).sum().backward()
    changed = {name for name, parameter in decoder.named_parameters() if parameter.grad is not None}
    assert {"context.film.weight", "context.patient.weight", "context.tagged.weight"} <= changed
    assert not {"context.tags.weight", "context.tags.bias"} & changed


def test_a_decoder_without_context_has_the_weights_that_it_had() -> None:
    paddle.seed(1)
    names = {name for name, _ in ReportDecoder(BARE).named_parameters()}
    assert not [name for name in names if "context" in name]
    assert decoder_of(2).lstm.weight_ih_l0.shape == [24, 5 + 9]
    assert ReportDecoder(BARE).lstm.weight_ih_l0.shape == [24, 5]
