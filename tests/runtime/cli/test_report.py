"""`cxrscribe report`."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

import cxrscribe
from cxrscribe.cli.options import BeamChoice
from cxrscribe.cli.report import report_rows
from cxrscribe.cli.report_row import CSV_COLUMNS
from cxrscribe.errors import DecodingError
from cxrscribe.report import Report
from cxrscribe.settings import BeamSettings

Run = Callable[..., Result]

DISCLAIMER = "Random words of a test."
NAMES = ("a.png", "b.jpg", "nested/c.PNG")


def rows(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_reports_of_a_folder_are_those_of_the_python_api(run: Run, bundle: Path, films: Path) -> None:
    result = run("report", films, "--bundle", bundle, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    paths = [str(films / name) for name in NAMES]
    with cxrscribe.load(bundle) as reporter:
        expected = [reporter.report(path).to_json() for path in paths]
    assert rows(result.stdout) == [
        {"film": path, "error": None, **report, "disclaimer": DISCLAIMER}
        for path, report in zip(paths, expected, strict=True)
    ]


def test_every_printed_report_has_film_text_and_disclaimer(run: Run, bundle: Path, films: Path) -> None:
    result = run("report", films, "--bundle", bundle)
    assert result.exit_code == 0
    assert result.stdout.count(DISCLAIMER) == len(NAMES)
    with cxrscribe.load(bundle) as reporter:
        for name in NAMES:
            assert str(films / name) in result.stdout
            assert reporter.report(films / name).text in result.stdout


def test_every_setting_reaches_the_search(run: Run, bundle: Path, films: Path) -> None:
    film = films / "a.png"
    options = (
        "--beam-width 4 --n-best 2 --max-length 9 --min-length 3 --length-penalty 0.5 --no-repeat-ngram 2"
    )
    result = run("report", film, "--bundle", bundle, "--json", *options.split(), "--ban", "a", "--ban", "b")
    settings = BeamSettings(4, 9, 3, 0.5, 2, 2, ("a", "b"))
    with cxrscribe.load(bundle) as reporter:
        expected = reporter.report(film, settings)
        assert expected != reporter.report(film)
    assert len(expected.alternatives) == 1
    (row,) = rows(result.stdout)
    assert row == {"film": str(film), "error": None, **expected.to_json(), "disclaimer": DISCLAIMER}
    printed = run("report", film, "--bundle", bundle, *options.split(), "--ban", "a", "--ban", "b").stdout
    assert expected.alternatives[0].text in printed


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_batch_size_changes_nothing(run: Run, bundle: Path, films: Path, batch_size: int) -> None:
    expected = run("report", films, "--bundle", bundle, "--json").stdout
    assert run("report", films, "--bundle", bundle, "--json", "--batch-size", batch_size).stdout == expected


def test_bad_films_are_named_and_the_rest_is_done(run: Run, bundle: Path, films: Path) -> None:
    arguments = ["none.png", films / "a.png", films / "readme.txt", "*.dcm"]
    result = run("report", *arguments, "--bundle", bundle, "--json")
    assert result.exit_code == 1
    missing, good, text, pattern = rows(result.stdout)
    assert good["error"] is None
    assert isinstance(good["text"], str)
    for row, film in ((missing, "none.png"), (text, str(films / "readme.txt")), (pattern, "*.dcm")):
        assert row["film"] == film
        assert row["text"] is row["tokens"] is row["log_prob"] is None
        assert row["disclaimer"] == DISCLAIMER
        assert str(row["error"]).startswith(f"{film}: ")
        assert f"Error: {row['error']}\n" in result.stderr
    assert set(missing) == set(good)


def test_nothing_usable_is_exit_code_2(run: Run, bundle: Path, films: Path) -> None:
    result = run("report", "none.png", films / "readme.txt", "--bundle", bundle)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("Error: ") == 2


def test_paths_from_stdin(run: Run, bundle: Path, films: Path) -> None:
    listed = f"{films / 'b.jpg'}\n\n{films / 'a.png'}\n"
    result = run("report", "-", "--bundle", bundle, "--json", stdin=listed)
    assert [row["film"] for row in rows(result.stdout)] == listed.split()


def test_empty_list_is_done_at_once(run: Run, bundle: Path) -> None:
    result = run("report", "-", "--bundle", bundle, stdin="")
    assert (result.exit_code, result.stdout) == (0, "")


def test_file_name_that_is_not_utf_8(run: Run, bundle: Path, films: Path, tmp_path: Path) -> None:
    path = tmp_path / b"r\xf6ntgen.png".decode("utf-8", "surrogateescape")
    path.write_bytes((films / "a.png").read_bytes())
    for options in ([], ["--json"], ["--out", "reports.csv"], ["--out", "reports.jsonl"]):
        assert run("report", tmp_path, "--bundle", bundle, *options).exit_code == 0
    assert rows((tmp_path / "reports.jsonl").read_text())[0]["film"] == str(path)


def test_without_bundle_the_demo_bundle_is_used_and_named(
    run: Run, bundle: Path, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cxrscribe.demo.demo_bundle", lambda: bundle)
    result = run("report", films / "a.png")
    assert result.exit_code == 0
    assert "embedded demo bundle" in result.stderr
    assert "demo" not in result.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--beam-width", "0"], "beam_width"),
        (["--n-best", "9"], "n_best"),
        (["--ban", "pneumothorax"], "pneumothorax"),
        (["--device", "tpu"], "tpu"),
        (["--precision", "int3"], "int3"),
        (["--bundle", "nowhere"], "nowhere"),
        (["--out", "reports.xls"], "unknown suffix '.xls'; give a name in .jsonl or .csv"),
        (["--out", "no/such/reports.csv"], "can't be written"),
        (["--resume"], "--resume is for --out"),
        (["--out", "reports.csv", "--resume", "--overwrite"], "contradict"),
    ],
)
def test_wrong_usage_is_exit_code_2(
    run: Run, bundle: Path, films: Path, options: list[str], message: str
) -> None:
    result = run("report", films / "a.png", "--bundle", bundle, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("wrong", [("--beam-width", 0), ("--ban", "unheard")])
def test_wrong_settings_leave_the_file_that_overwrite_would_replace(
    run: Run, bundle: Path, films: Path, tmp_path: Path, wrong: tuple[str, object]
) -> None:
    out = tmp_path / "reports.csv"
    out.write_text("kept")
    result = run("report", films, "--bundle", bundle, "--out", out, "--overwrite", *wrong)
    assert (result.exit_code, out.read_text()) == (2, "kept")
    assert str(wrong[1]) in result.stderr


def test_no_film_at_all_is_wrong_usage(run: Run) -> None:
    assert run("report").exit_code == 2


def test_jsonl_file_holds_what_json_prints(run: Run, bundle: Path, films: Path) -> None:
    printed = run("report", films, "none.png", "--bundle", bundle, "--json").stdout
    result = run("report", films, "none.png", "--bundle", bundle, "--out", "reports.jsonl")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "3 reports in reports.jsonl; 1 films failed" in result.stderr
    assert Path("reports.jsonl").read_text() == printed


def test_csv_file(run: Run, bundle: Path, films: Path) -> None:
    run("report", films / "a.png", "none.png", "--bundle", bundle, "--n-best", "2", "--out", "reports.csv")
    with Path("reports.csv").open(newline="", encoding="utf-8") as file:
        good, bad = csv.DictReader(file)
    with cxrscribe.load(bundle) as reporter:
        report = reporter.report(films / "a.png", BeamSettings(max_length=12, n_best=2))
    assert tuple(good) == CSV_COLUMNS
    assert good["film"] == str(films / "a.png")
    assert good["error"] == ""
    assert good["text"] == report.text
    assert float(good["log_prob"]) == report.log_prob
    assert float(good["score"]) == report.score
    assert good["finished"] == ("true" if report.finished else "false")
    assert json.loads(good["alternatives"]) == [alternative.text for alternative in report.alternatives]
    assert good["disclaimer"] == bad["disclaimer"] == DISCLAIMER
    assert bad["film"] == "none.png"
    assert "does not exist" in bad["error"]
    assert bad["text"] == bad["log_prob"] == ""


class StubReporter:
    """Reports `film`'s length as text; the film "none" ends the stream, as a search without a result does."""

    disclaimer = DISCLAIMER

    def report_stream(self, films, settings, *, batch_size):  # type: ignore[no-untyped-def]
        batch = []
        for film in films:
            batch.append(film)
            if len(batch) < batch_size:
                continue
            yield from self._reports(batch)
            batch = []
        yield from self._reports(batch)

    def _reports(self, batch):  # type: ignore[no-untyped-def]
        for film in batch:
            if film == "none":
                raise DecodingError("no hypothesis")
            yield Report(film.upper(), (), 0.0, 0.0, (0.0,), True)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 10])
def test_search_without_a_result_concerns_its_film_only(batch_size: int) -> None:
    films = ["a", "none", "none", "b", "c", "none"]
    found = list(report_rows(StubReporter(), iter(films), BeamSettings(), batch_size))  # type: ignore[arg-type]
    assert [row.film for row in found] == films
    assert [row.error for row in found] == [
        None,
        "none: no hypothesis",
        "none: no hypothesis",
        None,
        None,
        "none: no hypothesis",
    ]
    assert found[3].to_json()["text"] == "B"


def test_beam_choice_leaves_what_was_not_chosen() -> None:
    defaults = BeamSettings(beam_width=7, banned_words=("x",))
    assert BeamChoice().over(defaults) == defaults
    assert BeamChoice(min_length=0, n_best=2).over(defaults) == BeamSettings(
        beam_width=7, banned_words=("x",), n_best=2
    )
