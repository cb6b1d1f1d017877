"""The example in C says what the runtime says, and AddressSanitizer finds nothing."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import cxrscribe
from cxrscribe import BeamSettings, Report
from cxrscribe.cli.main import main
from cxrscribe.vocabulary import readable

pytest.importorskip("onnx", reason="needs onnx, to make the file")

import onnx
from click.testing import CliRunner

from support.kept_folder import kept_folder
from support.sentences import PARAGRAPHS
from support.skips import skip_or_fail
from support.small_bundle import SmallBundle

C = Path(__file__).resolve().parents[2] / "examples" / "c"
LONGEST = 150
BUNDLE = cxrscribe.demo_bundle()
LANGUAGES = """
#include <locale.h>
#include <string.h>
#include "words.h"
int main(int argc, char **argv) { /* each argument is a paragraph of words */
    setlocale(LC_CTYPE, "C.UTF-8");
    for (int i = 1; i < argc; i++) {
        char *words[64];
        int64_t ids[64], count = 0;
        for (char *word = strtok(argv[i], " "); word; word = strtok(NULL, " "), count++)
            words[count] = word, ids[count] = count;
        print_paragraph(words, ids, count);
    }
    return 0;
}
"""


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs, kept for the next run of the tests. CI must have all it takes."""
    if platform.system() != "Linux":
        pytest.skip("the Makefile is for Linux")
    for program in ("cc", "make"):
        if shutil.which(program) is None:
            skip_or_fail(f"no {program} on this machine, which builds the example in C")
    folder = kept_folder("c-example", tmp_path_factory)
    made = make("all", "sanitized", folder=folder)
    if made.returncode and not any(folder.rglob("onnxruntime_c_api.h")):
        skip_or_fail(f"ONNX Runtime's C header isn't here, nor can apt fetch it: {made.stderr[-300:]}")
    assert made.returncode == 0, made.stderr
    return folder


def make(*goals: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = ["make", "-C", str(C), f"PYTHON={sys.executable}", f"BUILD={folder}", *goals]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onefile") / "report.onnx"
    arguments = ["onefile", "--input", "film", "--settings", "inputs", "--out", str(path)]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    return path


@pytest.fixture(scope="module")
def films() -> list[NDArray[np.uint8]]:
    """A demo film as it is, and others of odd sizes."""
    film = Image.open(cxrscribe.demo_films()[1]).convert("L")
    return [np.asarray(film.resize(size)) for size in (film.size, (901, 700), (64, 1000), (150, 140))]


def report(program: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=120, check=False)


def expected(film: NDArray[np.uint8 | np.uint16], settings: BeamSettings | None = None) -> str:
    with cxrscribe.load(BUNDLE, device="cpu") as reporter:
        best = reporter.report(film, settings)
        return "".join(map(_lines, (best, *best.alternatives))) + reporter.disclaimer + "\n"


def _lines(one: Report) -> str:
    return f"{one.text}\nscore {one.score:.2f}, {'finished' if one.finished else 'cut off'}\n"


def write_pgm(film: NDArray[np.uint8 | np.uint16], path: Path) -> Path:
    most, kind = (255, "u1") if film.dtype == np.uint8 else (65535, ">u2")
    path.write_bytes(b"P5\n%d %d\n%d\n" % (*film.shape[::-1], most) + film.astype(kind).tobytes())
    return path


@pytest.mark.slow
def test_films_of_any_size(build: Path, model: Path, films: list[NDArray[np.uint8]], tmp_path: Path) -> None:
    for film in films:
        done = report(build / "report-sanitized", model, write_pgm(film, tmp_path / "film.pgm"))
        assert (done.returncode, done.stderr, done.stdout) == (0, "", expected(film))


@pytest.mark.slow
@pytest.mark.parametrize("whole", [False, True])
def test_samples_of_two_bytes(
    build: Path, model: Path, films: list[NDArray[np.uint8]], tmp_path: Path, whole: bool
) -> None:
    """As PGM and without a header; of a detector's 12 bits, and of 16."""
    film = films[0].astype(np.uint16) * (257 if whole else 13) + (0 if whole else 100)
    text = expected(film)
    raw = tmp_path / "film.raw"
    raw.write_bytes(film.astype("<u2").tobytes())
    size = f"{film.shape[1]}x{film.shape[0]}"
    for arguments in ((write_pgm(film, tmp_path / "film.pgm"),), (raw, "--size", size)):
        done = report(build / "report-sanitized", model, *arguments)
        assert (done.returncode, done.stderr, done.stdout) == (0, "", text)


@pytest.mark.slow
def test_settings_and_several_reports(
    build: Path, model: Path, films: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    film = write_pgm(films[0], tmp_path / "film.pgm")
    options = [
        "--beam-width",
        "5",
        "--max-length",
        "40",
        "--min-length",
        "3",
        "--length-penalty",
        "0.7",
        "--n-best",
        "4",
    ]
    done = report(build / "report-sanitized", model, film, *options)
    settings = BeamSettings(beam_width=5, max_length=40, min_length=3, length_penalty=0.7, n_best=4)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", expected(films[0], settings))


@pytest.mark.slow
def test_optimized_once(build: Path, model: Path, films: list[NDArray[np.uint8]], tmp_path: Path) -> None:
    film = write_pgm(films[0], tmp_path / "film.pgm")
    kept = tmp_path / "is" / "kept"  # is made
    text = expected(films[0])
    for _ in range(2):
        done = report(build / "report-sanitized", model, film, "--optimized", kept)
        assert (done.returncode, done.stderr, done.stdout) == (0, "", text)
        written = {path.name: path.stat().st_mtime_ns for path in kept.iterdir()}
    assert sorted(Path(name).suffix for name in written) == [".onnx", ".weights"]
    done = report(build / "report", model, film, "--optimized", kept)
    assert {path.name: path.stat().st_mtime_ns for path in kept.iterdir()} == written
    shutil.copy(model, tmp_path / "other.onnx")  # another file: what is kept isn't its
    done = report(build / "report", tmp_path / "other.onnx", film, "--optimized", kept)
    assert (done.returncode, done.stdout) == (0, text)
    assert sorted(path.suffix for path in kept.iterdir()) == [".onnx", ".onnx", ".weights", ".weights"]


@pytest.mark.slow
@pytest.mark.parametrize("damaged", [".onnx", ".weights"])
def test_what_is_damaged_is_written_anew(
    build: Path, model: Path, films: list[NDArray[np.uint8]], tmp_path: Path, damaged: str
) -> None:
    film, text = write_pgm(films[0], tmp_path / "film.pgm"), expected(films[0])
    report(build / "report-sanitized", model, film, "--optimized", tmp_path / "kept")
    (kept,) = (tmp_path / "kept").glob(f"*{damaged}")
    kept.write_bytes(b"cut off")
    done = report(build / "report-sanitized", model, film, "--optimized", tmp_path / "kept")
    assert (done.returncode, done.stderr, done.stdout) == (0, "", text)
    (graph,) = (tmp_path / "kept").glob("*.onnx")
    assert graph.stat().st_size > len(b"cut off")


@pytest.mark.slow
def test_nothing_is_left_where_it_cant_be_optimized(
    build: Path, films: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    (tmp_path / "text.onnx").write_text("no model", encoding="utf-8")
    film, kept = write_pgm(films[0], tmp_path / "film.pgm"), tmp_path / "kept"
    done = report(build / "report-sanitized", tmp_path / "text.onnx", film, "--optimized", kept)
    assert done.returncode == 1
    assert list(kept.iterdir()) == []


@pytest.mark.slow
def test_a_token_without_a_word_is_refused(
    build: Path, model: Path, films: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    damaged = onnx.load(model)
    for entry in damaged.metadata_props:
        if entry.key == "vocabulary":
            entry.value = '["<pad>", "<start>"]'
    onnx.save(damaged, tmp_path / "damaged.onnx")
    film = write_pgm(films[0], tmp_path / "film.pgm")
    done = report(build / "report-sanitized", tmp_path / "damaged.onnx", film)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: the model's vocabulary is damaged: make the file anew\n"


@pytest.mark.slow
def test_another_library_is_linked(build: Path, tmp_path: Path) -> None:
    """That of the Python or the folder which was named last, under programs that were built before."""
    link = build / "libonnxruntime.so.1"
    library = link.resolve()
    other = tmp_path / library.name
    shutil.copy(library, other)
    try:
        made = make(f"ORT_LIB={tmp_path}", "all", folder=build)
        assert (made.returncode, link.resolve()) == (0, other), made.stderr
    finally:
        made = make("all", folder=build)
    assert (made.returncode, link.resolve()) == (0, library), made.stderr


@pytest.mark.slow
def test_what_is_wrong_is_said(
    build: Path, model: Path, films: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    film = write_pgm(films[0], tmp_path / "film.pgm")
    cut = tmp_path / "cut.pgm"
    cut.write_bytes(film.read_bytes()[:-1])
    huge = tmp_path / "huge.pgm"
    huge.write_bytes(b"P5\n100000 100000\n255\n")
    many = tmp_path / "many.pgm"
    many.write_bytes(b"P5\n10001 10000\n255\n")
    long = tmp_path / "long.pgm"
    long.write_bytes(b"P5\n18446744073709551632 16\n255\n" + bytes(256))  # 16, to who takes it for 64 bits
    parts = [tmp_path / f"{part}.onnx" for part in ("encoder", "search")]
    for part in parts:
        made = CliRunner().invoke(main, ["onefile", "--part", part.stem, "--out", str(part)])
        assert made.exit_code == 0
    odd = tmp_path / "odd.pgm"
    odd.write_bytes(b"P5\n16 16\n4294967551\n" + bytes(256))  # 255, to who takes it for 32 bits
    for arguments, problem in (
        ((), "usage: report report.onnx FILM.pgm"),
        ((model, odd), "odd.pgm has a largest value out of 255 to 65535"),
        ((model, film, "--n-best", "0"), "--n-best has to be a whole number from 1"),
        ((model, film, "--n-best", "3x"), "--n-best has to be a whole number from 1"),
        ((model, film, "--beams", 5), "usage: report"),
        ((model, film, "--beam-width"), "usage: report"),
        ((model, film, "--beam-width", "many"), "--beam-width has to be a whole number"),
        ((model, film, "--max-length", "1.5"), "--max-length has to be a whole number"),
        ((model, film, "--length-penalty", "nan"), "--length-penalty has to be a number"),
        ((model, film, "--size", "5 by 5"), "needs a size like"),
        ((model, film, "--size", "100x100junk"), "needs a size like"),
        ((model, film, "--size", "99999999999999999999x100"), "needs a size like"),
        ((model, film, "--size", "5000x5000"), "has more or fewer samples"),
        ((model, film, "--optimized", film / "none"), "the folder of the optimized graph can't be made"),
        ((model, cut), "cut.pgm has more or fewer samples"),
        ((model, huge), "huge.pgm has a side out of 16 to 20000"),
        ((model, many), "many.pgm has more than 100 megapixels"),
        ((model, long), "long.pgm is no binary PGM"),
        ((model, tmp_path / "none.pgm"), "none.pgm can't be opened"),
        ((model, model), "is no binary PGM"),
        ((tmp_path / "none.onnx", film), "none.onnx"),
        *(
            ((part, film), f"{part} is not a whole file of `cxrscribe onefile`; make it with --part whole")
            for part in (BUNDLE / "encoder.onnx", *parts)
        ),
    ):
        done = report(build / "report-sanitized", *arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("Error: ")
        assert problem in done.stderr


@pytest.mark.slow
def test_a_model_that_reads_the_patient(build: Path, films: list[NDArray[np.uint8]], tmp_path: Path) -> None:
    """It reports without where that may be left out, and says so where not."""
    bundle = SmallBundle(patient=4).write(tmp_path / "bundle")
    film = write_pgm(films[0], tmp_path / "film.pgm")
    for how in ("defaults", "inputs"):
        arguments = ["onefile", str(bundle), "--input", "film", "--settings", how]
        assert CliRunner().invoke(main, [*arguments, "--out", str(tmp_path / f"{how}.onnx")]).exit_code == 0
    done = report(build / "report-sanitized", tmp_path / "defaults.onnx", film)
    with cxrscribe.load(bundle, device="cpu") as reporter:
        wanted = _lines(reporter.report(films[0])) + reporter.disclaimer + "\n"
    assert (done.returncode, done.stderr, done.stdout) == (0, "", wanted)
    done = report(build / "report-sanitized", tmp_path / "inputs.onnx", film)
    assert (done.returncode, done.stdout) == (1, "")
    assert "make its file with --settings defaults" in done.stderr


@pytest.mark.slow
def test_words_of_every_language(build: Path, tmp_path: Path) -> None:
    source, program = tmp_path / "languages.c", tmp_path / "languages"
    source.write_text(LANGUAGES, encoding="utf-8")
    command = [
        "cc",
        "-std=c11",
        "-Werror",
        "-fsanitize=address,undefined",
        f"-I{C}",
        source,
        C / "words.c",
        "-o",
        program,
    ]
    subprocess.run([str(part) for part in command], check=True)
    done = report(program, *(" ".join(words) for words in PARAGRAPHS))
    assert done.stdout.splitlines() == [readable(words) for words in PARAGRAPHS]


def test_example_is_short_and_listed() -> None:
    assert len((C / "report.c").read_text(encoding="utf-8").splitlines()) < LONGEST
    assert "c/report.c" in (C.parent / "README.md").read_text(encoding="utf-8")
