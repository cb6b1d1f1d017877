from __future__ import annotations

from pathlib import Path

import pytest

from cxrscribe.errors import InputError
from cxrscribe_train.corpus.table import Corpus, CorpusRow, read_reports
from cxrscribe_train.evaluation.metrics.finding_set import FindingSet, placed
from cxrscribe_train.evaluation.subject import DrawnTruth, Subject, TrainingReports
from cxrscribe_train.findings import FindingKind, Side, Zone

HEADER = "study_id,image_id,finding,side,zone,severity\n"


def row(study: str, split: str, findings: str, image: bool = True) -> CorpusRow:
    path = f"images/{study}.png" if image else ""
    return CorpusRow(study, f"{study}_PA", path, findings, "", "", "", "", split)


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return Corpus(
        tmp_path,
        (
            row("S1", "train", "No effusion."),
            row("S2", "train", "", image=False),
            row("S3", "test", "A nodule. No mass."),
            row("S4", "test", ""),
            row("S5", "test", "Lungs are clear.", image=False),
            row("S6", "test", "Lungs are clear."),
        ),
    )


def test_films_without_text_or_image_are_counted(corpus: Corpus) -> None:
    subject = Subject.of(corpus, "test")
    assert [film.image_id for film in subject.films] == ["S3_PA", "S6_PA"]
    assert (subject.without_findings, subject.without_image) == (1, 1)
    assert subject.films[0].reference == ("a", "nodule", ".", "no", "mass", ".")
    assert subject.films[0].path == corpus.root / "images/S3.png"


def test_features_stand_in_for_image_files(corpus: Corpus) -> None:
    subject = Subject.of(corpus, "test", frozenset({"S5_PA"}))
    assert [film.image_id for film in subject.films] == ["S5_PA"]
    assert subject.films[0].path is None


def test_truth_is_the_labellers_without_a_file(corpus: Corpus) -> None:
    subject = Subject.of(corpus, "test")
    assert subject.truth == "labeller"
    assert subject.films[0].truth == FindingSet(frozenset({FindingKind.NODULE}), frozenset(), frozenset())


def test_truth_is_what_was_drawn_where_there_is_a_file(corpus: Corpus) -> None:
    (corpus.root / "findings.csv").write_text(
        HEADER + "S3,S3_PA,mass,left,upper,\nS1,S1_PA,nodule,left,upper,\n"
    )
    subject = Subject.of(corpus, "test")
    assert subject.truth == "findings.csv"
    assert [film.truth.kinds for film in subject.films] == [{FindingKind.MASS}, frozenset()]
    assert [truth.kinds for truth in TrainingReports.of(corpus).truths] == [{FindingKind.NODULE}]


def test_drawn_places_are_the_sides_and_zones_of_the_file(corpus: Corpus) -> None:
    (corpus.root / "findings.csv").write_text(
        HEADER
        + "S3,S3_PA,granuloma,bilateral,upper,\nS3,S3_PA,pneumothorax,left,,mild\n"
        + "S3,S3_PA,cardiomegaly,,,mild\nS1,S1_PA,nodule,right,mid,\n"
    )
    assert [film.truth.places for film in Subject.of(corpus, "test").films] == [
        placed(FindingKind.GRANULOMA, Side.BILATERAL, Zone.UPPER)
        | placed(FindingKind.PNEUMOTHORAX, Side.LEFT, Zone.NONE),
        frozenset(),
    ]
    nodule = placed(FindingKind.NODULE, Side.RIGHT, Zone.MID)
    assert TrainingReports.of(corpus).truths == (
        FindingSet(frozenset({FindingKind.NODULE}), nodule, frozenset()),
    )


@pytest.mark.parametrize("columns", ["image_id,finding", "image_id,finding,side", "image_id,finding,zone"])
def test_places_are_unknown_where_the_file_lacks_side_or_zone(corpus: Corpus, columns: str) -> None:
    (corpus.root / "findings.csv").write_text(f"{columns}\nS3_PA,mass,\n")
    films = Subject.of(corpus, "test").films
    assert [film.truth for film in films] == [
        FindingSet(frozenset({FindingKind.MASS}), None),
        FindingSet(frozenset(), None),
    ]


def test_limit_takes_the_first_films(corpus: Corpus) -> None:
    assert [film.image_id for film in Subject.of(corpus, "all", limit=1).films] == ["S1_PA"]


def test_nothing_to_evaluate_is_an_error_that_says_why(corpus: Corpus) -> None:
    with pytest.raises(InputError, match="1 have no FINDINGS, 3 no features"):
        Subject.of(corpus, "test", frozenset())


def test_training_split_without_text_is_an_error(corpus: Corpus) -> None:
    with pytest.raises(InputError, match=r"split 'train'.*has no FINDINGS"):
        TrainingReports.of(Corpus(corpus.root, corpus.rows[1:]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEADER + "S3,S3_PA,mass,,,\nS3,S3_PA,broken,,,\n", "line 3: no finding is called 'broken'"),
        (
            HEADER + "S3,S3_PA,mass,top,,\n",
            "line 2: no side is called 'top'; known are left, right",
        ),
        (
            HEADER + "S3,S3_PA,mass,left,top,\n",
            "'top'; known are upper, mid, lower, nothing",
        ),
        (HEADER + "S3,S3_PA,mass\n", "no side is called None"),
        ("study_id,image_id\n", "no column finding"),
        ("", "no column finding, image_id"),
    ],
)
def test_wrong_file_of_drawn_findings_is_named(corpus: Corpus, content: str, message: str) -> None:
    (corpus.root / "findings.csv").write_text(content)
    with pytest.raises(InputError, match=message):
        DrawnTruth.read(corpus)


def test_reads_a_corpus_from_disk(corpus_folder: Path) -> None:
    subject = Subject.of(read_reports(corpus_folder), "test")
    assert len(subject.films) == 9
    assert all(film.path is not None and film.path.is_file() for film in subject.films)
