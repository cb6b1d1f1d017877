"""Attacks by what a manifest says, and by what lies in its place."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attacks.attack import Attack, bind_socket, frugal, load, refused
from cxrscribe.bundle.bundle import Bundle
from cxrscribe.bundle.manifest import MANIFEST_NAME
from support.edited_manifest import edit_manifest
from support.precision_record import INT8
from support.small_bundle import SmallBundle

Change = Callable[[dict[str, Any]], object]
_SPECIAL = ["<pad>", "<start>", "<end>", "<unk>"]

SNEAKY = {
    "escape": "\x1b[2K\x1b]0;x\x07",
    "line end": "normal\nno effusion",
    "carriage return": "x\ry",
    "zero": "a\0b",
    "delete": "a\x7f",
    "C1 control": "\x9b31m",
    "right-to-left override": "no \u202efusion",
    "isolate": "\u2067x",
    "zero-width space": "normal\u200b",
    "byte order mark": "\ufeffnormal",
    "soft hyphen": "nor\xadmal",
    "line separator": "a\u2028b",
    "tag character": "a\U000e0041",
    "lone surrogate": "a\ud800",
    "other half": "\udc00",
}


def _changed(name: str, change: Change) -> Attack:
    """A manifest with other content and the right checksum: to be refused when it is opened."""

    def attempt(folder: Path) -> None:
        bundle = SmallBundle().write(folder / "bundle")
        edit_manifest(bundle, change)
        with frugal():
            refused(lambda: load(bundle))

    return Attack(name, attempt)


def _set(*path: str | int, to: object) -> Change:
    def change(fields: Any) -> None:
        for key in path[:-1]:
            fields = fields[key]
        fields[path[-1]] = to

    return change


def _many_words(fields: dict[str, Any]) -> None:
    fields["vocabulary"] = [*_SPECIAL, *(word for i in range(100_000) for word in (str(i), str(i)))]


def _many_files(fields: dict[str, Any]) -> None:
    file = {**fields["files"][0], "inputs": [], "outputs": []}
    fields["files"] += [{**file, "path": f"{i}.onnx"} for i in range(40_000)]
    fields["files"].append(dict(fields["files"][-1]))


def _many_precisions(fields: dict[str, Any]) -> None:
    fields["files"] += [{**fields["files"][0], "path": f"{i}", "precision": f"p{i}"} for i in range(4_000)]
    fields["precisions"] = [{**INT8.to_json(), "name": f"p{i}"} for i in range(8_000)]


def _raw(name: str, write: Callable[[Path], object]) -> Attack:
    """Anything in the place of the manifest: to be refused, without a wait and without much memory."""

    def attempt(folder: Path) -> None:
        bundle = SmallBundle().write(folder / "bundle")
        manifest = bundle / MANIFEST_NAME
        content = manifest.read_text()
        manifest.unlink()
        write(manifest)
        if manifest.is_file() and not manifest.is_symlink():
            manifest.write_text(manifest.read_text().replace("CONTENT", content.strip()[1:-1]))
        with frugal():
            refused(lambda: Bundle.open(bundle))

    return Attack(name, attempt)


def _loop(path: Path) -> None:
    path.symlink_to(path.with_name("other"))
    path.with_name("other").symlink_to(path)


def _strip_checksum(version: int) -> Change:
    def change(fields: dict[str, Any]) -> None:
        fields["schema_version"] = version
        fields["sha256"] = fields.pop("sha256", "0" * 64)[:-1] + "x"

    return change


def _rename_checksum(fields: dict[str, Any]) -> None:
    fields["sha257"] = fields.pop("sha256", "0" * 64)
    fields["licence"] = "another"


CONTENTS = (
    *(_changed(f"word with {name}", _set("vocabulary", 5, to=text)) for name, text in SNEAKY.items()),
    *(
        _changed(f"disclaimer with {name}", _set("disclaimer", to=text))
        for name, text in SNEAKY.items()
        if name != "line end"
    ),
    _changed("empty word", _set("vocabulary", 5, to="")),
    _changed("word of spaces", _set("vocabulary", 5, to=" \u00a0\u3000")),
    _changed("producer with escape", _set("producer", to="\x1b[2J")),
    _changed("name of a figure with escape", _set("provenance", "sha256", to={"\x1b[2J": "0"})),
    _changed("path with escape", _set("files", 0, "path", to="\x1b[2J.onnx")),
    _changed("path for an address in memory", _set("files", 0, "path", to="*/_ORT_MEM_ADDR_/*")),
    _changed("checksum of version 3 in version 2", _strip_checksum(2)),
    _changed("checksum of version 3 in version 1", _strip_checksum(1)),
    _changed("wrong checksum", _strip_checksum(3)),
    _changed("checksum under another name", _rename_checksum),
    _changed("checksum that is no text", _set("sha256", to=None)),
)
SIZES = (
    _changed("200,000 words, each twice", _many_words),
    _changed("40,000 files, one twice", _many_files),
    _changed("8,000 precisions without graphs", _many_precisions),
    _changed(
        "150,000 banned words",
        lambda fields: fields["settings"].update(banned_words=[str(i) for i in range(150_000)]),
    ),
    _changed("a number of 4,000 digits", _set("architecture", "hidden_size", to=10**4000)),
    _changed("text of 7 MB where a number is due", _set("architecture", "hidden_size", to="x" * 7_000_000)),
    *(
        _changed(f"{name} of a million million", _set("architecture", name, to=10**12))
        for name in ("feature_size", "hidden_size", "layers")
    ),
)
PLACES = (
    _raw(
        "100,000 names, the last twice",
        lambda path: path.write_text(
            "{" + ",".join(f'"{i}":0' for i in [*range(100_000), 99_999]) + ",CONTENT}"
        ),
    ),
    *(
        _raw(
            f"{depth} arrays in each other",
            lambda path, depth=depth: path.write_text('{"x":' + "[" * depth + "]" * depth + ",CONTENT}"),
        )
        for depth in (100, 300, 800, 930, 960, 980, 100_000)
    ),
    *(
        _raw(
            f"{depth} arrays where a number is due",
            lambda path, depth=depth: path.write_text('{"schema_version":' + "[" * depth + "]" * depth + "}"),
        )
        for depth in (100, 800, 930, 960, 980)
    ),
    _raw("60 MB of empty arrays", lambda path: path.write_text('{"x":[' + "[]," * 20_000_000 + "[]]}")),
    _raw("60 MB of spaces", lambda path: path.write_text(" " * 60_000_000 + "{CONTENT}")),
    _raw("a digit a million times", lambda path: path.write_text('{"x":' + "1" * 1_000_000 + "}")),
    _raw(
        "a fraction of seven million digits",
        lambda path: path.write_text('{"x":0.' + "1" * 7_000_000 + "}"),
    ),
    _raw("pipe", os.mkfifo),
    _raw("socket", bind_socket),
    _raw("folder", lambda path: path.mkdir()),
    _raw("link to endless zeros", lambda path: path.symlink_to("/dev/zero")),
    _raw("link to nothing", lambda path: path.symlink_to("nothing")),
    _raw("link in a circle", _loop),
    _raw("link to a pipe", lambda path: (os.mkfifo(path.with_name("p")), path.symlink_to("p"))),
)
ATTACKS = (*CONTENTS, *SIZES, *PLACES)
