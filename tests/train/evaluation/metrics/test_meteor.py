from __future__ import annotations

import shutil
from collections.abc import Iterator

import numpy as np
import pytest

from cxrscribe_train.evaluation.metrics.bleu import Words
from cxrscribe_train.evaluation.metrics.meteor import Meteor, MeteorError

needs_java = pytest.mark.skipif(shutil.which("java") is None, reason="METEOR needs Java, which is not here")


@pytest.fixture(scope="module")
def meteor() -> Iterator[Meteor]:
    with Meteor() as running:
        yield running


@needs_java
@pytest.mark.slow
def test_equals_pycocoevalcap(
    meteor: Meteor, references: tuple[Words, ...], training: tuple[Words, ...]
) -> None:
    from pycocoevalcap.meteor.meteor import Meteor as Reference

    reports = training[: len(references)]
    original = Reference()
    try:
        expected, each = original.compute_score(
            {film: [" ".join(words)] for film, words in enumerate(references)},
            {film: [" ".join(words)] for film, words in enumerate(reports)},
        )
    finally:
        original.meteor_p.kill()
        original.meteor_p.wait()
        original.meteor_p.stdout.close()
        original.meteor_p.stderr.close()
    counts = meteor.counts(reports, references)
    statistic = meteor.statistic(counts)
    assert statistic(np.ones((1, len(reports))))[0] == pytest.approx(expected)
    assert statistic(np.eye(len(reports))) == pytest.approx(each)


@needs_java
@pytest.mark.slow
def test_hundreds_of_resamples_and_empty_reports(meteor: Meteor, references: tuple[Words, ...]) -> None:
    counts = meteor.counts([(), *references[1:]], references)
    scores = meteor.statistic(counts)(np.eye(len(references)).repeat(20, axis=0))
    assert scores.shape == (20 * len(references),)
    assert scores[0] == pytest.approx(0, abs=0.1)
    assert scores[-1] > 0.9


def test_without_java_the_reason_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MeteorError, match="no `java` on the path"):
        Meteor()


def test_a_program_that_dies_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("bin")
    _program(folder / "java", "exit 3")
    monkeypatch.setenv("PATH", str(folder))
    with Meteor() as meteor, pytest.raises(MeteorError, match="ended early"):
        meteor.counts([("a",)], [("b",)])


def test_a_program_that_hangs_is_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("bin")
    _program(folder / "java", "while read -r line; do :; done")
    monkeypatch.setenv("PATH", str(folder))
    with Meteor(timeout=0.2) as meteor, pytest.raises(MeteorError, match=r"more than 0\.2 s"):
        meteor.counts([("a",)], [("b",)])


def _program(path: object, script: str) -> None:
    from pathlib import Path

    Path(str(path)).write_text(f"#!/bin/sh\n{script}\n")
    Path(str(path)).chmod(0o755)
