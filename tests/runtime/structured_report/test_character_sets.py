import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.charset import convert_encodings
from pydicom.valuerep import PersonName

from cxrscribe.structured_report.character_sets import decoded

JAPANESE = ("", "ISO 2022 IR 87")


def _letters(codec: str) -> st.SearchStrategy[str]:
    """Text of what a set of one byte has above ASCII, and of some of ASCII."""
    found = []
    for byte in range(0xA1, 0x100):
        try:
            found.append(bytes([byte]).decode(codec))
        except UnicodeDecodeError:
            continue
    return st.text(st.sampled_from([*found, *"Az '-"]), max_size=12)


@pytest.mark.parametrize(
    ("term", "codec"),
    [
        ("ISO_IR 100", "latin_1"),
        ("ISO_IR 101", "iso8859_2"),
        ("ISO_IR 109", "iso8859_3"),
        ("ISO_IR 110", "iso8859_4"),
        ("ISO_IR 144", "iso8859_5"),
        ("ISO_IR 127", "iso8859_6"),
        ("ISO_IR 126", "iso8859_7"),
        ("ISO_IR 138", "iso8859_8"),
        ("ISO_IR 148", "iso8859_9"),
        ("ISO_IR 203", "iso8859_15"),
        ("ISO_IR 166", "tis_620"),
        ("ISO_IR 13", "shift_jis"),
        ("ISO 2022 IR 100", "latin_1"),
    ],
)
@given(data=st.data())
def test_names_in_sets_of_one_byte(term: str, codec: str, data: st.DataObject) -> None:
    name = data.draw(_letters(codec))
    assert decoded(name.encode(codec), [term]) == name


@pytest.mark.parametrize(("term", "codec"), [("ISO_IR 192", "utf-8"), ("GB18030", "gb18030"), ("GBK", "gbk")])
@given(data=st.data())
def test_names_in_sets_of_several_bytes(term: str, codec: str, data: st.DataObject) -> None:
    name = data.draw(st.text(st.characters(codec=codec, exclude_categories=["Cc"])))
    assert decoded(name.encode(codec), [term]) == name


@pytest.mark.parametrize(
    ("terms", "letters"),
    [
        (JAPANESE, "山田太郎やまだたろう出"),
        (("ISO 2022 IR 13", "ISO 2022 IR 87"), "山田ヤマ"),
        (("", "ISO 2022 IR 87", "ISO 2022 IR 159"), "山丂丄"),
        (("", "ISO 2022 IR 149"), "洪吉洞홍길동"),
        (("ISO 2022 IR 100", "ISO 2022 IR 144"), "äÖéДжек"),
        (("", "ISO 2022 IR 126", "ISO 2022 IR 144"), "ΔιονυσιοςДжек"),
    ],
)
@given(data=st.data())
def test_names_with_code_extensions_as_pydicom_writes_them(
    terms: tuple[str, ...], letters: str, data: st.DataObject
) -> None:
    part = st.text(st.sampled_from([*letters, *"Ab"]), min_size=1, max_size=6)
    name = "{}^{}={}^{}".format(*data.draw(st.tuples(part, part, part, part)))
    value = PersonName(name).encode(convert_encodings(list(terms)))
    assert decoded(value, terms) == name


def test_the_standards_own_examples() -> None:
    # PS3.5, H.3.1, H.3.2 and I.2
    value = bytes.fromhex(
        "59616d6164615e5461726f753d1b24423b3345441b28425e1b244242404f3a1b2842"
        "3d1b2442246424 5e24401b28425e1b2442243f246d24261b2842".replace(" ", "")
    )
    assert decoded(value, JAPANESE) == "Yamada^Tarou=山田^太郎=やまだ^たろう"
    value = bytes.fromhex(
        "d4cfc0de5ec0db b33d1b24423b3345441b284a5e1b244242404f3a1b284a"
        "3d1b2442246424 5e24401b284a5e1b2442243f246d24261b284a".replace(" ", "")
    )
    assert decoded(value, ("ISO 2022 IR 13", "ISO 2022 IR 87")) == "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"
    value = bytes.fromhex(
        "486f6e675e47696c646f6e673d1b242943fbf35e1b242943d1ced4d73d1b242943c8ab5e1b242943b1e6b5bf"
    )
    assert decoded(value, ("", "ISO 2022 IR 149")) == "Hong^Gildong=洪^吉洞=홍^길동"

    # PS3.5, K.2, with sets that escapes alone bring
    value = b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab="
    assert decoded(value, ("", "ISO 2022 IR 58")) == "Zhang^XiaoDong=张^小东="
    assert decoded(b"\x1b-F\xc4^\x1b-A\xfc", ("", "ISO 2022 IR 126", "ISO 2022 IR 100")) == "Δ^ü"


def test_a_set_that_is_not_left_again_is_forgiven_at_the_end_alone() -> None:
    assert decoded(b"Yamada=\x1b$B;3ED", JAPANESE) == "Yamada=山田"
    assert decoded(b"Yamada=\x1b$B;3ED^B", JAPANESE) is None  # a component, or a character of the two


@pytest.mark.parametrize(
    ("value", "terms"),
    [
        (b"M\xfcller", ()),  # nothing says which set
        (b"M\xfcller", ("ISO_IR 192",)),
        (b"M\xfcller", ("ISO_IR 4711",)),
        (b"M\xfcller", ("latin-1",)),
        (b"M\xfcller", ("ISO 2022 IR 87",)),
        (b"\x80\xe9", ("ISO_IR 192", "ISO_IR 100")),
        (b"Yamada=\x1b$B;3E", JAPANESE),  # half of a character
        (b"Yamada=\x1b$B\x7f\x7f\x1b(B", JAPANESE),
        (b"a\x1b", JAPANESE),
        (b"a\x1b(Q", JAPANESE),
        (b"Yamada=\x1b$B;3ED\x1b(B", ()),  # escapes of sets that the film doesn't have
        (b"Yamada=\x1b$B;3ED\x1b(B", ("ISO_IR 100",)),
        (b"Yamada=\x1b$B;3ED\x1b(B", ("", "ISO 2022 IR 149")),
        (b"1\x1b$)C", JAPANESE),
        (b"\x1b$)C\xfb", ("", "ISO 2022 IR 149")),
    ],
)
def test_bytes_that_a_set_does_not_have_are_no_name(value: bytes, terms: tuple[str, ...]) -> None:
    assert decoded(value, terms) is None


def test_misspelt_terms_are_understood_and_ascii_needs_none() -> None:
    assert decoded(b"M\xfcller", ["ISO-IR 100"]) == decoded(b"M\xfcller", ["ISO IR 100"]) == "Müller"
    assert decoded(b"Mueller", ["nonsense", "more"]) == "Mueller"


@given(st.binary(max_size=40), st.lists(st.sampled_from([*JAPANESE, "ISO_IR 192", "ISO_IR 13", "x"])))
def test_any_bytes_are_text_or_none(value: bytes, terms: list[str]) -> None:
    found = decoded(value, terms)
    assert found is None or found.encode("utf-8").decode("utf-8") == found
