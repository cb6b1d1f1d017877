"""From each layout to an evaluated run: a tiny training on the collection's films and words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from cxrscribe.cli.main import main
from cxrscribe_train.corpus.table import read_reports
from support.layouts import CHINESE, LAYOUTS, write_own_table

TINY = (
    *("--backbone", "mobilenet_v1", "--backbone-option", "scale=0.125", "--size", 32, "--embedding-size", 16),
    *("--hidden-size", 24, "--layers", 1, "--batch-size", 4, "--epochs", 1, "--min-count", 1),
)


def _run(*arguments: object) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def _evaluated(folder: Path, layout: str, source: Path, *options: object) -> dict[str, object]:
    """Table, train, evaluate twice; the second evaluation's JSON."""
    corpus, run = folder / "corpus", folder / "run"
    _run("corpus", layout, source, "--out", corpus, *options)
    _run("train", "--corpus", corpus, "--end-to-end", "--out", run, *TINY)
    split = "test" if read_reports(corpus).split("test") else "val"
    command = ("evaluate", run, "--corpus", corpus, "--split", split, "--bootstrap", 10, "--max-length", 12)
    _run(*command, "--out", folder / "evaluation")
    record: dict[str, object] = json.loads(_run(*command, "--json"))
    return record


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_collection_of_each_layout_is_trained_on_and_evaluated(
    tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")  # no Java
    source = LAYOUTS[layout](tmp_path / "collection")
    shares = (
        () if layout in {"r2gen", "mimic-cxr", "chexpert-plus"} else ("--train", 0.75, "--validation", 0.3)
    )
    record = _evaluated(tmp_path, layout, source, *shares)
    assert record["times_evaluated"] == 2
    assert {"model", "constant", "without_film", "differences"} <= record.keys()
    assert (tmp_path / "evaluation" / "predicted_reports.csv").is_file()
    studies = json.loads((tmp_path / "run" / "studies.json").read_text())
    assert studies
    assert set(studies) <= {row.study_id for row in read_reports(tmp_path / "corpus").split("train")}
    words = json.loads((tmp_path / "run" / "vocabulary.json").read_text(encoding="utf-8"))
    assert "," in words  # lists are learned with their commas


def test_chinese_reports_are_written_in_chinese(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")  # no Java
    table = write_own_table(tmp_path / "own", texts=CHINESE)
    record = _evaluated(tmp_path, "csv", table, "--train", 0.75, "--validation", 0.3)
    words = json.loads((tmp_path / "run" / "vocabulary.json").read_text(encoding="utf-8"))
    assert {"肺", "结", "节", "、", ","} <= set(words)
    assert record["constant_reports"]["bleu_4"].endswith("。")  # type: ignore[index]
    assert "label_f1_micro" not in record["model"]  # type: ignore[operator]
    references = (tmp_path / "evaluation" / "gt_reports.csv").read_text(encoding="utf-8")
    assert "两肺纹理清晰，未见实变、结节。心影不大。" in references
