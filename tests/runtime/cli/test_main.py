"""The command line as a whole: finding commands, errors, exit codes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import click
import pytest
from click.testing import Result

from cxrscribe.cli import main as command_line
from cxrscribe.errors import InputError
from cxrscribe.version import __version__

Run = Callable[..., Result]


@pytest.fixture
def announce(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Announce a command as a higher package does: `announce("name", callback, extra)`."""
    points: list[EntryPoint] = []
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: points)

    def announce(name: str, callback: Callable[[], None] | None, extra: str | None = None) -> None:
        module = f"cxrscribe_test_{name}"
        if callback is not None:
            contents = ModuleType(module)
            contents.command = click.Command(name, callback=callback, short_help=f"help of {name}")  # type: ignore[attr-defined]
            monkeypatch.setitem(sys.modules, module, contents)
        value = f"{module}:command" + (f" [{extra}]" if extra else "")
        points.append(EntryPoint(name, value, command_line.ENTRY_POINT_GROUP))

    return announce


def raising(error: BaseException) -> Callable[[], None]:
    def callback() -> None:
        raise error

    return callback


def test_version(run: Run) -> None:
    result = run("--version")
    assert result.exit_code == 0
    assert __version__ in result.stdout


def test_help_lists_every_command_with_its_help(run: Run, announce: Callable[..., None]) -> None:
    announce("train", lambda: None, "train")
    result = run("--help")
    assert result.exit_code == 0
    for name in ("demo", "report", "preprocess", "inspect"):
        assert f"\n  {name} " in result.stdout
    assert "help of train" in result.stdout
    assert "not for diagnostic use" in " ".join(result.stdout.split())


def test_help_needs_neither_numpy_nor_pillow_nor_onnxruntime() -> None:
    heavy = ("numpy", "PIL", "onnxruntime", "pydicom", "paddle", "h5py", "matplotlib", "onnx")
    script = (
        "import sys; from cxrscribe.cli.main import main, command_sources\n"
        "for source in command_sources().values(): print(source.load().name)\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    *loaded, brought = done.stdout.splitlines()
    assert {
        "demo",
        "report",
        "preprocess",
        "inspect",
        "corpus",
        "features",
        "train",
        "evaluate",
        "export",
    } <= {*loaded}
    assert brought == "[]"


def test_announced_command_runs(run: Run, announce: Callable[..., None]) -> None:
    announce("train", lambda: click.echo("trained"), "train")
    assert run("train").stdout == "trained\n"


def test_own_command_can_not_be_replaced(run: Run, announce: Callable[..., None]) -> None:
    announce("report", lambda: click.echo("other"))
    assert "FILM..." in run("report", "--help").stdout


def test_broken_command_does_not_break_the_others(run: Run, announce: Callable[..., None]) -> None:
    announce("grade", None)
    announce("train", lambda: click.echo("trained"))
    listed = run("--help")
    assert listed.exit_code == 0
    assert "grade" in listed.stdout
    assert "(can't be loaded)" in listed.stdout
    assert run("train").stdout == "trained\n"
    result = run("grade", "film.png", "--json")
    assert result.exit_code == 2
    assert "Error: cxrscribe grade can't be loaded" in result.stderr


@pytest.mark.parametrize("module", ["paddle", "h5py.h5"])
def test_missing_module_names_the_extra(run: Run, announce: Callable[..., None], module: str) -> None:
    announce("train", raising(ModuleNotFoundError(f"No module named '{module}'", name=module)), "train")
    result = run("train")
    assert result.exit_code == 2
    assert result.stderr == (
        f"Error: cxrscribe train (module {module}) needs the extra 'train'. "
        "Install it: pip install 'cxrscribe[train]'\n"
    )


def test_command_whose_module_needs_a_missing_module_names_the_extra(
    run: Run, announce: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cxrscribe_test_train.py").write_text("import no_such_module\n")
    monkeypatch.syspath_prepend(tmp_path)
    announce("train", None, "train")
    assert "(needs the extra 'train')" in run("--help").stdout
    result = run("train")
    assert result.exit_code == 2
    assert "pip install 'cxrscribe[train]'" in result.stderr


def test_missing_module_of_our_own_is_not_blamed_on_an_extra(run: Run, announce: Callable[..., None]) -> None:
    announce("train", raising(ModuleNotFoundError("gone", name="cxrscribe_train.gone")), "train")
    result = run("train")
    assert isinstance(result.exception, ModuleNotFoundError)


def test_error_is_a_line_on_stderr_and_exit_code_2(run: Run, announce: Callable[..., None]) -> None:
    announce("train", raising(InputError("no corpus at x; give one")))
    result = run("train")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "Error: no corpus at x; give one\n"


def test_interruption_is_exit_code_130(run: Run, announce: Callable[..., None]) -> None:
    announce("train", raising(KeyboardInterrupt()))
    result = run("train")
    assert (result.exit_code, result.stderr) == (130, "Interrupted.\n")


def test_defect_of_the_program_is_not_hidden(run: Run, announce: Callable[..., None]) -> None:
    announce("train", raising(ZeroDivisionError()))
    assert isinstance(run("train").exception, ZeroDivisionError)


def test_unknown_command_is_wrong_usage(run: Run) -> None:
    assert run("diagnose").exit_code == 2


def test_closed_pipe_ends_without_a_traceback(small_bundle: Path) -> None:
    script = f"{sys.executable} -m cxrscribe inspect {small_bundle} --json | head -c 10"
    done = subprocess.run(script, shell=True, capture_output=True, text=True, check=True)
    assert done.stdout == '{\n "schema'
    assert "Traceback" not in done.stderr


def test_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cxrscribe", "--help"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("Usage: cxrscribe [OPTIONS] COMMAND")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device", "/x"), "No space left on device"),
        (MemoryError(), "there is not enough memory"),
        (RuntimeError("can't start new thread"), "can't start new thread"),
    ],
)
def test_machine_that_has_no_more_is_exit_code_2(
    run: Run, announce: Callable[..., None], error: Exception, said: str
) -> None:
    announce("train", raising(error))
    result = run("train")
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_command_of_its_own_reads_no_entry_points() -> None:
    code = (
        "import sys; from cxrscribe.cli.main import main\n"
        "main(['report', '--help'], standalone_mode=False)\n"
        "print(sorted({'importlib.metadata', 'subprocess', 'tempfile', 'zipfile'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
