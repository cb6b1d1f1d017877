"""What reports say of themselves."""

from __future__ import annotations

from cxrscribe.disclaimer import DISCLAIMER, disclaimer_of


def test_the_general_disclaimer_is_always_there() -> None:
    assert disclaimer_of(drawn=False) == DISCLAIMER
    assert disclaimer_of("   ", drawn=False) == DISCLAIMER
    assert disclaimer_of("Ward 3 only.", drawn=False) == f"{DISCLAIMER} Ward 3 only."


def test_a_model_of_drawings_says_that_it_knows_nothing_about_patients() -> None:
    for own_words in (None, "It is perfectly safe."):
        text = disclaimer_of(own_words, drawn=True)
        assert text.startswith(DISCLAIMER)
        assert "drawings" in text
        assert "knows nothing about patients" in text
