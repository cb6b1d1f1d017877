"""`cxrscribe score` and its commands, as a user gives them."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from support.archive_films import small_film, write_films, write_zip

Run = Callable[..., Result]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A folder of 25 films."""
    return write_films(tmp_path / "archive", 25)


def score(run: Run, *arguments: object, code: int = 0, stdin: bytes | None = None) -> Result:
    result = run("score", *arguments, "--device", "cpu", stdin=stdin)
    assert result.exit_code == code, result.output
    return result


def test_archive_is_scored_in_one_command(run: Run, archive: Path) -> None:
    done = score(run, archive, "--run", "out")
    assert done.stdout == "25 films = 25 ok + 0 quarantined + 0 missing\n"
    assert "25 films in 1 shards: out" in done.stderr
    assert "embedded demo bundle" in done.stderr
    checked = run("score", "verify", "out")
    assert (checked.exit_code, checked.stdout.splitlines()[0]) == (
        0,
        "planned 25 = 25 ok + 0 quarantined + 0 missing",
    )
    assert run("score", "status", "out").stdout.startswith("25 of 25 films (100 %), 0 quarantined\n")


@pytest.mark.parametrize("name", ["status", "films"])
def test_folder_may_be_called_as_a_command_is(run: Run, archive: Path, name: str) -> None:
    shutil.copytree(archive, name)
    scored = run("score", name, "--run", "RUN", "--threads", 1)
    assert scored.exit_code == 0, scored.output
    assert run("score", "status", "RUN").exit_code == 0
    assert "No such option '--run'" in run("score", "verify", "--run", "RUN").stderr


def test_same_command_goes_on_and_needs_no_source(run: Run, archive: Path) -> None:
    score(run, archive, "--run", "out", "--shard-films", 5, "--part", "1/3", code=0)
    before = {path.name for path in Path("out/parts").rglob("part-*")}
    assert before == {"part-000000.jsonl.gz", "part-000003.jsonl.gz"}
    unfinished = run("score", "verify", "out")
    assert (unfinished.exit_code, "15 missing" in unfinished.stdout) == (1, True)
    score(run, "--run", "out", "--part", "2/3")
    score(run, "--run", "out")
    assert run("score", "verify", "out").exit_code == 0


@pytest.mark.parametrize("part", ["0/3", "4/3", "3", "a/b", "1/0"])
def test_part_that_is_none_is_named(run: Run, archive: Path, part: str) -> None:
    refused = score(run, archive, "--run", "out", "--part", part, code=2)
    assert f"--part is '{part}'; give I/N" in refused.stderr


def test_other_settings_are_refused_with_field_and_remedy(run: Run, archive: Path) -> None:
    score(run, archive, "--run", "out")
    refused = score(run, archive, "--run", "out", "--beam-width", 2, code=2)
    assert "settings.beam_width was 3 and is 2; give the same again, or another --run" in refused.stderr


def test_sources_may_be_lists_globs_and_archives(run: Run, archive: Path, tmp_path: Path) -> None:
    write_zip(tmp_path / "more.zip", {"x.png": small_film(77)})
    paths = [str(archive / "000" / "00001.png"), str(tmp_path / "more.zip")]
    done = score(run, "-", f"{archive}/001/*.png", "--run", "out", stdin="\n".join(paths).encode())
    assert done.stdout.startswith("12 films = 12 ok")
    again = score(run, "-", f"{archive}/001/*.png", "--run", "out")  # stdin isn't read again
    assert again.stdout == done.stdout
    Path("list").write_text("\n".join(paths))
    assert score(run, "@list", "--run", "listed").stdout.startswith("2 films = 2 ok")


def test_films_that_can_not_be_done_are_counted_and_decide_the_exit_code(run: Run, archive: Path) -> None:
    (archive / "000" / "00003.png").write_bytes(b"words")
    done = score(run, archive, "--run", "out", code=1)
    assert done.stdout == "25 films = 24 ok + 1 quarantined (1 not_a_radiograph) + 0 missing\n"
    assert "00003" not in done.output
    assert score(run, archive, "--run", "out", "--max-quarantined", 0.04).stdout == done.stdout
    assert run("score", "verify", "out").exit_code == 1
    assert run("score", "verify", "out", "--max-quarantined", 0.04).exit_code == 0


def test_retry_scores_what_came_back(run: Run, archive: Path) -> None:
    score(run, archive, "--run", "out", "--plan-only")
    film = archive / "000" / "00003.png"
    film.rename(archive / "away")
    score(run, "--run", "out", code=1)
    nothing = score(run, "retry", "out", "truncated")
    assert "No film to retry" in nothing.stderr
    (archive / "away").rename(film)
    done = score(run, "retry", "out", "missing")
    assert done.stdout == "25 films = 25 ok + 0 quarantined + 0 missing\n"
    assert "1 films to retry" in done.stderr
    assert run("score", "verify", "out").exit_code == 0
    unknown = run("score", "retry", "out", "nonsense")
    assert (unknown.exit_code, "'nonsense' is no reason; there are" in unknown.stderr) == (2, True)


def test_plan_can_be_made_alone(run: Run, archive: Path) -> None:
    score(run, archive, "--run", "out", "--plan-only")
    found = json.loads(run("score", "status", "out", "--json").stdout)
    assert (found["films"], found["done"], found["shards"]) == (25, 0, 1)


def test_broken_part_is_put_aside_and_scored_anew(run: Run, archive: Path) -> None:
    score(run, archive, "--run", "out", "--shard-films", 10)
    part = Path("out/parts/000/part-000001.jsonl.gz")
    whole = part.read_bytes()
    part.write_bytes(whole[:-20] + bytes(10) + whole[-10:])
    broken = run("score", "verify", "out", "--drop-broken")
    assert broken.exit_code == 2
    assert "part-000001.jsonl.gz is damaged" in broken.stderr
    assert "put aside: 1 files" in broken.stdout
    score(run, "--run", "out")
    assert part.read_bytes() == whole


def test_verify_reads_and_scores_again(run: Run, archive: Path) -> None:
    score(run, archive, "--run", "out")
    done = run("score", "verify", "out", "--deep", "--sample", 7, "--device", "cpu")
    assert done.exit_code == 0
    assert "read again: 25 films, 0 differ\nscored again: 7 films, 0 differ\n" in done.stdout
    found = json.loads(run("score", "verify", "out", "--json").stdout)
    assert (found["planned"], found["ok"], found["missing"], found["repeated"]) == (25, 25, 0, 0)


def test_workers_are_an_option(run: Run, archive: Path) -> None:
    done = score(run, archive, "--run", "out", "--workers", 2, "--shard-films", 5)
    assert done.stdout.startswith("25 films = 25 ok")


def test_duplicates_are_counted(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "twins"
    folder.mkdir()
    for name in ("a.png", "b.png", "c.png"):
        (folder / name).write_bytes(small_film(int(name == "c.png")))
    assert "1 films have the bytes of another one of their shard" in score(run, folder, "--run", "out").stdout


def test_rows_are_exported_and_compacted(run: Run, archive: Path) -> None:
    score(run, archive, "--run", "out", "--shard-films", 5, "--part", "1/2")
    unfinished = run("score", "export", "out", "--out", "all.csv")
    assert (unfinished.exit_code, unfinished.stderr) == (1, "15 rows in all.csv; 10 films aren't done yet\n")
    assert run("score", "compact", "out", "--out", "large").exit_code == 2
    score(run, "--run", "out")
    assert run("score", "export", "out", "--out", "all.csv").exit_code == 2
    assert run("score", "export", "out", "--out", "all.csv", "--overwrite").exit_code == 0
    assert len(Path("all.csv").read_text().splitlines()) == 26
    assert run("score", "compact", "out", "--out", "large", "--rows", 10).stderr == "3 files in large\n"


def test_names_may_be_hashes(run: Run, archive: Path) -> None:
    Path("key").write_text("0123456789abcdef0123456789abcdef")
    hashed = ("--film-names", "hash", "--key", "key")
    refused = score(run, archive, "--run", "out", "--film-names", "hash", code=2)
    assert "give both" in refused.stderr
    score(run, archive, "--run", "out", *hashed, "--plan-only")
    assert "give the same --key" in score(run, "--run", "out", code=2).stderr
    score(run, "--run", "out", *hashed)
    assert run("score", "verify", "out", "--key", "key").exit_code == 0
    assert "No film to retry" in score(run, "retry", "out", "--key", "key").stderr


def test_parquet_without_its_extra_is_refused_before_anything_is_scored(
    run: Run, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    refused = score(run, archive, "--run", "out", "--format", "parquet", code=2)
    assert "pip install 'cxrscribe[parquet]'" in refused.stderr
    assert not Path("out/run.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing", "--run", "out"], "nothing: there is no such file or folder"),
        (["--run", "out"], "holds no run yet"),
        (["verify", "out"], "holds no run"),
        (["status", "out"], "holds no run"),
        (["archive", "--run", "out", "--ban", "nonsense"], "nonsense"),
    ],
)
def test_wrong_usage_is_named_and_begins_nothing(
    run: Run, archive: Path, arguments: list[str], message: str
) -> None:
    result = run("score", *[str(archive) if word == "archive" else word for word in arguments])
    assert result.exit_code == 2
    assert message in result.stderr
    assert not Path("out/run.json").exists()


def test_help_shows_how_to_score_and_the_other_commands(run: Run) -> None:
    text = run("score", "--help").stdout
    assert text.startswith("Usage: main score [OPTIONS] [SOURCE]...")
    for word in ("--run", "--workers", "--bundle", "--beam-width", "status", "verify", "retry"):
        assert word in text
    assert "RUN" in run("score", "verify", "--help").stdout
    assert "score" in run("--help").stdout


@pytest.mark.slow
@pytest.mark.skipif("sys.platform == 'win32'", reason="Windows has no such signal")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interruption_ends_in_good_order(archive: Path, tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "cxrscribe", "score", archive, "--run", tmp_path / "run"]
    command += ["--device", "cpu", "--shard-films", "1"]
    process = subprocess.Popen([*map(str, command)], stderr=subprocess.PIPE, text=True)
    while not list((tmp_path / "run").glob("parts/*/part-*")):
        assert process.poll() is None
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode in (0, 130)  # it may have been done by then
    assert "Traceback" not in said
    done = {path.name[5:11] for path in (tmp_path / "run").glob("parts/*/part-*")}
    assert {path.name[:6] for path in (tmp_path / "run" / "attempts").iterdir()} <= done
