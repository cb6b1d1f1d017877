"""`cxrscribe report`."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE

import pytest
from click.testing import Result

import cxrscribe
from cxrscribe.cli.options import BeamChoice
from cxrscribe.cli.report_row import CSV_COLUMNS
from cxrscribe.films.film import FilmSource, read_film
from cxrscribe.films.isolation import Isolation
from cxrscribe.films.levels import Picture
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe.settings import BeamSettings

Run = Callable[..., Result]

DISCLAIMER = (
    "Draft text made by a computer program. Not for diagnostic use. To be reviewed by a radiologist. "
    "Random words of a test."
)
NAMES = ("a.png", "b.jpg", "nested/c.PNG")


def rows(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_reports_of_a_folder_are_those_of_the_python_api(run: Run, small_bundle: Path, films: Path) -> None:
    result = run("report", films, "--bundle", small_bundle, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    paths = [str(films / name) for name in NAMES]
    with cxrscribe.load(small_bundle) as reporter:
        expected = [reporter.report(path).to_json() for path in paths]
    assert rows(result.stdout) == [
        {"film": path, "error": None, **report, "disclaimer": DISCLAIMER}
        for path, report in zip(paths, expected, strict=True)
    ]


def test_every_printed_report_has_film_text_and_disclaimer(run: Run, small_bundle: Path, films: Path) -> None:
    result = run("report", films, "--bundle", small_bundle)
    assert result.exit_code == 0
    assert result.stdout.count(DISCLAIMER) == len(NAMES)
    with cxrscribe.load(small_bundle) as reporter:
        for name in NAMES:
            assert str(films / name) in result.stdout
            assert reporter.report(films / name).text in result.stdout


def test_every_setting_reaches_the_search(run: Run, small_bundle: Path, films: Path) -> None:
    film = films / "a.png"
    options = (
        "--beam-width 4 --n-best 2 --max-length 9 --min-length 3 --length-penalty 0.5 --no-repeat-ngram 2"
    )
    result = run(
        "report", film, "--bundle", small_bundle, "--json", *options.split(), "--ban", "a", "--ban", "b"
    )
    settings = BeamSettings(4, 9, 3, 0.5, 2, 2, ("a", "b"))
    with cxrscribe.load(small_bundle) as reporter:
        expected = reporter.report(film, settings)
        assert expected != reporter.report(film)
    assert len(expected.alternatives) == 1
    (row,) = rows(result.stdout)
    assert row == {"film": str(film), "error": None, **expected.to_json(), "disclaimer": DISCLAIMER}
    printed = run(
        "report", film, "--bundle", small_bundle, *options.split(), "--ban", "a", "--ban", "b"
    ).stdout
    assert expected.alternatives[0].text in printed


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_batch_size_changes_nothing(run: Run, small_bundle: Path, films: Path, batch_size: int) -> None:
    expected = run("report", films, "--bundle", small_bundle, "--json").stdout
    assert (
        run("report", films, "--bundle", small_bundle, "--json", "--batch-size", batch_size).stdout
        == expected
    )


def test_bad_films_are_named_and_the_rest_is_done(run: Run, small_bundle: Path, films: Path) -> None:
    arguments = ["none.png", films / "a.png", films / "readme.txt", "*.dcm"]
    result = run("report", *arguments, "--bundle", small_bundle, "--json")
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


def test_nothing_usable_is_exit_code_2(run: Run, small_bundle: Path, films: Path) -> None:
    result = run("report", "none.png", films / "readme.txt", "--bundle", small_bundle)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("Error: ") == 2


def test_paths_from_stdin(run: Run, small_bundle: Path, films: Path) -> None:
    listed = f"{films / 'b.jpg'}\n\n{films / 'a.png'}\n"
    result = run("report", "-", "--bundle", small_bundle, "--json", stdin=listed)
    assert [row["film"] for row in rows(result.stdout)] == listed.split()


def test_empty_list_is_done_at_once(run: Run, small_bundle: Path) -> None:
    result = run("report", "-", "--bundle", small_bundle, stdin="")
    assert (result.exit_code, result.stdout) == (0, "")


def test_file_name_that_is_not_utf_8(run: Run, small_bundle: Path, films: Path, tmp_path: Path) -> None:
    path = tmp_path / b"r\xf6ntgen.png".decode("utf-8", "surrogateescape")
    path.write_bytes((films / "a.png").read_bytes())
    for options in ([], ["--json"], ["--out", "reports.csv"], ["--out", "reports.jsonl"]):
        assert run("report", tmp_path, "--bundle", small_bundle, *options).exit_code == 0
    assert rows((tmp_path / "reports.jsonl").read_text())[0]["film"] == str(path)


def test_without_bundle_the_demo_bundle_is_used_and_named(
    run: Run, small_bundle: Path, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cxrscribe.embedded.demo_bundle", lambda: small_bundle)
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
        (["--overwrite"], "--overwrite is for --out and --sr"),
        (["--out", "reports.csv", "--resume", "--overwrite"], "contradict"),
    ],
)
def test_wrong_usage_is_exit_code_2(
    run: Run, small_bundle: Path, films: Path, options: list[str], message: str
) -> None:
    result = run("report", films / "a.png", "--bundle", small_bundle, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("wrong", [("--beam-width", 0), ("--ban", "unheard")])
def test_wrong_settings_leave_the_file_that_overwrite_would_replace(
    run: Run, small_bundle: Path, films: Path, tmp_path: Path, wrong: tuple[str, object]
) -> None:
    out = tmp_path / "reports.csv"
    out.write_text("kept")
    result = run("report", films, "--bundle", small_bundle, "--out", out, "--overwrite", *wrong)
    assert (result.exit_code, out.read_text()) == (2, "kept")
    assert str(wrong[1]) in result.stderr


def test_no_film_at_all_is_wrong_usage(run: Run) -> None:
    assert run("report").exit_code == 2


def test_jsonl_file_holds_what_json_prints(run: Run, small_bundle: Path, films: Path) -> None:
    printed = run("report", films, "none.png", "--bundle", small_bundle, "--json").stdout
    result = run("report", films, "none.png", "--bundle", small_bundle, "--out", "reports.jsonl")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "3 reports in reports.jsonl; 1 films failed" in result.stderr
    assert Path("reports.jsonl").read_text() == printed


def test_csv_file(run: Run, small_bundle: Path, films: Path) -> None:
    run(
        "report",
        films / "a.png",
        "none.png",
        "--bundle",
        small_bundle,
        "--n-best",
        "2",
        "--out",
        "reports.csv",
    )
    with Path("reports.csv").open(newline="", encoding="utf-8") as file:
        good, bad = csv.DictReader(file)
    with cxrscribe.load(small_bundle) as reporter:
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


# Forbids every report of the small bundle: it has eight words.
IMPOSSIBLE = ("--no-repeat-ngram", "1", "--min-length", "11")


@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_search_without_a_report_concerns_its_film_only_and_is_done_once(
    run: Run, small_bundle: Path, films: Path, monkeypatch: pytest.MonkeyPatch, batch_size: int
) -> None:
    read: list[object] = []

    def counted(
        preprocessing: Preprocessing,
        film: FilmSource,
        _: Isolation,
        modalities: tuple[str, ...],
        text: str | None,
    ) -> Picture:
        assert modalities == ("CR", "DX")
        read.append(film)
        return Picture(preprocessing.apply(read_film(film)), "as stored")

    monkeypatch.setattr(Preprocessing, "read_shown", counted)
    paths = [str(films / "a.png"), "none.png", str(films / "b.jpg"), str(films / "nested" / "c.PNG")]
    options = ("--bundle", small_bundle, "--json", "--batch-size", batch_size, *IMPOSSIBLE)
    result = run("report", *paths, *options)
    assert result.exit_code == 2
    assert [row["film"] for row in rows(result.stdout)] == paths
    for row in rows(result.stdout):
        reason = "file does not exist" if row["film"] == "none.png" else "the search ended without any report"
        assert str(row["error"]).startswith(f"{row['film']}: {reason}")
    assert sorted(map(str, read)) == sorted(paths)


def start(*arguments: object) -> subprocess.Popen[str]:
    """Run `cxrscribe report` in a process of its own, with pipes that stay open."""
    command = [sys.executable, "-m", "cxrscribe", "report", *map(str, arguments)]
    return subprocess.Popen(command, stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True)


def answer(process: subprocess.Popen[str], film: Path) -> dict[str, object]:
    """Give it one path, and wait for the line that it prints for it."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{film}\n")
    process.stdin.flush()
    with ThreadPoolExecutor(1) as pool:
        line = pool.submit(process.stdout.readline)
        try:
            found: dict[str, object] = json.loads(line.result(timeout=60))
        except TimeoutError:
            process.kill()
            raise
    return found


@pytest.mark.parametrize("options", [["--batch-size", "1"], []])
def test_client_on_the_other_end_of_a_pipe_is_answered_film_by_film(
    small_bundle: Path, films: Path, options: list[str]
) -> None:
    with start("-", "--bundle", small_bundle, "--json", *options) as process:
        for name in ("a.png", "b.jpg", "a.png"):
            row = answer(process, films / name)
            assert (row["film"], row["error"]) == (str(films / name), None)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")


def test_interruption_while_stdin_is_open_ends_at_once(small_bundle: Path, films: Path) -> None:
    with start("-", "--bundle", small_bundle, "--json") as process:
        answer(process, films / "a.png")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        assert process.stderr is not None
        assert process.stderr.read() == "Interrupted.\n"


def run_in_shell(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(script, shell=True, capture_output=True, text=True, check=False, timeout=120)


def test_closed_stdin_is_no_matter_unless_it_is_asked_for(small_bundle: Path, films: Path) -> None:
    program = f"{sys.executable} -m cxrscribe report --bundle {small_bundle}"
    done = run_in_shell(f"{program} {films / 'a.png'} - <&-")
    assert done.returncode == 2
    assert str(films / "a.png") in done.stdout  # what came before is not lost
    assert done.stderr == "Error: stdin is closed; pipe a list of paths into it, or leave - out\n"
    done = run_in_shell(f"{program} {films / 'a.png'} <&-")
    assert (done.returncode, done.stderr) == (0, "")


def test_impossible_name_is_named_and_the_rest_is_done(run: Run, small_bundle: Path, films: Path) -> None:
    name = "x" * 300 + ".png"
    result = run("report", name, films / "a.png", "--bundle", small_bundle, "--json")
    assert result.exit_code == 1
    bad, good = rows(result.stdout)
    assert bad["error"] == f"{name}: can't be opened (File name too long); check its rights"
    assert good["error"] is None


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("name", ["reports.jsonl", "reports.csv"])
def test_full_disk_is_exit_code_2(
    run: Run, small_bundle: Path, films: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).symlink_to("/dev/full")
    result = run("report", films, "--bundle", small_bundle, "--out", name, "--overwrite")
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: {name} can't be written (No space left on device); ")


def test_beam_choice_leaves_what_was_not_chosen() -> None:
    defaults = BeamSettings(beam_width=7, banned_words=("x",))
    assert BeamChoice().over(defaults) == defaults
    assert BeamChoice(min_length=0, n_best=2).over(defaults) == BeamSettings(
        beam_width=7, banned_words=("x",), n_best=2
    )


def test_samples_say_how_they_were_drawn(run: Run, small_bundle: Path, films: Path) -> None:
    film = films / "a.png"
    options = "--decoding sample --temperature 0.7 --top-k 5 --samples 4 --n-best 3 --seed 1 --max-length 9"
    result = run("report", film, "--bundle", small_bundle, "--json", *options.split())
    settings = BeamSettings(
        max_length=9, decoding="sample", temperature=0.7, top_k=5, samples=4, n_best=3, seed=1
    )
    with cxrscribe.load(small_bundle) as reporter:
        expected = reporter.report(film, settings)
    assert len(expected.alternatives) == 2
    (row,) = rows(result.stdout)
    assert row == {
        "film": str(film),
        "error": None,
        **expected.to_json(),
        "settings": settings.to_json(),
        "disclaimer": DISCLAIMER,
    }


def test_a_consensus_from_the_command_line(run: Run, small_bundle: Path, films: Path) -> None:
    film = films / "a.png"
    result = run(
        "report", film, "--bundle", small_bundle, "--json", "--decoding", "consensus", "--samples", 5
    )
    with cxrscribe.load(small_bundle) as reporter:
        settings = replace(reporter.settings, decoding="consensus", samples=5)
        expected = reporter.report(film, settings)
    (row,) = rows(result.stdout)
    assert row["settings"] == settings.to_json()
    assert (row["text"], row["score"]) == (expected.text, expected.score)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--temperature 0.7", "temperature is 0.7, but decoding is 'beam'"),
        ("--decoding sample --beam-width 3", "beam_width is 3, but decoding is 'sample', which has no beam"),
        ("--decoding consensus", "samples is 1, but a consensus needs 3 or more"),
        ("--decoding best", "decoding is 'best'"),
    ],
)
def test_settings_that_do_not_go_together_are_exit_code_2(
    run: Run, small_bundle: Path, films: Path, options: str, said: str
) -> None:
    result = run("report", films / "a.png", "--bundle", small_bundle, *options.split())
    assert result.exit_code == 2
    assert f"Error: {said}" in result.stderr


def test_another_decoding_takes_over_what_holds_for_any() -> None:
    searched = BeamSettings(beam_width=7, max_length=30, min_length=5, length_penalty=0.7, n_best=7)
    drawn = BeamSettings(max_length=30, min_length=5, decoding="sample", samples=4)
    assert BeamChoice(decoding="sample", samples=4).over(searched) == drawn
    assert BeamChoice(decoding="beam").over(drawn) == BeamSettings(max_length=30, min_length=5)
    assert BeamChoice(decoding="sample", seed=3).over(drawn) == replace(drawn, seed=3)
    assert BeamChoice(top_k=3).over(drawn) == replace(drawn, top_k=3)
