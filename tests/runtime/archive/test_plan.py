"""The list of films: cut into shards, frozen, and made once however many planners there are."""

from __future__ import annotations

import gzip
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cxrscribe.archive import layout
from cxrscribe.archive.places.folder import Folder
from cxrscribe.archive.plan import Listed, Plan, make_plan
from cxrscribe.errors import InputError


def listed(count: int, size: int = 100, prefix: str = "") -> list[Listed]:
    return [Listed(f"{prefix}{number}.png", size, str(number)) for number in range(count)]


def plan(tmp_path: Path, films: list[Listed], shard_films: int = 10) -> tuple[Folder, Plan]:
    place = Folder(tmp_path / "run")
    return place, make_plan(place, films, "/films", ("/films",), shard_films)


def test_every_film_is_in_one_shard_in_order(tmp_path: Path) -> None:
    films = [*listed(24), Listed("a.tar!/\udcff.png", 5, "7:512", "a.tar")]
    place, made = plan(tmp_path, films)
    assert [shard.films for shard in made.shards] == [10, 10, 5]
    rows = [film for shard in range(3) for film in made.read_shard(place, shard)]
    assert [film.row for film in rows] == list(range(25))
    assert [(film.film, film.size, film.stamp, film.archive) for film in rows] == [
        (film.film, film.size, film.stamp, film.archive) for film in films
    ]
    assert made.films == 25
    assert Plan.read(place) == made


def test_shard_is_closed_at_two_gibibytes(tmp_path: Path) -> None:
    _, made = plan(tmp_path, listed(5, size=1 << 30), shard_films=1000)
    assert [shard.films for shard in made.shards] == [2, 2, 1]


def test_same_films_make_the_same_plan(tmp_path: Path) -> None:
    _, first = plan(tmp_path / "a", listed(25))
    _, second = plan(tmp_path / "b", listed(25))
    _, other = plan(tmp_path / "c", listed(26))
    assert first == second
    assert other.sha256 != first.sha256


def test_of_planners_at_once_one_wins_and_the_others_leave_nothing(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(
            pool.map(lambda number: plan(tmp_path, listed(30 + number, prefix=f"{number}-"))[1], range(4))
        )
    assert len({each.sha256 for each in made}) == 1
    place = Folder(tmp_path / "run")
    assert place.names(layout.PLAN_FOLDER) == sorted(shard.file for shard in made[0].shards)
    for shard in range(len(made[0].shards)):
        made[0].read_shard(place, shard)


def test_file_that_another_planner_is_writing_is_left_alone(tmp_path: Path) -> None:
    unfinished = tmp_path / "run" / "plan" / ".tmp-other"
    leftover = tmp_path / "run" / "plan" / "000000-0123456789abcdef.jsonl.gz"
    unfinished.parent.mkdir(parents=True)
    unfinished.touch()
    leftover.touch()
    plan(tmp_path, listed(5))
    assert (unfinished.exists(), leftover.exists()) == (True, False)


def test_plan_that_was_not_finished_is_none(tmp_path: Path) -> None:
    place, made = plan(tmp_path, listed(25))
    place.remove(layout.PLAN)
    assert Plan.read(place) is None
    assert plan(tmp_path, listed(25))[1] == made


def test_damaged_plan_is_named(tmp_path: Path) -> None:
    place, made = plan(tmp_path, listed(25))
    file = tmp_path / "run" / made.shards[1].file
    file.write_bytes(gzip.compress(gzip.decompress(file.read_bytes()).replace(b"15.png", b"16.png")))
    with pytest.raises(InputError, match=made.shards[1].file):
        made.read_shard(place, 1)
    with pytest.raises(InputError, match="no shard 3"):
        made.read_shard(place, 3)


def test_plan_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no film was found"):
        plan(tmp_path, [])
    assert Plan.read(Folder(tmp_path / "run")) is None
