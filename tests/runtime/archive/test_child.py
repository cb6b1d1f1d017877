"""Programs in processes of their own: whatever they say, nobody waits for them for ever."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cxrscribe.archive.child import Child
from support.archive_films import small_film

SECONDS = 120
"""After which a test fails that would wait for ever."""

Start = Callable[..., Child]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start a program that has said what its parent asked for, and then does this."""
    children: list[Child] = []
    monkeypatch.syspath_prepend(tmp_path)

    def started(then: str, before: str = "") -> Child:
        (tmp_path / "sitecustomize.py").write_text(before)
        (tmp_path / "said_by_a_child.py").write_text(
            "import os, sys, time\nfrom cxrscribe.archive.child import Parent\nparent = Parent()\n"
            "parent.say({'heard': parent.request().text('word')})\n" + then
        )
        children.append(Child("said_by_a_child", {"word": "a word"}))
        return children[-1]

    yield started
    for child in children:
        child.kill()


@pytest.mark.parametrize(
    "before",
    [
        "print('hello from site')",
        "print('hello from site', flush=True)",
        "import os; os.write(1, b'\\xff no end of a line')",
        "import os; os.write(1, b'{}\\n' * 100_000)",
        "import os; os.write(1, b'x' * 1_000_000)",
    ],
)
def test_what_is_printed_before_a_program_begins_is_passed_over(start: Start, before: str) -> None:
    child = start("print('and then', flush=True)\nos.write(1, b'x')\nparent.say({'done': True})\n", before)
    heard, done = child.receive(SECONDS), child.receive(SECONDS)
    assert heard is not None
    assert heard.text("heard") == "a word"
    assert done is not None
    assert done.boolean("done")
    assert child.receive(SECONDS) is None


@pytest.mark.parametrize("nonsense", [b"nonsense\n", b"[]\n", b"[" * 100_000 + b"\n", b"\xff\n"])
def test_who_says_nonsense_is_ended(start: Start, nonsense: bytes) -> None:
    child = start(
        f"parent._said.write({nonsense!r} + b'more' * 1_000_000)\nparent._said.flush()\ntime.sleep(1000)\n"
    )
    assert child.receive(SECONDS) is not None
    assert child.receive(SECONDS) is None
    assert child.returncode not in (None, 0)


def test_program_that_does_not_begin_has_ended(start: Start) -> None:
    child = start("", "import os; print('hello', flush=True); os._exit(3)")
    assert child.receive(SECONDS) is None
    assert child.returncode == 3


def test_decoders_end_with_a_program_whose_parent_is_gone(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "film.png").write_bytes(small_film(0))
    folders = tmp_path / "temporary"
    folders.mkdir()
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.setenv(name, str(folders))
    child = start(
        "parent.listen(lambda _: None)\n"
        "from cxrscribe.films.isolation import Isolation\n"
        "from cxrscribe.films.preprocess import Preprocessing\n"
        f"Preprocessing(24, 32).read({str(tmp_path / 'film.png')!r}, Isolation('all'))\n"
        f"parent.say({{'folders': len(os.listdir({str(folders)!r}))}})\n"
        "time.sleep(1000)\n"
    )
    child.receive(SECONDS)
    said = child.receive(SECONDS)
    assert said is not None
    assert said.integer("folders") == 1
    child._process.stdin.close()  # type: ignore[union-attr]
    assert child.receive(SECONDS) is None
    assert list(folders.iterdir()) == []
