"""A bundle's folder, which appears whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cxrscribe.bundle.manifest import MANIFEST_NAME
from cxrscribe.errors import InputError


def check_out(out: Path, *, overwrite: bool) -> None:
    """Check that a bundle may be put at `out`, before any work is done.

    Raises:
        InputError: the folder that `out` goes into isn't there or can't be written to; `out` is a folder
            that can't be replaced; or something is at `out`, and it isn't a bundle or `overwrite` wasn't
            asked for.
    """
    if out.is_symlink():
        raise InputError(f"{out} is a link, not a folder; give another --out")
    out = out.resolve()
    if not out.parent.is_dir():
        raise InputError(f"{out.parent} is not a folder; make it, or give another --out")
    if not os.access(out.parent, os.W_OK):
        raise InputError(f"{out.parent} can't be written to; change its rights, or give another --out")
    if not out.exists():
        return
    if not out.is_dir():
        raise InputError(f"{out} is not a folder; give another --out")
    if out.is_mount():
        raise InputError(f"{out} is a mount point, which can't be renamed; give a folder inside it as --out")
    if Path.cwd().is_relative_to(out):
        raise InputError(f"this command runs in {out}, which can't be renamed then; give a folder inside it")
    if (out / MANIFEST_NAME).is_file():
        if not overwrite:
            raise InputError(
                f"{out} holds a bundle already; give another --out, or --overwrite to replace it"
            )
    elif any(out.iterdir()):
        raise InputError(f"{out} holds files that are not a bundle; give another --out")


@contextmanager
def new_bundle_folder(out: Path) -> Iterator[Path]:
    """A new empty folder beside `out`, moved there when the block ends well and removed when it doesn't.

    A bundle that was at `out` is replaced, and stays as it was when the block raises.
    """
    out = out.resolve()
    scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        folder = scratch / "bundle"
        folder.mkdir()
        yield folder
        if out.exists():
            old = scratch / "replaced"
            out.rename(old)
            try:
                folder.rename(out)
            except OSError:
                old.rename(out)
                raise
        else:
            folder.rename(out)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
