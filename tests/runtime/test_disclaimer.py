"""What reports say of themselves."""

from __future__ import annotations

from cxrscribe.disclaimer import DISCLAIMER, disclaimer_of, with_disclaimer


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


def test_the_general_disclaimer_makes_the_three_statements() -> None:
    for statement in ("Draft", "Not for diagnostic use", "To be reviewed by a radiologist"):
        assert statement in DISCLAIMER


def test_other_words_never_stand_without_the_general_disclaimer() -> None:
    assert with_disclaimer("Trust it blindly.") == f"{DISCLAIMER} Trust it blindly."
    assert with_disclaimer(f"Ward 3. {DISCLAIMER}") == f"Ward 3. {DISCLAIMER}"
    assert with_disclaimer("") == DISCLAIMER
