"""What a bundle says of where its weights come from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cxrscribe.disclaimer import DISCLAIMER
from cxrscribe.errors import InputError
from cxrscribe_export.origin import disclaimer_of, is_drawn


def test_the_general_disclaimer_is_always_there() -> None:
    assert disclaimer_of(None, drawn=False) == DISCLAIMER
    assert disclaimer_of("   ", drawn=False) == DISCLAIMER
    assert disclaimer_of("Ward 3 only.", drawn=False) == f"{DISCLAIMER} Ward 3 only."


def test_a_model_of_drawings_says_that_it_knows_nothing_about_patients() -> None:
    for own_words in (None, "It is perfectly safe."):
        text = disclaimer_of(own_words, drawn=True)
        assert text.startswith(DISCLAIMER)
        assert "drawings" in text
        assert "knows nothing about patients" in text


@pytest.mark.parametrize(
    ("summary", "drawn"), [({"reports": 3}, False), ({"reports": 3, "phantom": {"films": 3}}, True)]
)
def test_the_corpus_says_whether_it_was_drawn(
    tmp_path: Path, summary: dict[str, object], drawn: bool
) -> None:
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    assert is_drawn(tmp_path) is drawn


def test_a_corpus_that_does_not_say_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no summary\.json.*cxrscribe corpus"):
        is_drawn(tmp_path)
    (tmp_path / "summary.json").write_text("{")
    with pytest.raises(InputError, match="can't be read"):
        is_drawn(tmp_path)
