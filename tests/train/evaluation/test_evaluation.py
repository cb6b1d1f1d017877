from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocoevalcap.bleu.bleu import Bleu

from cxrscribe.cleaning import clean, comparable
from cxrscribe.settings import BeamSettings
from cxrscribe_train.evaluation import evaluation as module
from cxrscribe_train.evaluation.evaluation import (
    COLUMNS,
    Circumstances,
    Comparison,
    Evaluation,
    Written,
    compare,
    shuffled,
)
from cxrscribe_train.evaluation.examples import Example, choose_examples, film_f1
from cxrscribe_train.evaluation.files import _scorer_table, evaluation_json
from cxrscribe_train.evaluation.metrics.bleu import Words
from cxrscribe_train.evaluation.metrics.finding_set import FindingSet
from cxrscribe_train.evaluation.metrics.labels import LABELS
from cxrscribe_train.evaluation.metrics.meteor import MeteorError
from cxrscribe_train.evaluation.metrics.places import PLACEMENTS
from cxrscribe_train.evaluation.metrics.severities import SEVERITIES
from cxrscribe_train.evaluation.metrics.similarity import cider, rouge_l
from cxrscribe_train.evaluation.model import Ablation, ModelIdentity
from cxrscribe_train.evaluation.page import _card, page
from cxrscribe_train.evaluation.subject import Film, OtherView, TrainingReports
from cxrscribe_train.evaluation.table import table
from cxrscribe_train.findings import FindingKind, Side
from support.labeller_traps import TRAPS


@pytest.fixture(scope="module")
def written(references: tuple[Words, ...], reports: tuple[Words, ...]) -> list[Written]:
    return [
        Written(Film(f"S{place}_PA", f"S{place}", None, reference, FindingSet.stated_by(reference)), report)
        for place, (reference, report) in enumerate(zip(references, reports, strict=True))
    ]


@pytest.fixture(scope="module")
def comparison(written: list[Written], training: tuple[Words, ...]) -> Comparison:
    def no_java() -> object:
        raise MeteorError("no `java` on the path")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "Meteor", no_java)
        return compare(written, training_of(training), resamples=100, seed=5)


@pytest.fixture(scope="module")
def evaluation(comparison: Comparison, written: list[Written]) -> Evaluation:
    names = ("films", "studies", "without_findings", "without_image", "damaged", "training_reports")
    circumstances = Circumstances(
        model=ModelIdentity("bundle", "small <model>", "ab" * 32, None, None),
        corpus="drawn",
        split="test",
        truth="labeller",
        settings=BeamSettings(),
        resamples=100,
        seed=5,
        counts=dict.fromkeys(names, 0) | {"films": len(written), "studies": len(written), "damaged": 2},
        disclaimer="Draft & not for diagnosis.",
    )
    return Evaluation(circumstances, comparison, tuple(written))


def training_of(reports: tuple[Words, ...]) -> TrainingReports:
    return TrainingReports(reports, tuple(map(FindingSet.stated_by, reports)))


def bleu_4(reports: list[Words], references: tuple[Words, ...]) -> float:
    texts = [{film: [" ".join(words)] for film, words in enumerate(side)} for side in (references, reports)]
    return float(Bleu(4).compute_score(*texts, verbose=0)[0][3])


def test_every_column_has_every_figure_with_its_interval(comparison: Comparison) -> None:
    assert tuple(comparison.columns) == COLUMNS
    names = set(comparison.columns["model"])
    assert {"bleu_1", "bleu_4", "rouge_l", "cider", "label_f1_micro", "distinct_share"} <= names
    assert {"place_precision_micro", "place_recall_micro", "place_f1_micro"} <= names
    for figures in comparison.columns.values():
        assert set(figures) == names
        assert all(figure.low <= figure.value <= figure.high for figure in figures.values())


def test_model_and_most_frequent_columns_are_pycocoevalcaps_figures(
    comparison: Comparison,
    references: tuple[Words, ...],
    reports: tuple[Words, ...],
    training: tuple[Words, ...],
) -> None:
    frequent = [comparison.most_frequent_report] * len(references)
    assert Counter(training)[frequent[0]] == max(Counter(training).values())
    for column, texts in (("model", list(reports)), ("most_frequent", frequent)):
        figures = comparison.columns[column]
        assert figures["bleu_4"].value == pytest.approx(bleu_4(texts, references))
        assert figures["rouge_l"].value == pytest.approx(rouge_l(texts, references).mean())
        assert figures["cider"].value == pytest.approx(cider(texts, references).mean())


def test_constant_column_scores_the_report_chosen_on_the_training_split(
    comparison: Comparison, references: tuple[Words, ...], training: tuple[Words, ...]
) -> None:
    best = max(set(training), key=lambda report: bleu_4([report] * len(training), training))
    chosen = comparison.constant_reports["bleu_4"]
    assert bleu_4([chosen] * len(training), training) == pytest.approx(
        bleu_4([best] * len(training), training)
    )
    expected = bleu_4([chosen] * len(references), references)
    assert comparison.columns["constant"]["bleu_4"].value == pytest.approx(expected)


def test_constant_labels_are_one_training_reports_findings(
    comparison: Comparison, training: tuple[Words, ...]
) -> None:
    stated = [FindingSet.stated_by(report) for report in training]
    chosen = comparison.constant_labels
    assert {"label_f1_micro", "label_f1_nodule", "place_f1_micro"} <= chosen.keys()
    for name, labels in chosen.items():
        statements = {"place": PLACEMENTS, "severity": SEVERITIES}.get(name.split("_")[0], LABELS)
        assert labels in [statements.names(findings) for findings in stated]


def test_sides_mixed_up_cost_the_figures_of_places_and_no_others(
    written: list[Written], training: tuple[Words, ...]
) -> None:
    other_side = {"left": "right", "right": "left"}
    mirrored = [
        Written(one.film, tuple(other_side.get(word, word) for word in one.film.reference)) for one in written
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "")  # no Java
        model = compare(mirrored, training_of(training), resamples=20, seed=0).columns["model"]
    assert model["label_f1_micro"].value == 1
    # Left effusions and nodules of the right upper lobe: of their places only the zone is still true.
    effusions, nodules = (sum(word in one.film.reference for one in written) for word in ("small", "nodule"))
    for name in ("place_precision_micro", "place_recall_micro", "place_f1_micro"):
        assert model[name].value == pytest.approx(nodules / (effusions + 2 * nodules))


def test_unknown_places_leave_their_figures_out_and_say_why(
    evaluation: Evaluation, written: list[Written], training: tuple[Words, ...]
) -> None:
    def placeless(findings: FindingSet) -> FindingSet:
        return replace(findings, places=None)

    films = [replace(one, film=replace(one.film, truth=placeless(one.film.truth))) for one in written]
    reports = training_of(training)
    placeless_training = replace(reports, truths=tuple(map(placeless, reports.truths)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "")  # no Java
        compared = compare(films, placeless_training, resamples=100, seed=5)
    with_places = evaluation.comparison
    for column in COLUMNS:
        expected = {name: f for name, f in with_places.columns[column].items() if "place_" not in name}
        assert compared.columns[column] == expected
    assert "place_f1_micro" not in compared.constant_labels
    reason = "findings.csv lacks the columns side and zone"
    assert reason in table(replace(evaluation, comparison=compared))
    assert reason not in table(evaluation)
    assert replace(evaluation, comparison=compared).to_json()["without_places"] == reason


@settings(deadline=None)
@given(st.integers(2, 30), st.integers(0, 99))
def test_shuffling_gives_every_report_to_another_film(films: int, seed: int) -> None:
    reports = [(str(film),) for film in range(films)]
    given_out = shuffled(reports, seed)
    assert sorted(given_out) == sorted(reports)
    assert all(mine != other for mine, other in zip(reports, given_out, strict=True))


def test_the_same_seed_gives_the_same_comparison(
    written: list[Written], training: tuple[Words, ...], comparison: Comparison
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "")  # no Java
        again = compare(written, training_of(training), resamples=100, seed=5)
    assert again.columns == comparison.columns
    assert "java" in (again.without_meteor or "")


def test_json_has_a_number_and_an_interval_for_each_figure(evaluation: Evaluation) -> None:
    record = json.loads(evaluation_json(evaluation))
    for column in COLUMNS:
        values = record[column]
        for name in [name for name in values if not name.endswith("_interval")]:
            low, high = values[f"{name}_interval"]
            assert low <= values[name] <= high
    assert record["disclaimer"] == "Draft & not for diagnosis."
    assert record["counts"]["damaged"] == 2
    assert "meteor" not in record["model"]
    assert "java" in record["without_meteor"]


def test_table_fits_into_100_columns_and_says_what_it_is(evaluation: Evaluation) -> None:
    text = table(evaluation)
    assert max(map(len, text.splitlines())) <= 100
    for part in ("most frequent", "label", "bleu_4", "2 damaged", "METEOR is left out", "Draft & not for"):
        assert part in text
    ends = ("places of findings", "severities of findings", "variety and length")
    for start, end in pairwise(ends):
        section = text[text.index(start) : text.index(end)]
        assert [line.split()[0] for line in section.splitlines()[1::2]] == [
            "precision_micro",
            "recall_micro",
            "f1_micro",
        ]


def test_the_table_holds_the_model_against_constant_and_ablations(
    written: list[Written], training: tuple[Words, ...], evaluation: Evaluation
) -> None:
    blind = [("the", "lungs", "are", "clear", ".")] * len(written)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "")  # no Java
        compared = compare(
            written,
            training_of(training),
            resamples=100,
            seed=5,
            ablations={Ablation.WITHOUT_FILM: blind, Ablation.WITHOUT_TEXT: [one.report for one in written]},
        )
    assert tuple(compared.columns) == (*COLUMNS, "without_film", "without_text")
    assert compared.columns["without_text"] == compared.columns["model"]
    assert compared.columns["without_film"]["label_f1_micro"].value == 0
    differences = compared.differences
    assert tuple(differences) == ("constant", "without_film", "without_text")
    assert {figure.value for figure in differences["without_text"].values()} == {0.0}
    assert not {"distinct_share", "length_mean"} & set(differences["constant"])
    text = table(replace(evaluation, comparison=compared))
    assert max(map(len, text.splitlines())) <= 100
    (heading,) = [line for line in text.splitlines() if line.startswith("model minus ...")]
    assert heading.split("  ")[-1].strip() == "without text"
    assert "label_f1_nodule" not in text
    record = replace(evaluation, comparison=compared).to_json()
    of_film = record["differences"]["without_film"]  # type: ignore[index]
    low, high = of_film["label_f1_micro_interval"]
    assert low <= of_film["label_f1_micro"] <= high


def test_differences_are_paired(comparison: Comparison, written: list[Written]) -> None:
    model, constant = comparison.columns["model"], comparison.columns["constant"]
    for name, difference in comparison.differences["constant"].items():
        assert difference.value == model[name].value - constant[name].value
        assert difference.low <= difference.value <= difference.high
    assert model["bleu_1"].resampled is not None
    assert len(model["bleu_1"].resampled) == 100


def test_commas_and_accents_change_no_figure(
    written: list[Written], training: tuple[Words, ...], comparison: Comparison
) -> None:
    def with_commas(words: Words) -> Words:
        return tuple(part for word in words for part in ((word, ",") if word == "size" else (word,)))

    punctuated = [
        Written(
            replace(
                one.film,
                reference=with_commas(one.film.reference),
                truth=FindingSet.stated_by(with_commas(one.film.reference)),
            ),
            with_commas(one.report),
        )
        for one in written
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "")  # no Java
        compared = compare(punctuated, training_of(training), resamples=100, seed=5)
    assert compared.columns == comparison.columns


def test_a_report_that_repeats_its_reference_is_right_about_every_finding() -> None:
    references = [tuple(clean(sentence)) for _, sentence in TRAPS]
    references += [
        tuple(clean("No fracture, stable scoliosis.")),
        tuple(clean("No edema, minimal atelectasis.")),
    ]
    films = [
        Film(f"S{place}", f"S{place}", None, words, FindingSet.stated_by(words))
        for place, words in enumerate(references)
    ]
    training = training_of(tuple(comparable(words) for words in references))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "")  # no Java
        model = compare([Written(film, film.reference) for film in films], training, 0, 0).columns["model"]
    for name in ("label_f1_micro", "label_f1_macro", "place_f1_micro", "severity_f1_micro", "bleu_4"):
        assert model[name].value == pytest.approx(1)
    assert all(Written(film, film.reference).stated == film.truth for film in films)


def test_a_report_without_words_is_no_empty_cell_for_other_scorers(written: list[Written]) -> None:
    silent = Written(written[0].film, ())
    assert _scorer_table([silent], lambda one: one.report) == f"study_id,report\n{silent.film.study_id},.\n"


def test_a_language_that_the_labeller_cannot_read_has_figures_of_text_only(
    evaluation: Evaluation,
) -> None:
    references = [tuple(clean(text)) for text in ("两肺纹理清晰。心影不大。", "右肺上叶见结节。") * 4]
    films = [
        Written(Film(f"S{place}", f"S{place}", None, words, FindingSet.stated_by(words)), references[0])
        for place, words in enumerate(references)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "")  # no Java
        compared = compare(films, training_of(tuple(references)), resamples=10, seed=0)
    assert 0 < compared.columns["model"]["bleu_4"].value < 1
    assert not [name for name in compared.columns["model"] if name.startswith(("label", "place", "sever"))]
    chinese = replace(evaluation, comparison=compared, written=tuple(films))
    assert "The labeller reads English only." in table(chinese)
    html = page(chinese, choose_examples(films, seed=0))
    assert "两肺纹理清晰。心影不大。" in html
    assert "The labeller reads English only" in html
    assert "Highest ROUGE-L." in html
    assert not re.search(r'F1 of|class="?chip|no finding', html)
    assert json.loads(evaluation_json(chinese))["constant_reports"]["bleu_4"] in {
        "两肺纹理清晰。心影不大。",
        "右肺上叶见结节。",
    }


def test_unknown_severities_leave_their_figures_out_and_say_why(
    evaluation: Evaluation, written: list[Written], training: tuple[Words, ...]
) -> None:
    films = [
        replace(one, film=replace(one.film, truth=replace(one.film.truth, severities=None)))
        for one in written
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "")  # no Java
        compared = compare(films, training_of(training), resamples=100, seed=5)
    assert not [name for name in compared.columns["model"] if name.startswith("severity_")]
    reason = "findings.csv lacks the column severity"
    assert f"The severities of findings are left out: {reason}" in table(
        replace(evaluation, comparison=compared)
    )
    assert replace(evaluation, comparison=compared).to_json()["without_severities"] == reason


def chips(true: FindingSet, words: str) -> list[str]:
    film = Film("S1_PA", "S1", None, ("clear", "."), true)
    html = "".join(_card(Example(Written(film, tuple(clean(words))), 0.0, 0.0), counted=True))
    return re.findall(r'class="chip (\w+)">. ([^<]+)<', html)  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("left effusion", [("hit", "pleural effusion, left")]),
        ("right effusion", [("missed", "pleural effusion, left"), ("wrong", "pleural effusion, right")]),
        ("effusion", [("half", "pleural effusion, left")]),
        ("bilateral effusions", [("hit", "pleural effusion, left"), ("wrong", "pleural effusion, right")]),
        ("clear", [("missed", "pleural effusion, left")]),
        ("left effusion. cardiomegaly", [("hit", "pleural effusion, left"), ("wrong", "cardiomegaly")]),
    ],
)
def test_ticks_go_by_side(words: str, shown: list[tuple[str, str]]) -> None:
    effusion = FindingKind.PLEURAL_EFFUSION
    assert chips(FindingSet(frozenset({effusion}), frozenset({(effusion, Side.LEFT)})), words) == shown


def test_ticks_go_by_kind_where_sides_are_not_known() -> None:
    true = FindingSet(frozenset({FindingKind.PLEURAL_EFFUSION}), None)
    assert chips(true, "right effusion") == [("hit", "pleural effusion")]


def test_page_shows_what_was_drawn_and_told_and_the_other_views(
    evaluation: Evaluation, written: list[Written], tmp_path: Path
) -> None:
    from PIL import Image

    Image.linear_gradient("L").save(tmp_path / "film.png")
    film = replace(
        written[0].film,
        view="pa",
        indication="Cough & <fever>.",
        comparison="None.",
        drawn=("mild left pleural effusion", "right upper nodule"),
        others=(OtherView("lateral", tmp_path / "film.png"), OtherView("", None)),
    )
    html = page(evaluation, choose_examples([Written(film, written[0].report)], seed=0))
    for part in (
        "S0_PA, pa",
        "<b>Indication:</b> Cough &amp; &lt;fever&gt;.",
        "<b>Comparison:</b> None.",
        "mild left pleural effusion; right upper nodule",
        "<small>lateral</small>",
        "<small>another view</small>",
        "model − constant",
    ):
        assert part in html


def test_examples_are_ranked_by_findings(written: list[Written]) -> None:
    examples = choose_examples(written, seed=0, shown=5)
    worst, best = examples.worst, examples.best
    assert len(worst) == len(best) == len(examples.random) == 5
    assert max(example.label_f1 for example in worst) <= min(example.label_f1 for example in best)
    assert not {example.written.film.image_id for example in worst} & {
        example.written.film.image_id for example in best
    }


def test_one_film_is_enough_for_examples(written: list[Written]) -> None:
    examples = choose_examples(written[:1], seed=0)
    assert len(examples.worst) == len(examples.random) == 1


def test_f1_of_a_film_without_findings_is_one_when_none_is_stated(written: list[Written]) -> None:
    clear = ("the", "lungs", "are", "clear", ".")
    film = Film("S1_PA", "S1", None, clear, FindingSet(frozenset(), None))
    assert film_f1(Written(film, clear)) == 1
    assert film_f1(Written(film, ("small", "effusion", "."))) == 0
    both = FindingSet(frozenset({FindingKind.NODULE, FindingKind.MASS}), None)
    nodule = Film("S2_PA", "S2", None, clear, both)
    assert film_f1(Written(nodule, ("a", "nodule", "."))) == pytest.approx(2 / 3)


def test_page_is_self_contained_escaped_and_carries_the_disclaimer(
    evaluation: Evaluation, written: list[Written], tmp_path: Path
) -> None:
    html = page(evaluation, choose_examples(written, seed=0))
    assert "small &lt;model&gt;" in html
    assert "<model>" not in html
    assert html.count("Draft &amp; not for diagnosis.") == 2
    assert "no image file" in html
    assert '<th scope="row">place_f1_micro</th>' in html
    assert "http" not in html
    assert all(sign in html for sign in ("✓", "−", "+"))


def test_page_shows_films(evaluation: Evaluation, written: list[Written], tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "film.png"
    Image.linear_gradient("L").resize((600, 900)).save(path)
    (tmp_path / "broken.png").write_bytes(b"no film")
    films = [
        Written(
            Film(one.film.image_id, one.film.study_id, file, one.film.reference, one.film.truth), one.report
        )
        for one, file in zip(written, [path, tmp_path / "broken.png"], strict=False)
    ]
    html = page(evaluation, choose_examples(films, seed=0))
    assert "data:image/jpeg;base64," in html
    assert "film can't be read" in html
