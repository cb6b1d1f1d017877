"""What a run says of the machine it was made on."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

import cxrscribe
from cxrscribe.sessions.device import usable_threads
from cxrscribe_bench.results.environment import environment

X86 = "processor\t: 0\nmodel name\t: Sample CPU @ 2.00GHz\nflags\t\t: sse2 avx2 fma\n\nprocessor\t: 1\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n"


def test_fields_are_those_that_records_promise_and_survive_json() -> None:
    found = environment()
    assert set(found) == {
        "processor",
        "flags",
        "cores",
        "threads",
        "memory_bytes",
        "system",
        "python",
        "versions",
        "load",
    }
    assert json.loads(json.dumps(found)) == found
    assert found["threads"] == usable_threads()
    assert found["cores"] >= found["threads"]


def test_versions_are_those_that_are_installed() -> None:
    versions = environment()["versions"]
    assert versions["numpy"] == np.__version__
    assert versions["cxrscribe"] == cxrscribe.__version__


@pytest.mark.parametrize(
    ("text", "name", "flags"),
    [
        (X86, "Sample CPU @ 2.00GHz", ["sse2", "avx2", "fma"]),
        (ARM, "CPU implementer 0x41, CPU part 0xd0c", ["fp", "asimd"]),
    ],
    ids=["x86", "arm"],
)
def test_processor_is_named_as_linux_names_it(tmp_path: Path, text: str, name: str, flags: list[str]) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    found = environment(tmp_path / "cpuinfo")
    assert (found["processor"], found["flags"]) == (name, flags)


def test_what_a_system_does_not_tell_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sysconf", raising=False)
    monkeypatch.delattr(os, "getloadavg", raising=False)
    monkeypatch.setattr("platform.processor", str)
    monkeypatch.setattr("platform.machine", str)
    found = environment(tmp_path / "absent")
    assert [found[field] for field in ("processor", "flags", "memory_bytes", "load")] == [None] * 4
    json.dumps(found)
