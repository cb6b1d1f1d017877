"""What the runtime costs beside its work: a fresh process' first report, and room on the disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import cxrscribe
from cxrscribe_bench.groups import STARTUP
from cxrscribe_bench.parts.startup import ROUNDS, sample_startup
from cxrscribe_bench.results.measurement import Measurement

_PACKAGE: Final = "cxrscribe"
_ONNXRUNTIMES: Final = ("onnxruntime", "onnxruntime-gpu")
"""Distributions of the same module, of which one is installed."""
_COMPILED: Final = ".pyc"


def startup_measurements(bundle: Path, film: Path, rounds: int = ROUNDS) -> Iterator[Measurement]:
    """Seconds from when a process was asked for until each moment of its start, fp32 on the CPU.

    Labels are `start` (startup.Start) and `point` (startup.Moment): `empty` comes to `python`; `off`, `cold`
    and `warm` come to `import`, `load` and `report`. `peak_bytes` is the most of all its processes by then.

    Raises BundleError when the bundle can't be opened, RuntimeError when a process fails.
    """
    for start, moments in sample_startup(bundle, film, rounds).items():
        for moment, samples in moments.items():
            yield Measurement(
                STARTUP,
                f"{start.value} {moment.value}",
                tuple(sample.seconds for sample in samples),
                labels={"start": start.value, "point": moment.value},
                peak_bytes=max(sample.peak_bytes for sample in samples),
            )


def install_bytes() -> Mapping[str, int]:
    """Bytes on the disk of each package that the runtime needs on a CPU, of those installed here, by name.

    The runtime's own package, what its distribution requires with the extra `cpu`, and what those require in
    turn. Without compiled byte code, which not every installation has. What isn't installed has no bytes.
    """
    sizes = {_PACKAGE: _folder_bytes(Path(cxrscribe.__file__).parent)}
    waiting = [*_requirements(_installed(_PACKAGE), "cpu"), *_ONNXRUNTIMES]
    while waiting:
        name = waiting.pop()
        found = None if name in sizes else _installed(name)
        if found is not None:
            sizes[name] = _distribution_bytes(found)
            waiting.extend(_requirements(found))
    return dict(sorted(sizes.items()))


def _installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def _requirements(found: Distribution | None, extra: str = "") -> list[str]:
    """Names of what it requires here, with one of its extras."""
    requirements = map(Requirement, (found.requires or ()) if found is not None else ())
    return [
        canonicalize_name(each.name)
        for each in requirements
        if each.marker is None or each.marker.evaluate({"extra": extra})
    ]


def _distribution_bytes(found: Distribution) -> int:
    files = (Path(str(file.locate())) for file in found.files or ())
    return sum(file.stat().st_size for file in files if file.suffix != _COMPILED and file.is_file())


def _folder_bytes(folder: Path) -> int:
    return sum(
        file.stat().st_size for file in folder.rglob("*") if file.suffix != _COMPILED and file.is_file()
    )
