"""Bundles made of links, as model hubs and data version control lay them out, and links that lead astray."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from attacks.attack import Attack, load, refused, unharmed, words
from cxrscribe.bundle.bundle import Bundle
from cxrscribe.bundle.contract import BEAM_STEP, ENCODER
from cxrscribe.bundle.manifest import MANIFEST_NAME
from cxrscribe.errors import BundleError
from support.small_bundle import SmallBundle

PLAIN = SmallBundle(fused=True)
LARGE = SmallBundle(external_data=True, hidden=16)


def snapshot(bundle: Path, folder: Path) -> Path:
    """The layout of a Hugging Face cache: every file a link into one folder of nameless ones."""
    blobs, made = folder / "blobs", folder / "snapshots" / "0123abc"
    blobs.mkdir(parents=True)
    made.mkdir(parents=True)
    for number, file in enumerate(sorted(bundle.iterdir())):
        shutil.copy(file, blobs / f"{number:040x}")
        (made / file.name).symlink_to(f"../../blobs/{number:040x}")
    return made


def data_version_control(bundle: Path, folder: Path, *, hard: bool = False) -> Path:
    """The layout of DVC: links into a cache outside, one folder for each first two digits."""
    made = folder / "checkout"
    made.mkdir()
    for number, file in enumerate(sorted(bundle.iterdir())):
        kept = folder / "cache" / f"{number:02x}" / f"{number:030x}"
        kept.parent.mkdir(parents=True)
        shutil.copy(file, kept)
        (os.link if hard else os.symlink)(kept, made / file.name)
    return made


def _loads(name: str, kind: SmallBundle, lay_out: Callable[[Path, Path], Path], **options: object) -> Attack:
    return Attack(
        name, lambda folder: unharmed(lay_out(kind.write(folder / "bundle"), folder), kind, **options)
    )


def _linked(name: str, put: Callable[[Path], object], graph: str = ENCODER) -> Attack:
    """Something in the place of a graph: to be refused, verified or not, and by `inspect`."""

    def attempt(folder: Path) -> None:
        bundle = PLAIN.write(folder / "bundle")
        (bundle / graph).unlink()
        put(bundle / graph)
        for verify in (True, False):
            refused(lambda verify=verify: load(bundle, verify=verify))
        refused(lambda: _intact(bundle))

    return Attack(f"graph: {name}", attempt)


def _intact(bundle: Path) -> None:
    if not Bundle.open(bundle).inspect().intact:
        raise BundleError("not intact")


def _circle(path: Path) -> None:
    path.symlink_to("b.onnx")
    path.with_name("b.onnx").symlink_to(path.name)


def _pipe_behind(path: Path) -> None:
    os.mkfifo(path.parent.parent / "pipe")
    path.symlink_to("../pipe")


def _other_content(path: Path) -> None:
    other = PLAIN.write(path.parent.parent / "other")
    content = bytearray((other / path.name).read_bytes())
    content[-10] ^= 1
    (path.parent.parent / "changed").write_bytes(content)
    path.symlink_to("../changed")


def _poisoned_cache(folder: Path) -> None:
    """Who verifies must not get what somebody who didn't has put into the cache."""
    bundle, kind = LARGE.write(folder / "bundle"), replace(LARGE)
    data = bundle / "decoder_step.onnx.data"
    before, status = data.read_bytes(), data.stat()
    data.write_bytes(bytes(len(before)))
    words(bundle, verify=False, cache=folder / "cache")
    os.utime(data, ns=(status.st_atime_ns, data.stat().st_mtime_ns))
    try:
        unharmed(bundle, kind, cache=folder / "cache")
    except BundleError:
        return


def _data_beside_the_real_graph(folder: Path) -> None:
    """Weights of another size or content where a linked graph really lies."""
    made = snapshot(LARGE.write(folder / "bundle"), folder)
    (folder / "blobs" / "decoder_step.onnx.data").write_bytes(
        bytes((made / "decoder_step.onnx.data").stat().st_size)
    )
    refused(lambda: load(made))


ATTACKS = (
    _loads("snapshot", PLAIN, snapshot),
    _loads("snapshot, unverified", PLAIN, snapshot, verify=False),
    _loads("snapshot with external data", LARGE, snapshot),
    _loads("data version control", PLAIN, data_version_control),
    _loads("data version control, hard links", LARGE, lambda *at: data_version_control(*at, hard=True)),
    Attack("snapshot with other data beside the graph", _data_beside_the_real_graph),
    Attack("cache filled by who doesn't verify", _poisoned_cache),
    _linked("link to nothing", lambda path: path.symlink_to("nothing")),
    _linked("links in a circle", _circle),
    _linked("link to itself", lambda path: path.symlink_to(path.name)),
    _linked("link to endless zeros", lambda path: path.symlink_to("/dev/zero")),
    _linked("link to the terminal", lambda path: path.symlink_to("/dev/tty")),
    _linked("link to a folder", lambda path: path.symlink_to("..")),
    _linked("link to the manifest", lambda path: path.symlink_to(MANIFEST_NAME)),
    _linked("link to other content outside", _other_content, BEAM_STEP),
    _linked("pipe", os.mkfifo),
    _linked("pipe behind a link", _pipe_behind),
)
