"""Manifests that are forged or damaged, and bundles made of links."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

pytest.importorskip("onnx", reason="needs onnx, which has no release for this Python")
if sys.platform == "win32":
    pytest.skip("there are no pipes in the place of files here", allow_module_level=True)

from attacks import links, manifests
from attacks.attack import Attack
from attacks.flips import REFUSED, WITHOUT_EFFECT, flipped, outcome
from cxrscribe.bundle.bundle import Bundle
from cxrscribe.bundle.files import content_sha256, is_bundle_path
from cxrscribe.bundle.manifest import MANIFEST_NAME, Manifest
from cxrscribe.embedded import demo_bundle
from cxrscribe.errors import BundleError, InputError
from cxrscribe.json_object import parse_json_object
from cxrscribe.printable import unprintable
from cxrscribe.vocabulary import SPECIAL_TOKENS, Vocabulary
from support.edited_manifest import edit_manifest
from support.small_bundle import SmallBundle

DEMO = (demo_bundle() / MANIFEST_NAME).read_bytes()


def by_name(attack: Attack) -> str:
    return attack.name.encode("ascii", "backslashreplace").decode()


@pytest.mark.parametrize("attack", manifests.ATTACKS, ids=by_name)
def test_a_hostile_manifest_is_refused(attack: Attack, tmp_path: Path) -> None:
    attack.attempt(tmp_path)


@pytest.mark.parametrize("attack", links.ATTACKS, ids=by_name)
def test_links_lead_to_what_the_manifest_says_or_are_refused(attack: Attack, tmp_path: Path) -> None:
    attack.attempt(tmp_path)


def test_every_flipped_bit_of_a_manifest_is_refused(tmp_path: Path) -> None:
    SmallBundle(words=5).manifest(()).write(tmp_path)
    content, original = (tmp_path / MANIFEST_NAME).read_bytes(), Manifest.read(tmp_path)
    outcomes = {outcome(tmp_path, flipped(content, bit), original) for bit in range(8 * len(content))}
    assert outcomes <= {REFUSED, WITHOUT_EFFECT}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("flips")


@hypothesis_settings(max_examples=500, deadline=None)
@given(place=st.integers(0, len(DEMO) - 1), other=st.integers(0, 255))
def test_any_other_byte_in_the_demo_s_manifest_is_refused_or_without_effect(
    folder: Path, place: int, other: int
) -> None:
    content = bytearray(DEMO)
    content[place] = other
    assert outcome(folder, bytes(content), Manifest.read(demo_bundle())) in (REFUSED, WITHOUT_EFFECT)


@hypothesis_settings(max_examples=200, deadline=None)
@given(start=st.integers(0, len(DEMO) - 1), length=st.integers(1, 400), piece=st.binary(max_size=8))
def test_a_manifest_with_a_piece_cut_out_or_put_in_is_refused(
    folder: Path, start: int, length: int, piece: bytes
) -> None:
    content = DEMO[:start] + piece + DEMO[start + length :]
    assert outcome(folder, content, Manifest.read(demo_bundle())) in (REFUSED, WITHOUT_EFFECT)


def test_spaces_order_and_escapes_of_a_manifest_do_not_matter(tmp_path: Path) -> None:
    bundle = SmallBundle().write(tmp_path / "bundle")
    expected = Manifest.read(bundle)
    fields = json.loads((bundle / MANIFEST_NAME).read_text("utf-8"))
    for written in (
        json.dumps(dict(reversed(fields.items()))),
        json.dumps(fields, indent=4, ensure_ascii=True).replace("\n", "\r\n"),
    ):
        (bundle / MANIFEST_NAME).write_bytes(written.encode())
        assert Manifest.read(bundle) == expected
        assert Manifest.read(bundle).sha256 == expected.sha256


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def exactly(value: object) -> object:
    """Equal for equal values of equal types, whatever the order of names; NaN equals itself."""
    if isinstance(value, dict):
        return frozenset((name, exactly(inner)) for name, inner in value.items())
    if isinstance(value, list):
        return tuple(map(exactly, value))
    return type(value).__name__, repr(value)


@given(one=st.dictionaries(st.text(), JSON, max_size=3), other=st.dictionaries(st.text(), JSON, max_size=3))
def test_checksums_are_equal_where_the_content_is(one: dict[str, Any], other: dict[str, Any]) -> None:
    shuffled = dict(reversed(one.items()))
    assert content_sha256(one) == content_sha256(json.loads(json.dumps(shuffled)))
    assert (content_sha256(one) == content_sha256(other)) == (exactly(one) == exactly(other))


@pytest.mark.parametrize("version", [1, 2])
def test_a_manifest_of_a_version_without_checksum_is_read_as_before(tmp_path: Path, version: int) -> None:
    bundle = SmallBundle().write(tmp_path / "bundle")
    expected = Manifest.read(bundle)

    def back(fields: dict[str, Any]) -> None:
        fields["schema_version"] = version
        del fields["sha256"]
        if version == 1:
            del fields["precisions"]

    edit_manifest(bundle, back)
    assert Manifest.read(bundle) == expected
    assert Manifest.read(bundle).sha256 is None


@pytest.mark.parametrize(
    "change", [lambda fields: fields.pop("sha256"), lambda fields: fields.update(sha256=1)]
)
def test_a_manifest_of_a_version_with_checksum_needs_one(
    tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    bundle = SmallBundle().write(tmp_path / "bundle")
    edit_manifest(bundle, change)
    with pytest.raises(BundleError, match="sha256"):
        Bundle.open(bundle)


def test_what_could_not_be_read_is_not_written(tmp_path: Path) -> None:
    manifest = SmallBundle().manifest(())
    with pytest.raises(BundleError, match=r"producer has the control character U\+001B"):
        replace(manifest, producer="\x1b[2J").write(tmp_path)
    with pytest.raises(BundleError, match=r"more than the .* that are read"):
        replace(manifest, licence="x" * (9 << 20)).write(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_lines_of_a_licence_and_a_disclaimer_stay(tmp_path: Path) -> None:
    manifest = replace(SmallBundle().manifest(()), licence="one\n\ttwo", disclaimer="Not for use.\nNowhere.")
    manifest.write(tmp_path)
    assert Manifest.read(tmp_path) == manifest


@given(text=st.text(max_size=20))
def test_only_what_can_be_shown_is_a_word(text: str) -> None:
    found = unprintable(text)
    if text.strip() and text not in SPECIAL_TOKENS and found is None:
        assert Vocabulary((*SPECIAL_TOKENS, text)).id_of(text) == 4
        text.encode()
        assert len(text.splitlines()) == 1
    else:
        with pytest.raises(InputError, match=r"control character|is empty|twice"):
            Vocabulary((*SPECIAL_TOKENS, text))


@pytest.mark.parametrize(
    "word", ["épanchement", "мягкий", "می\u200cشود", "क्\u200dष", "正常", "5\u00a0mm", "\ue000"]
)
def test_words_of_other_languages_are_words(word: str) -> None:
    assert word in Vocabulary((*SPECIAL_TOKENS, word))


@pytest.mark.parametrize("name", ["a*b", "a?", "<a", "a|b", "a\tb", "a\u202eb", "\udc80"])
def test_a_path_has_no_characters_that_mean_something_elsewhere(name: str) -> None:
    assert not is_bundle_path(name)
    assert is_bundle_path("int8/großer encoder (2).onnx")


def test_deep_documents_are_refused_and_wide_ones_are_not() -> None:
    parse_json_object(b'{"a":' + b"[" * 63 + b"]" * 63 + b"}", "x")
    with pytest.raises(InputError, match="nested deeper than 64"):
        parse_json_object(b'{"a":' + b"[" * 64 + b"]" * 64 + b"}", "x")
    parse_json_object(b'{"a":[' + b"[]," * 10_000 + b"[]]}", "x")
