"""Which films the arguments of a command mean, and that no part of an archive is passed over in silence."""

from __future__ import annotations

import errno
import gzip
import os
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from contextlib import nullcontext
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrscribe.archive.plan import Listed, PlannedFilm, film_id
from cxrscribe.archive.sources import members
from cxrscribe.archive.sources.listing import Sources, source_names
from cxrscribe.archive.sources.members import _unused
from cxrscribe.archive.sources.reading import FilmReader
from cxrscribe.errors import InputError
from support.archive_films import small_film, write_tar, write_zip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """b.png, a/c.JPG, a/readme.txt, .hidden.png, and a folder reached by a link that leads back."""
    place = tmp_path / "films"
    (place / "a").mkdir(parents=True)
    (place / "b.png").write_bytes(small_film(0))
    (place / "a" / "c.JPG").write_bytes(small_film(1))
    (place / "a" / "readme.txt").write_text("no film")
    (place / ".hidden.png").write_bytes(small_film(2))
    (place / "a" / "loop").symlink_to(place)
    return place


def found(*arguments: Path | str, stdin: list[bytes] | None = None) -> list[Listed]:
    return list(Sources([str(argument) for argument in arguments], stdin or []).films())


def names(*arguments: Path | str, stdin: list[bytes] | None = None) -> list[str]:
    return [film.film for film in found(*arguments, stdin=stdin)]


def test_folder_stands_for_all_films_in_it_by_name(folder: Path) -> None:
    films = found(folder)
    assert [film.film for film in films] == ["a/c.JPG", "b.png"]
    assert films[1].size == (folder / "b.png").stat().st_size
    assert films[1].stamp == str((folder / "b.png").stat().st_mtime_ns)


def test_dicom_without_suffix_is_found_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "IM0001").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "1.2.840.1").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "NOTES").write_bytes(b"words")
    assert names(tmp_path) == ["1.2.840.1", "IM0001"]


def test_names_are_relative_to_what_all_sources_share(folder: Path, tmp_path: Path) -> None:
    assert Sources([str(folder)]).root == str(folder)
    assert names(folder / "b.png") == ["b.png"]
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "b.png").write_bytes(small_film(3))
    assert Sources([str(folder), str(tmp_path / "more")]).root == str(tmp_path)
    assert names(folder, tmp_path / "more") == ["films/a/c.JPG", "films/b.png", "more/b.png"]


@pytest.mark.parametrize("twice", ["b.png", "a", "*.png", "."])
def test_film_that_is_meant_twice_is_given_once(folder: Path, twice: str) -> None:
    assert sorted(names(folder, folder / twice)) == ["a/c.JPG", "b.png"]


def test_glob(folder: Path) -> None:
    (folder / "a" / "loop").unlink()
    assert names(f"{folder}/*.png") == ["b.png"]
    assert names(f"{folder}/**/*.JPG") == ["a/c.JPG"]
    assert names(f"{folder}/[ab]") == ["a/c.JPG"]
    assert Sources([f"{folder}/[ab]"]).root == str(folder)


def test_lists_name_files_archives_and_what_is_not_there(folder: Path, tmp_path: Path) -> None:
    write_zip(tmp_path / "c.zip", {"x.png": small_film(4)})
    lines = [f"{path}\n".encode() for path in (folder / "b.png", tmp_path / "c.zip", tmp_path / "no.png")]
    expected = ["films/b.png", "c.zip!/x.png", "no.png"]
    assert names("-", stdin=[*lines, b"\n", lines[0]]) == expected
    (tmp_path / "list").write_bytes(b"".join(lines))
    assert names(f"@{tmp_path / 'list'}") == expected
    assert found("-", stdin=lines)[2] == Listed("no.png", -1, "absent")


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("nothing", "no such file"),
        ("@nothing", "can't be read"),
        ("-", "the list is empty"),
    ],
)
def test_argument_that_is_nothing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argument: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=f"{argument}.*{message}"):
        Sources([argument])


def test_sources_are_compared_as_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert source_names(["films/", "@list", "-", "a*.png"]) == (
        str(tmp_path / "films"),
        f"@{tmp_path / 'list'}",
        "-",
        str(tmp_path / "a*.png"),
    )


Write = Callable[[Path, dict[str, bytes]], Path]
ARCHIVES: dict[str, Write] = {
    "x.tar": write_tar,
    "x.tar.gz": lambda path, members: write_tar(path, members, "w:gz"),
    "x.tgz": lambda path, members: write_tar(path, members, "w:gz"),
    "x.zip": write_zip,
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_archive_stands_for_the_films_in_it(tmp_path: Path, name: str) -> None:
    members = {
        "d/b.png": small_film(0),
        "d/a.png": small_film(1),
        "IM1": bytes(128) + b"DICM",
        "notes": b"words",
        "inner.tar": b"not opened",
        ".a.png": small_film(2),
    }
    archive = ARCHIVES[name](tmp_path / name, members)
    expected = [f"{name}!/{member}" for member in ("d/b.png", "d/a.png", "IM1")]
    assert names(archive) == expected
    assert names(tmp_path) == expected
    assert [film.size for film in found(archive)] == [
        len(members[key]) for key in ("d/b.png", "d/a.png", "IM1")
    ]
    assert {film.archive for film in found(archive)} == {name}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["x.tar", "x.zip"])
def test_member_that_stands_twice_is_two_films(tmp_path: Path, name: str) -> None:
    if name == "x.tar":
        with tarfile.open(tmp_path / name, "w") as tar:
            for number in range(2):
                member = tarfile.TarInfo("a.png")
                member.size = len(small_film(number))
                tar.addfile(member, BytesIO(small_film(number)))
    else:
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for number in range(2):
                archive.writestr("a.png", small_film(number))
    first, second = found(tmp_path / name)
    assert [first.film, second.film] == [f"{name}!/a.png", f"{name}!/a.png#2"]
    assert first.stamp != second.stamp


@pytest.fixture
def confusing(tmp_path: Path) -> Path:
    """Members and files that would have one name, were each called by its path and nothing else."""
    place = tmp_path / "films"
    for name in ARCHIVES:
        ARCHIVES[name](tmp_path / name, {"b.png": small_film(1), "y.tar!/b.png": small_film(2)})
        for folder in (f"{name}!", f"{name}!!", f"{name.upper()}!"):
            (place / folder).mkdir(parents=True)
            (place / folder / "b.png").write_bytes(small_film(3))
            write_tar(place / folder / "y.tar", {"b.png": small_film(4)})
        (tmp_path / name).rename(place / name)
    return place


def test_no_two_films_have_one_name(confusing: Path) -> None:
    films = found(confusing)
    assert len(films) == len({film.film for film in films}) == 4 * (2 + 3 * 2)
    for film in films:
        before, separator, _ = film.film.partition("!/")
        if film.archive and "!" not in film.archive:
            assert (before, separator) == (film.archive, "!/")
    listed = {film.film: film.path for film in films}
    assert listed["x.tar!!/b.png"] == "x.tar!/b.png"
    assert listed["x.tar!!!/b.png"] == "x.tar!!/b.png"


def test_names_that_could_be_a_members_cost_no_film(confusing: Path) -> None:
    both = found(confusing / "x.tar", confusing / "x.tar!")
    assert [film.film for film in both] == [
        "x.tar!/b.png",
        "x.tar!/y.tar!/b.png",
        "x.tar!!/b.png",
        "x.tar!!/y.tar!/b.png",
    ]


def test_every_film_is_read_whatever_it_is_called(confusing: Path) -> None:
    films = found(confusing)
    with FilmReader(str(confusing)) as reader:
        for row, each in enumerate(films):
            film = PlannedFilm(row, each.film, each.size, each.stamp, each.archive, each.path)
            number = 4 if "!" in each.archive else 2 if "y.tar" in each.film else 1 if each.archive else 3
            assert reader.read(film) == small_film(number)


@given(names=st.lists(st.sampled_from(["a.png", "b.png", "a.png#2", "a.png#2#2", "a.png#3"]), max_size=30))
def test_members_of_one_name_are_numbered(names: list[str]) -> None:
    taken: dict[bytes, int] = {}
    given_names: list[str] = []
    for name in names:
        expected, number = name, 1
        while expected in given_names:
            number += 1
            expected = f"{name}#{number}"
        assert _unused(name, taken) == expected
        given_names.append(expected)


def test_equal_names_are_not_searched_from_the_first_number(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    def counted(name: str) -> bytes:
        nonlocal asked
        asked += 1
        return film_id(name)

    monkeypatch.setattr(members, "film_id", counted)
    taken: dict[bytes, int] = {}
    for _ in range(1000):
        _unused("a.png", taken)
    assert asked <= 4 * 1000


@pytest.mark.parametrize("name", ARCHIVES)
@pytest.mark.parametrize("damage", ["cut", "nothing"])
def test_archive_that_ends_early_has_a_row_that_will_say_so(tmp_path: Path, name: str, damage: str) -> None:
    members = {f"{number}.png": os.urandom(3000) for number in range(8)}
    archive = ARCHIVES[name](tmp_path / name, members)
    content = archive.read_bytes()
    archive.write_bytes(content[: len(content) * 2 // 3] if damage == "cut" else b"")
    films = found(archive)
    assert films[-1] == Listed(name, -1, "unlisted")
    assert {film.film for film in films[:-1]} <= {f"{name}!/{member}" for member in members}


def test_tar_with_a_damaged_header_does_not_end_there_in_silence(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "x.tar", {f"{number}.png": bytes(512) for number in range(4)})
    content = bytearray(archive.read_bytes())
    content[2 * 1024 : 2 * 1024 + 20] = b"nonsense nonsense no"
    archive.write_bytes(content)
    assert names(archive) == ["x.tar!/0.png", "x.tar!/1.png", "x.tar"]


def test_links_and_folders_in_a_tar_are_no_films(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE):
            member = tarfile.TarInfo("a.png")
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
    assert names(tmp_path / "x.tar") == []


def test_folder_that_can_not_be_searched_has_a_row_that_will_say_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.scandir

    def scandir(path: str) -> object:
        if str(path) == str(folder / "a"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert found(folder)[0] == Listed("a", -1, "unlisted")
    assert names(folder) == ["a", "b.png"]


@pytest.mark.skipif("sys.platform != 'linux'", reason="names are text elsewhere")
def test_name_that_is_no_text_is_kept(tmp_path: Path) -> None:
    path = os.path.join(os.fsencode(tmp_path), b"\xff.png")  # noqa: PTH118
    with open(path, "wb") as file:  # noqa: PTH123
        file.write(small_film(0))
    assert os.fsencode(names(tmp_path)[0]) == b"\xff.png"


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such pipes")
@pytest.mark.parametrize("name", ["x.tar", "x.tar.gz", "x.zip"])
def test_pipe_that_bears_an_archives_name_is_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    assert [(film.film, film.stamp) for film in found(tmp_path)] == [(name, "unlisted")]


@pytest.mark.parametrize(
    "header",
    [
        {"size": b"\x80" + b"\xff" * 11},
        {"size": b"\xff" * 12},  # below 0
        {"typeflag": b"x", "content": b"30 GNU.sparse.map=SMITH,b\n" + b"\n" * 4},
    ],
)
def test_archive_that_makes_its_reader_fail_costs_itself_only(
    tmp_path: Path, header: dict[str, bytes]
) -> None:
    member = tarfile.TarInfo("a.png")
    content = header.get("content", b"")
    member.size = len(content)
    member.type = header.get("typeflag", tarfile.REGTYPE)
    block = bytearray(member.tobuf())
    if "size" in header:
        block[124:136] = header["size"]
        block[148:156] = b"%06o\0 " % tarfile.calc_chksums(bytes(block))[0]  # type: ignore[attr-defined]
    padded = content + bytes(-len(content) % 512)
    (tmp_path / "a.tar").write_bytes(bytes(block) + padded + bytes(1024))
    (tmp_path / "b.png").write_bytes(small_film(0))
    films = found(tmp_path)
    assert [film.film for film in films][-1] == "b.png"
    assert "unlisted" in {film.stamp for film in films} or len(films) == 1


MEGABYTE = 1 << 20


def header(kind: bytes, size: int, name: str = "a.png") -> bytes:
    """A header of a tar, and nothing of what follows it."""
    member = tarfile.TarInfo(name)
    member.type, member.size = kind, size
    return member.tobuf(tarfile.USTAR_FORMAT)


def shared_records(number: int) -> bytes:
    """A megabyte of records for all members that follow, another one for each number."""
    record = f"{MEGABYTE - 1024} number{number:06}=".encode()
    return header(tarfile.XGLTYPE, MEGABYTE) + (
        record + b"x" * (MEGABYTE - 1024 - len(record) - 1) + b"\n" + bytes(1024)
    )


def sparse(blocks: int) -> bytes:
    """GNU's old form of a sparse member, whose map goes on for so many blocks."""
    block = bytearray(header(tarfile.GNUTYPE_SPARSE, 0))
    block[482] = 1  # the map goes on
    block[148:156] = b"%06o\0 " % tarfile.calc_chksums(bytes(block))[0]  # type: ignore[attr-defined]
    more = (b"%011o\0%011o\0" % (1, 1)) * 21 + b"\1" + bytes(7)
    return bytes(block) + more * blocks


BOMBS = {
    "long name": lambda: header(tarfile.GNUTYPE_LONGNAME, 64 * MEGABYTE) + b"a" * (64 * MEGABYTE),
    "long link": lambda: header(tarfile.GNUTYPE_LONGLINK, 64 * MEGABYTE) + b"a" * (64 * MEGABYTE),
    "records": lambda: header(tarfile.XHDTYPE, 64 * MEGABYTE) + bytes(64 * MEGABYTE),
    "long names": lambda: (header(tarfile.GNUTYPE_LONGNAME, MEGABYTE // 2) + b"a" * (MEGABYTE // 2)) * 128,
    "shared records": lambda: b"".join(shared_records(number) + header(b"0", 0) for number in range(64)),
    "shared records of one member": lambda: b"".join(map(shared_records, range(64))),
    "map of a sparse member": lambda: sparse(64 * MEGABYTE // 512),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_headers_of_any_size_are_not_taken_into_memory(tmp_path: Path, kind: str) -> None:
    (tmp_path / "b.png").write_bytes(small_film(0))
    with gzip.open(tmp_path / "a.tar.gz", "wb", 1) as file:
        file.write(BOMBS[kind]() + header(b"0", 0) + bytes(10240))
    tracemalloc.start()
    try:
        films = found(tmp_path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert films[-2:] == [Listed("a.tar.gz", -1, "unlisted"), films[-1]]
    assert films[-1].film == "b.png"
    assert peak < 16 * MEGABYTE


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_long_names_and_records_of_usual_size_are_read(tmp_path: Path, form: int, mode: str) -> None:
    name = "/".join(["a" * 200] * 15) + ".png"
    path = tmp_path / ("a.tar.gz" if mode == "w:gz" else "a.tar")
    with tarfile.open(path, mode, format=form, pax_headers={"comment": "x" * 1000}) as tar:  # type: ignore[call-overload]
        for number in range(3):
            member = tarfile.TarInfo(f"{number}{name}")
            member.size = len(small_film(number))
            member.pax_headers = {"SCHILY.xattr.user.note": "x" * 100_000}
            tar.addfile(member, BytesIO(small_film(number)))
    assert names(path) == [f"{path.name}!/{number}{name}" for number in range(3)]


@pytest.mark.skipif(os.name != "posix", reason="other systems make no such links")
def test_link_in_a_circle_costs_itself_only(folder: Path) -> None:
    for name in ("x", "y.png", "z.tar"):
        (folder / name).symlink_to(folder / name)
    films = found(folder)
    assert [film.film for film in films] == ["a/c.JPG", "b.png", "y.png", "z.tar"]
    assert [film.stamp for film in films[2:]] == ["absent", "unlisted"]


@pytest.mark.parametrize("number", [errno.EACCES, errno.ESTALE, errno.EIO])
def test_entry_of_which_nobody_can_tell_costs_itself_only(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    for name in ("x", "y.png"):
        (folder / name).write_bytes(small_film(7))
    entries_that_fail(monkeypatch, number, {str(folder / "x"), str(folder / "y.png")})
    films = found(folder)
    assert [film.film for film in films] == ["a/c.JPG", "b.png", "x", "y.png"]
    assert films[2] == Listed("x", -1, "unlisted")
    assert films[3].size == len(small_film(7))


def entries_that_fail(monkeypatch: pytest.MonkeyPatch, number: int, paths: set[str]) -> None:
    """Let nobody look at what these paths are, whether a folder or what is in it."""
    real = os.scandir

    class Entry:
        def __init__(self, path: str, is_folder: bool) -> None:
            self.path, self._is_folder = path, is_folder

        def is_dir(self) -> bool:
            if self.path in paths:
                raise OSError(number, os.strerror(number))
            return self._is_folder

    def scandir(path: str) -> object:
        if str(path) in paths:
            raise OSError(number, os.strerror(number))
        with real(path) as entries:
            return nullcontext([Entry(entry.path, entry.is_dir()) for entry in entries])

    monkeypatch.setattr(os, "scandir", scandir)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
@pytest.mark.parametrize("where", ["entry", "folder", "file", "archive"])
def test_no_list_is_made_of_what_the_machine_lacks(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: int, where: str
) -> None:
    (folder / "IM1").write_bytes(bytes(128) + b"DICM")
    write_tar(folder / "x.tar", {"b.png": small_film(1)})
    failing = {"entry": "b.png", "folder": "a", "file": "IM1", "archive": "x.tar"}[where]
    if where in ("entry", "folder"):
        entries_that_fail(monkeypatch, number, {str(folder / failing)})
    real = os.open

    def opened(path: str | Path, *rest: int) -> int:
        if Path(path).name == failing:
            raise OSError(number, os.strerror(number))
        return real(path, *rest)

    monkeypatch.setattr(os, "open", opened)
    with pytest.raises(InputError, match=rf"{failing} can't be listed .* the same command"):
        found(folder)


def test_member_of_which_nobody_can_tell_is_listed(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {f"IM{number}": bytes(128) + b"DICM" for number in range(4)})
    content = bytearray(path.read_bytes())
    second = content.index(b"IM1") - 30
    content[second : second + 4] = b"PK\0\0"  # the header before the second member
    path.write_bytes(content)
    assert names(path) == [f"a.zip!/IM{number}" for number in range(4)]


@pytest.mark.parametrize("prefix", [b"", b"\xef\xbb\xbf"])
def test_lists_may_begin_with_a_mark_of_their_encoding(folder: Path, prefix: bytes) -> None:
    assert names("-", stdin=[prefix + os.fsencode(folder / "b.png") + b"\r\n"]) == ["b.png"]


def test_list_of_another_encoding_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="line 1 is no path; save the list as UTF-8"):
        names("-", stdin=[str(folder / "b.png").encode("utf-16")])
