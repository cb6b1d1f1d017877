from __future__ import annotations

import numpy as np
import paddle
import pytest

from cxrscribe.bundle.architecture import ContextSizes
from cxrscribe.patient_text import PatientText
from cxrscribe_models import ReportContext
from cxrscribe_train.context.known import Known
from cxrscribe_train.context.tags import FittedTags
from cxrscribe_train.fitting.network import initialize_context

FILMS, FEATURES, PATIENT, CONTEXT, TAGS = 400, 12, 5, 300, 4


def known(random: np.random.Generator, *, tags: bool) -> Known:
    sizes = np.array([8.0, 4.0, 1.0, 0.5, 0.25])
    patient = (random.standard_normal((FILMS, PATIENT)) * sizes).astype(np.float32)
    text = PatientText(("pain",), np.ones(1, np.float32), np.ones((1, PATIENT), np.float32), 2)
    fitted = FittedTags(
        random.standard_normal((FEATURES, TAGS)).astype(np.float32),
        random.standard_normal(TAGS).astype(np.float32),
        (5 + 3 * random.standard_normal((FILMS, TAGS))).astype(np.float32),
    )
    return Known(text, patient, patient[:1], fitted if tags else None)


def spread(numbers: np.ndarray) -> float:
    return float(np.sqrt((np.asarray(numbers) ** 2).mean()))


@pytest.mark.parametrize(("tags", "film_share"), [(True, 0.3), (False, 1.0)])
def test_each_part_begins_with_its_share_whatever_its_units(tags: bool, film_share: float) -> None:
    random = np.random.default_rng(0)
    features = (100 + 20 * random.standard_normal((FILMS, FEATURES))).astype(np.float32)
    facts = known(random, tags=tags)
    paddle.seed(1)
    context = ReportContext(FEATURES, ContextSizes(PATIENT, CONTEXT, TAGS if tags else 0))
    initialize_context(context, facts, features)
    of_film = context.film(paddle.to_tensor(features)).numpy()
    assert spread(of_film) == pytest.approx(film_share, rel=0.1)
    assert abs(of_film.mean()) < 0.1 * film_share
    assert spread(context.patient(paddle.to_tensor(facts.train)).numpy()) == pytest.approx(2.0, rel=0.1)
    if facts.tags is not None and context.tagged is not None:
        told = context.tagged(paddle.to_tensor(facts.tags.out_of_fold - facts.tags.out_of_fold.mean(axis=0)))
        assert spread(told.numpy()) == pytest.approx(1.0, rel=0.1)


def test_numbers_of_a_patient_keep_their_sizes_and_no_text_says_nothing() -> None:
    random = np.random.default_rng(0)
    facts = known(random, tags=False)
    paddle.seed(1)
    context = ReportContext(FEATURES, ContextSizes(PATIENT, CONTEXT, 0))
    initialize_context(context, facts, None)
    weight = context.patient.weight.numpy()
    rows = np.sqrt((weight**2).mean(axis=1))
    assert rows.max() / rows.min() < 1.3
    assert not context.patient(paddle.zeros([1, PATIENT])).numpy().any()


def test_a_corpus_whose_texts_say_nothing_can_be_started_on() -> None:
    facts = known(np.random.default_rng(0), tags=False)
    silent = Known(facts.text, np.zeros_like(facts.train), facts.val, None)
    context = ReportContext(FEATURES, ContextSizes(PATIENT, CONTEXT, 0))
    initialize_context(context, silent, None)
    assert np.isfinite(context.patient.weight.numpy()).all()
