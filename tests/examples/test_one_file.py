"""The examples that run `report.onnx` without cxrscribe say what `cxrscribe report` says."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

import cxrscribe
from cxrscribe.cli.main import main
from cxrscribe.vocabulary import readable

pytest.importorskip("onnx", reason="needs onnx, to make the file")

import onnx

from support.sentences import PARAGRAPHS
from support.skips import skip_or_fail
from support.small_bundle import SmallBundle

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NODE = EXAMPLES / "node"
LONGEST = 150


def cxr(*arguments: object) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def report_onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onefile") / "report.onnx"
    cxr("onefile", cxrscribe.demo_bundle(), "--out", path)
    return path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, str]:
    """The demo films as the network reads them, and the text of each."""
    folder = tmp_path_factory.mktemp("pictures")
    films = cxrscribe.demo_films()
    lines = cxr("report", *films, "--json").stdout.splitlines()
    texts = {}
    for film, line in zip(films, lines, strict=True):
        picture = folder / f"{film.stem}.pgm"
        cxr("preprocess", film, "--out", picture)
        texts[picture] = json.loads(line)["text"]
    return texts


@pytest.fixture(scope="module")
def film_onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that takes films of any size, and its settings."""
    path = tmp_path_factory.mktemp("onefile") / "film.onnx"
    cxr("onefile", "--input", "film", "--settings", "inputs", "--out", path)
    return path


NOT_WHOLE = "Error: {} is not a whole file of `cxrscribe onefile`; make it with --part whole\n"


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The two parts of a file, each in a file of its own."""
    folder = tmp_path_factory.mktemp("parts")
    for part in ("encoder", "search"):
        cxr("onefile", "--part", part, "--out", folder / f"{part}.onnx")
    return [folder / "encoder.onnx", folder / "search.onnx"]


def run(*command: object, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def assert_reports(done: subprocess.CompletedProcess[str], text: str) -> None:
    assert (done.returncode, done.stderr) == (0, "")
    paragraph, rank, disclaimer = done.stdout.splitlines()
    assert paragraph == text
    assert rank.startswith("score -")
    assert rank.endswith(", finished")
    with cxrscribe.load(cxrscribe.demo_bundle(), device="cpu") as reporter:
        assert disclaimer == reporter.disclaimer


def test_python_without_cxrscribe(report_onnx: Path, pictures: dict[Path, str], tmp_path: Path) -> None:
    program = EXAMPLES / "one_file.py"
    assert "import cxrscribe" not in program.read_text(encoding="utf-8")
    for picture, text in pictures.items():
        done = run(sys.executable, "-W", "error", program, report_onnx, picture, folder=tmp_path)
        assert_reports(done, text)


def test_python_optimizes_once(film_onnx: Path, tmp_path: Path) -> None:
    """From a film of any size. The graph is written at the first start, and then used as it is."""
    film = cxrscribe.demo_films()[0]
    Image.open(film).save(tmp_path / "film.pgm")
    with cxrscribe.load(cxrscribe.demo_bundle(), device="cpu") as reporter:
        text = reporter.report(film).text
    kept = tmp_path / "kept"
    program = EXAMPLES / "one_file.py"
    for _ in range(2):
        done = run(sys.executable, "-W", "error", program, film_onnx, "film.pgm", kept, folder=tmp_path)
        assert_reports(done, text)
        written = {path.name: path.stat().st_mtime_ns for path in kept.iterdir()}
    (graph,) = kept.glob("*.onnx")
    assert graph.stat().st_mtime_ns == written[graph.name]
    made = run(sys.executable, EXAMPLES / "optimized.py", film_onnx, kept, folder=tmp_path)
    assert (made.returncode, Path(made.stdout.strip())) == (0, graph)
    assert {path.name: path.stat().st_mtime_ns for path in kept.iterdir()} == written


@pytest.mark.parametrize("damaged", [".onnx", ".weights"])
def test_python_writes_what_is_damaged_anew(film_onnx: Path, tmp_path: Path, damaged: str) -> None:
    film = cxrscribe.demo_films()[0]
    Image.open(film).save(tmp_path / "film.pgm")
    program, texts = EXAMPLES / "one_file.py", []
    for _ in range(2):
        done = run(sys.executable, "-W", "error", program, film_onnx, "film.pgm", "kept", folder=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        texts.append(done.stdout)
        (kept,) = (path for path in (tmp_path / "kept").glob(f"*{damaged}") if path.stat().st_size > 9)
        whole = kept.stat().st_size
        kept.write_bytes(b"cut off")
    assert texts[0] == texts[1]
    assert whole > 9


def test_python_leaves_nothing_where_it_cant_optimize(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no model", encoding="utf-8")
    done = run(sys.executable, EXAMPLES / "optimized.py", "text.onnx", "kept", folder=tmp_path)
    assert done.returncode == 1
    assert list((tmp_path / "kept").iterdir()) == []


@pytest.mark.slow
def test_node(node_folder: Path, report_onnx: Path, pictures: dict[Path, str]) -> None:
    for picture, text in pictures.items():
        assert_reports(run("node", "report.mjs", report_onnx, picture, folder=node_folder), text)


@pytest.mark.slow
def test_node_says_what_is_wrong(
    node_folder: Path, report_onnx: Path, parts: list[Path], tmp_path: Path
) -> None:
    picture = tmp_path / "film.pgm"
    picture.write_bytes(b"P5\n3 3\n255\n12345678")  # a pixel is missing
    other = cxrscribe.demo_bundle() / "encoder.onnx"
    for arguments, problem in (
        ((), "usage: node report.mjs report.onnx FILM"),
        ((report_onnx, picture), "film.pgm: is no whole PNG, JPEG, DICOM or 8-bit PGM file"),
        ((report_onnx, picture, "--beams", "3"), "--beams"),
        ((report_onnx, picture, "--n-best", "0"), "n-best is 0; give a whole number from 1"),
        ((report_onnx, picture, "--n-best", "many"), "n-best is many; give a whole number from 1"),
        ((report_onnx, tmp_path / "none.pgm"), "none.pgm"),
        ((report_onnx, tmp_path), f"{tmp_path} can't be read"),
        *(((part, picture), NOT_WHOLE.format(part)) for part in (other, *parts)),
    ):
        done = run("node", "report.mjs", *arguments, folder=node_folder)
        assert (done.returncode, done.stdout) == (1, "")
        assert problem in done.stderr


@pytest.mark.slow
def test_node_writes_what_is_damaged_anew(node_folder: Path, film_onnx: Path, tmp_path: Path) -> None:
    """And doesn't touch it at the next start; what is no model leaves nothing behind."""
    film, kept = cxrscribe.demo_films()[0], tmp_path / "is" / "kept"
    done = [run("node", "report.mjs", film_onnx, film, "--optimized", kept, folder=node_folder)]
    (graph,) = kept.iterdir()
    graph.write_bytes(b"cut off")
    done.append(run("node", "report.mjs", film_onnx, film, "--optimized", kept, folder=node_folder))
    written = graph.stat().st_mtime_ns
    done.append(run("node", "report.mjs", film_onnx, film, "--optimized", kept, folder=node_folder))
    assert [(each.returncode, each.stderr, each.stdout) for each in done] == [(0, "", done[0].stdout)] * 3
    assert graph.stat().st_mtime_ns == written
    (tmp_path / "text.onnx").write_text("no model", encoding="utf-8")
    failed = run("node", "report.mjs", tmp_path / "text.onnx", film, "--optimized", kept, folder=node_folder)
    assert failed.returncode == 1
    assert list(kept.iterdir()) == [graph]


@pytest.fixture(scope="module")
def damaged_onnx(film_onnx: Path) -> Path:
    """A file of which most words are missing."""
    damaged, path = onnx.load(film_onnx), film_onnx.with_name("damaged.onnx")
    for entry in damaged.metadata_props:
        if entry.key == "vocabulary":
            entry.value = '["<pad>", "<start>"]'
    onnx.save(damaged, path)
    return path


def test_python_refuses_tokens_without_a_word(damaged_onnx: Path, tmp_path: Path) -> None:
    Image.open(cxrscribe.demo_films()[0]).convert("L").save(tmp_path / "film.pgm")
    done = run(sys.executable, EXAMPLES / "one_file.py", damaged_onnx, "film.pgm", folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"Error: the vocabulary of {damaged_onnx} is damaged: make the file anew\n"


@pytest.mark.slow
def test_node_refuses_tokens_without_a_word(node_folder: Path, damaged_onnx: Path) -> None:
    done = run("node", "report.mjs", damaged_onnx, cxrscribe.demo_films()[0], folder=node_folder)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"Error: the vocabulary of {damaged_onnx} is damaged: make the file anew\n"


@pytest.fixture(scope="module")
def patient_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return SmallBundle(patient=4).write(tmp_path_factory.mktemp("patient") / "bundle")


@pytest.fixture(scope="module")
def patient_onnx(patient_bundle: Path) -> Path:
    path = patient_bundle.parent / "patient.onnx"
    cxr("onefile", patient_bundle, "--input", "film", "--settings", "inputs", "--out", path)
    return path


@pytest.mark.slow
def test_node_gives_what_is_known_of_the_patient(
    node_folder: Path, patient_bundle: Path, patient_onnx: Path, tmp_path: Path
) -> None:
    film, numbers = cxrscribe.demo_films()[0], tmp_path / "numbers.json"
    scores = []
    with cxrscribe.load(patient_bundle, device="cpu") as reporter:
        for text in ("", "Chest pain.", "Cough, fever."):
            (known,) = reporter.encode_indications([text])
            numbers.write_text(json.dumps(known.tolist()), encoding="utf-8")
            given = ("--patient", numbers) if text else ()
            best = reporter.report(film, indication=text or None)
            finished = "finished" if best.finished else "cut off"
            for told in (given, ("--indication", text)):
                done = run("node", "report.mjs", patient_onnx, film, *told, folder=node_folder)
                assert (done.returncode, done.stderr) == (0, "")
                assert (
                    done.stdout == f"{best.text}\nscore {best.score:.2f}, {finished}\n{reporter.disclaimer}\n"
                )
            scores.append(best.score)
    assert len(set(scores)) == 3
    both = ("--indication", "Cough.", "--patient", numbers)
    done = run("node", "report.mjs", patient_onnx, film, *both, folder=node_folder)
    assert done.stderr == "Error: --indication and --patient say the same; give one of them\n"
    for content, problem in (
        ("[1, 2, 3]", "has 3 numbers; the model takes 4"),
        ('["1", 2, 3, 4]', "has something in it that is no number"),
        ("[1e39, 2, 3, 4]", "has something in it that is no number"),
        ('{"numbers": [1, 2, 3, 4]}', "has something in it that is no number"),
        ("[1, 2", "can't be read as JSON"),
    ):
        numbers.write_text(content, encoding="utf-8")
        done = run("node", "report.mjs", patient_onnx, film, "--patient", numbers, folder=node_folder)
        assert (done.returncode, done.stdout) == (1, "")
        assert problem in done.stderr


def test_python_writes_reports_of_a_model_that_reads_the_patient(
    patient_bundle: Path, patient_onnx: Path, tmp_path: Path
) -> None:
    film = tmp_path / "film.pgm"
    Image.open(cxrscribe.demo_films()[0]).convert("L").save(film)
    done = run(sys.executable, "-W", "error", EXAMPLES / "one_file.py", patient_onnx, film, folder=tmp_path)
    with cxrscribe.load(patient_bundle, device="cpu") as reporter:
        best = reporter.report(cxrscribe.demo_films()[0])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[:2] == [
        best.text,
        f"score {best.score:.2f}, {'finished' if best.finished else 'cut off'}",
    ]


def test_python_says_what_is_wrong(report_onnx: Path, parts: list[Path], tmp_path: Path) -> None:
    picture = tmp_path / "film.pgm"
    picture.write_bytes(b"P5\n3 3\n255\n12345678")
    for arguments, problem in (
        ((report_onnx, picture), "film.pgm is not a binary PGM file"),
        ((report_onnx, cxrscribe.demo_films()[0]), ".png is not a binary PGM file"),
        ((tmp_path / "none.onnx", picture), "none.onnx"),
        ((report_onnx, tmp_path / "none.pgm"), "none.pgm"),
        *(
            ((part, picture), NOT_WHOLE.format(part))
            for part in (cxrscribe.demo_bundle() / "encoder.onnx", *parts)
        ),
    ):
        done = run(sys.executable, EXAMPLES / "one_file.py", *arguments, folder=tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        assert problem in done.stderr
        assert "Traceback" not in done.stderr


def test_node_example_is_short_listed_and_pinned_without_a_lock() -> None:
    assert len((NODE / "report.mjs").read_text(encoding="utf-8").splitlines()) < LONGEST
    assert "node/report.mjs" in (EXAMPLES / "README.md").read_text(encoding="utf-8")
    (version,) = json.loads((NODE / "package.json").read_text(encoding="utf-8"))["dependencies"].values()
    assert version.replace(".", "").isdigit()
    others = {path.name for path in NODE.iterdir() if path.suffix != ".mjs"} - {"node_modules"}
    assert others == {"package.json"}


def test_python_joins_words_of_every_language_as_the_runtime_does() -> None:
    spec = importlib.util.spec_from_file_location("one_file", EXAMPLES / "one_file.py")
    assert spec
    assert spec.loader
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    assert [example.readable(words) for words in PARAGRAPHS] == [readable(words) for words in PARAGRAPHS]


def test_node_joins_words_of_every_language_as_the_runtime_does() -> None:
    node = shutil.which("node")
    if node is None:
        skip_or_fail("no node on this machine, which joins the words")
    module = json.dumps((NODE.with_name("javascript") / "words.mjs").as_uri())
    program = f"import {{ readable }} from {module};"
    program += f"console.log(JSON.stringify({json.dumps(PARAGRAPHS)}.map((words) => readable(words))));"
    command = [node, "--input-type=module", "-e", program]
    output = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=True).stdout
    assert json.loads(output) == [readable(words) for words in PARAGRAPHS]
