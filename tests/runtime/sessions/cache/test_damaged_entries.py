"""Entries that are damaged or hostile: not used, and made anew."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cxrscribe.sessions.cache_folder import CacheEntry, CacheFolder

from .cached import (
    GRAPHS,
    Films,
    entry_of,
    flip,
    flip_a_bit,
    load,
    results,
)


def truncate(entry: CacheEntry) -> None:
    file = entry.folder / "weights.data"
    file.write_bytes(file.read_bytes()[:-1])


def flip_a_bit_of_the_graph(entry: CacheEntry) -> None:
    flip(entry.graph)


def remove_the_weights(entry: CacheEntry) -> None:
    (entry.folder / "weights.data").unlink()


def remove_the_graph(entry: CacheEntry) -> None:
    entry.graph.unlink()


def remove_the_record(entry: CacheEntry) -> None:
    (entry.folder / "entry.json").unlink()


def garble_the_record(entry: CacheEntry) -> None:
    (entry.folder / "entry.json").write_text("{")


def claim_another_graph(entry: CacheEntry) -> None:
    edit_record(entry, lambda fields: fields["sources"][0].update(sha256="0" * 64))


def claim_another_processor(entry: CacheEntry) -> None:
    edit_record(entry, lambda fields: fields.update(processor="another one"))


def claim_weights_outside(entry: CacheEntry) -> None:
    edit_record(
        entry, lambda fields: fields["sources"].append({"path": "../x", "sha256": "0" * 64, "mtime_ns": 0})
    )


def put_a_link_in_place_of_the_weights(entry: CacheEntry) -> None:
    elsewhere = entry.folder.parent.parent / "elsewhere.data"
    shutil.move(entry.folder / "weights.data", elsewhere)
    (entry.folder / "weights.data").symlink_to(elsewhere)


def take_weights_from_outside(entry: CacheEntry) -> None:
    """What a hostile graph would do. Its record fits it."""
    import onnx

    shutil.copy(entry.folder / "weights.data", entry.folder.parent / "outside.data")
    model = onnx.load(entry.graph, load_external_data=False)
    for tensor in model.graph.initializer:
        for field in tensor.external_data:
            if field.key == "location":
                field.value = "../outside.data"
    entry.graph.write_bytes(model.SerializeToString())
    size, checksum = entry.graph.stat().st_size, graph_checksum(entry.graph)
    edit_record(entry, lambda fields: fields["files"][0].update(bytes=size, crc32=checksum))


def graph_checksum(file: Path) -> int:
    from cxrscribe.sessions.cache_record import crc32_of

    return crc32_of(file)


def edit_record(entry: CacheEntry, change: Callable[[dict[str, object]], object]) -> None:
    file = entry.folder / "entry.json"
    fields = json.loads(file.read_text())
    change(fields)
    file.write_text(json.dumps(fields))


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        flip_a_bit,
        flip_a_bit_of_the_graph,
        remove_the_weights,
        remove_the_graph,
        remove_the_record,
        garble_the_record,
        claim_another_graph,
        claim_another_processor,
        claim_weights_outside,
        put_a_link_in_place_of_the_weights,
        take_weights_from_outside,
    ],
)
def test_damaged_or_hostile_entry_is_not_used_and_made_anew(
    bundle: Path,
    folder: CacheFolder,
    films: Films,
    optimized: list[str],
    damage: Callable[[CacheEntry], None],
) -> None:
    right = results(load(bundle, folder), films)
    entry = entry_of(bundle, folder, "decoder_step.onnx")
    damage(entry)
    optimized.clear()
    assert results(load(bundle, folder), films) == right
    assert optimized == ["decoder_step.onnx"]
    assert results(load(bundle, folder), films) == right
    assert optimized == ["decoder_step.onnx"]
    assert len(folder.entries()) == GRAPHS
    assert not list(folder.path.glob(".making-*"))


@pytest.mark.parametrize("damage", [truncate, remove_the_graph, garble_the_record, take_weights_from_outside])
def test_sizes_and_names_are_checked_without_verification_too(
    bundle: Path,
    folder: CacheFolder,
    films: Films,
    optimized: list[str],
    damage: Callable[[CacheEntry], None],
) -> None:
    right = results(load(bundle, folder), films)
    damage(entry_of(bundle, folder, "decoder_step.onnx"))
    optimized.clear()
    assert results(load(bundle, folder, verify=False), films) == right
    assert optimized == ["decoder_step.onnx"]
