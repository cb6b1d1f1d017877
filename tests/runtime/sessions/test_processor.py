from __future__ import annotations

import platform
from pathlib import Path

import pytest

from cxrscribe.sessions.device import name_and_flags, processor, processor_name, read_processor

_X86 = """processor\t: {number}
vendor_id\t: GenuineIntel
model name\t: Some   Processor
cpu MHz\t\t: {mhz}
flags\t\t: fpu avx2 {flags}
"""
_ARM = "processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd sve\nCPU implementer\t: 0x41\n"


def write(folder: Path, text: str) -> Path:
    (folder / "cpuinfo").write_text(text)
    return folder / "cpuinfo"


def test_model_and_instruction_sets_count(tmp_path: Path) -> None:
    said = read_processor(write(tmp_path, _X86.format(number=0, mhz=2000, flags="avx512f")))
    assert said == (
        f"{platform.machine()}; vendor_id GenuineIntel; model name Some Processor; flags fpu avx2 avx512f"
    )
    assert "Features fp asimd sve; CPU implementer 0x41" in read_processor(write(tmp_path, _ARM))


def test_frequency_and_number_of_processors_do_not_count(tmp_path: Path) -> None:
    one = _X86.format(number=0, mhz=2000, flags="")
    two = _X86.format(number=0, mhz=3500, flags="") + "\n" + _X86.format(number=1, mhz=1000, flags="")
    assert read_processor(write(tmp_path, one)) == read_processor(write(tmp_path, two))


def test_another_instruction_set_is_another_processor(tmp_path: Path) -> None:
    with_amx = read_processor(write(tmp_path, _X86.format(number=0, mhz=1, flags="amx_bf16")))
    assert with_amx != read_processor(write(tmp_path, _X86.format(number=0, mhz=1, flags="")))


def test_system_without_cpuinfo_says_what_python_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    monkeypatch.setattr(platform, "processor", lambda: "arm")
    assert read_processor(tmp_path / "none") == "arm64; arm"


def test_this_machine_has_one() -> None:
    assert processor()


def test_name_is_what_a_person_calls_it(tmp_path: Path) -> None:
    intel = read_processor(write(tmp_path, _X86.format(number=0, mhz=2000, flags="avx512f")))
    assert name_and_flags(intel) == ("Some Processor", ["fpu", "avx2", "avx512f"])
    arm = read_processor(write(tmp_path, _ARM))
    assert name_and_flags(arm) == ("CPU implementer 0x41", ["fp", "asimd", "sve"])
    assert processor_name() == (name_and_flags(processor())[0] or "unknown")
