#!/usr/bin/env python3
"""Take an installed environment down to what reports need, without changing one.

    python slim.py SITE_PACKAGES            e.g. .venv/lib/python3.11/site-packages
    python slim.py SITE_PACKAGES --dry-run  say what would go

For an image or a device that only runs `cxrscribe report`, `serve`, `score` and the like: what trains,
exports and converts models goes, and so does what only who programs with the libraries, or looks into
them with a debugger, needs. Nothing but
Python's standard library is used. Run it once, on an environment that nothing else uses; to get anything
back, install it anew.
"""

from __future__ import annotations

import argparse
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

IMAGECODECS = ("imcd", "jpeg2k", "jpeg8", "jpegls", "shared", "shared_cython")
"""What docs/films.md names, and what these import."""
TRAINING = ("train", "export", "models", "bench")
LIBRARY_FOLDERS = ("pillow.libs", "imagecodecs.libs", "numpy.libs")


@dataclass(frozen=True)
class Rule:
    """Files that aren't needed, and why."""

    why: str
    patterns: tuple[str, ...]
    kept: tuple[str, ...] = ()
    """Names that the patterns match and that stay."""

    def found(self, site: Path) -> Iterator[Path]:
        """What it takes out."""
        for pattern in self.patterns:
            for path in site.glob(pattern):
                if path.name.split(".")[0] not in self.kept:
                    yield path


RULES = (
    Rule("the engine once more, for programs in C", ("onnxruntime/capi/libonnxruntime.so*",)),
    Rule(
        "onnxruntime's tools that make models",
        tuple(
            f"onnxruntime/{name}" for name in ("transformers", "quantization", "tools", "datasets", "backend")
        ),
    ),
    Rule(
        "tests",
        (
            *("*/tests", "*/*/tests", "*/*/*/tests", "numpy/_core/_simd.*.so", "numpy/_core/_*_tests.*.so"),
            *("numpy/testing", "pydicom/data/test_files"),
        ),
    ),
    Rule("types", ("**/*.pyi", "**/*.pxd", "numpy/typing/mypy_plugin.py")),
    Rule(
        "numpy for who compiles with it",
        (
            "numpy/f2py",
            "numpy/distutils",
            "numpy/_core/include",
            "numpy/_core/lib",
            "**/*.a",
        ),
    ),
    Rule(
        "numpy's random numbers, polynomials and transforms, which no report asks for",
        tuple(f"numpy/{name}" for name in ("random", "polynomial", "fft")),
    ),
    Rule(
        "Pillow's formats, fonts and operations that no film has",
        tuple(
            f"PIL/_{name}.*.so"
            for name in (
                "avif",
                "webp",
                "imagingft",
                "imagingcms",
                "imagingtk",
                "imagingmath",
                "imagingmorph",
            )
        ),
    ),
    Rule("image codecs that no film has", ("imagecodecs/_*.so",), tuple(f"_{name}" for name in IMAGECODECS)),
    Rule("DICOM's structured reports", ("pydicom/sr",)),
    Rule("what trains, exports and measures", tuple(f"cxrscribe_{room}" for room in TRAINING)),
    Rule(
        "what only onnxruntime's tools import",
        ("google", "protobuf-*", "flatbuffers", "flatbuffers-*", "packaging", "packaging-*"),
    ),
    Rule(
        "what installs packages",
        (
            *("pip", "pip-*.dist-info", "setuptools", "setuptools-*.dist-info", "pkg_resources"),
            *("_distutils_hack", "distutils-precedence.pth", "wheel", "wheel-*.dist-info"),
        ),
    ),
)


def segments_of(content: bytes) -> list[tuple[int, ...]]:
    """What an ELF file of 64 bits is loaded by: kind, flags, offset, address, another, length in the file.

    None of anything else.
    """
    if content[:6] != b"\x7fELF\x02\x01":
        return []
    (start,) = struct.unpack_from("<Q", content, 32)
    size, count = struct.unpack_from("<HH", content, 54)
    return [struct.unpack_from("<IIQQQQ", content, start + size * number) for number in range(count)]


def needed_libraries(file: Path) -> list[str]:
    """The names of shared libraries that an ELF file of 64 bits asks for; none of anything else."""
    content = file.read_bytes()
    segments = segments_of(content)
    loaded = [(address, offset, length) for kind, _, offset, address, _, length in segments if kind == 1]

    def place(address: int) -> int:
        return next(address - at + offset for at, offset, length in loaded if at <= address < at + length)

    names, strings = [], None
    for kind, _, offset, _, _, length in segments:
        if kind != 2:  # PT_DYNAMIC
            continue
        for at in range(offset, offset + length, 16):
            tag, value = struct.unpack_from("<qQ", content, at)
            if tag == 1:  # DT_NEEDED
                names.append(value)
            elif tag == 5:  # DT_STRTAB
                strings = place(value)
    if strings is None:
        return []
    return [content[strings + name : content.index(b"\0", strings + name)].decode() for name in names]


def loaded_bytes(content: bytes) -> int:
    """Where what is loaded of a library ends; symbols and sections follow, for debuggers and linkers."""
    segments = segments_of(content)
    if not segments:
        return len(content)
    (start,) = struct.unpack_from("<Q", content, 32)
    size, count = struct.unpack_from("<HH", content, 54)
    ends = [offset + length for _, _, offset, _, _, length in segments]
    return min(len(content), max(start + size * count, *ends))


def cut(file: Path) -> None:
    """Leave only what is loaded of a library, as `strip` and more; a file that is anything else, as it is."""
    content = file.read_bytes()
    end = loaded_bytes(content)
    if end == len(content):
        return
    head = bytearray(content[:end])
    struct.pack_into("<Q", head, 40, 0)  # there are no sections
    struct.pack_into("<HH", head, 60, 0, 0)
    new = file.with_name(f"{file.name}.new")  # installers link one file into several environments
    new.write_bytes(head)
    new.chmod(file.stat().st_mode)
    new.replace(file)


def orphans(site: Path, going: set[Path]) -> Iterator[Path]:
    """Libraries beside the packages that nothing that stays asks for."""
    libraries = {path.name: path for folder in LIBRARY_FOLDERS for path in (site / folder).glob("*.so*")}
    stay = [path for path in site.rglob("*.so*") if not _goes(path, going) and path.name not in libraries]
    wanted: set[str] = set()
    while stay:
        for name in needed_libraries(stay.pop()):
            if name in libraries and name not in wanted:
                wanted.add(name)
                stay.append(libraries[name])
    yield from (path for name, path in libraries.items() if name not in wanted)


def _goes(path: Path, going: set[Path]) -> bool:
    return path in going or any(parent in going for parent in path.parents)


def megabytes(path: Path) -> float:
    """Of a file, or of all files below a folder."""
    files = (
        (file for file in path.rglob("*") if file.is_file() and not file.is_symlink())
        if path.is_dir()
        else (path,)
    )
    return sum(file.lstat().st_size for file in files) / 1e6


def remove(path: Path) -> None:
    """A file, or a folder and all that it holds."""
    if path.is_dir() and not path.is_symlink():
        rmtree(path)
    else:
        path.unlink(missing_ok=True)


def main() -> int:
    """Print what goes; 2 where there is nothing like an environment."""
    parser = argparse.ArgumentParser(description="Take an environment down to what cxrscribe's reports need.")
    parser.add_argument("site", type=Path, metavar="SITE_PACKAGES")
    parser.add_argument("--dry-run", action="store_true", help="say what would go")
    arguments = parser.parse_args()
    site: Path = arguments.site
    if not (site / "onnxruntime").is_dir() or not (site / "numpy").is_dir():
        print(
            f"{site} has no numpy and onnxruntime; give the site-packages of an environment", file=sys.stderr
        )
        return 2
    before = megabytes(site)
    going: set[Path] = set()
    for why, paths in _chosen(site, going):
        size = sum(megabytes(path) for path in paths)
        print(f"{size:7.1f} MB  {why}")
        if not arguments.dry_run:
            for path in paths:
                remove(path)
    libraries = [path for path in site.rglob("*.so*") if path.is_file() and not _goes(path, going)]
    size = sum(path.stat().st_size - loaded_bytes(path.read_bytes()) for path in libraries) / 1e6
    print(f"{size:7.1f} MB  what debuggers and linkers ask the other libraries for")
    if not arguments.dry_run:
        for path in libraries:
            cut(path)
    taken = "" if arguments.dry_run else f", {megabytes(site):.1f} MB after"
    print(f"{before:.1f} MB before{taken}")
    return 0


def _chosen(site: Path, going: set[Path]) -> list[tuple[str, list[Path]]]:
    """For each reason, what goes; nothing twice."""
    chosen = []
    for rule in RULES:
        paths = [path for path in dict.fromkeys(rule.found(site)) if not _goes(path, going)]
        inner = {path for path in paths if any(parent in paths for parent in path.parents)}
        going.update(paths)
        chosen.append((rule.why, [path for path in paths if path not in inner]))
    libraries = list(orphans(site, going))
    going.update(libraries)
    chosen.append(("libraries that were only for these", libraries))
    code = [path for path in site.rglob("__pycache__") if not _goes(path, going)]
    chosen.append(("byte code, of whatever Python", code))
    return chosen


if __name__ == "__main__":
    sys.exit(main())
