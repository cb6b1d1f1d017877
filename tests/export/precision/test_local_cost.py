"""Costs of precisions on this machine, for a bundle that stays as it is."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from cxrscribe.bundle.manifest import Manifest
from cxrscribe.bundle.precision_cost import LossLimits
from cxrscribe.errors import BundleError, DeviceError, InputError
from cxrscribe_export.precision.local_cost import measure_costs
from cxrscribe_export.precision.precisions import PrecisionOrder, add_precisions
from cxrscribe_export.precision.trial import Trial
from cxrscribe_train.corpus.table import read_reports
from support.small_bundle import SmallBundle
from support.square_corpus import write_squares

PROJECT = Path(__file__).parents[3] / "pyproject.toml"
LIMITS = LossLimits(0.25, 0.5)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_squares(tmp_path_factory.mktemp("squares") / "corpus", train=6, val=2, test=4)


@pytest.fixture(scope="module")
def bundle(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with int8, exported with limits of its own."""
    folder = SmallBundle(fused=True).write(tmp_path_factory.mktemp("local") / "bundle")
    manifest = Manifest.read(folder)
    trial = Trial.of(read_reports(corpus), manifest.preprocessing, 3)
    order = PrecisionOrder(("int8",), trial.films, trial, LIMITS, accept_loss=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cxrscribe_export.precision.precisions.engines_here", lambda: ("cpu",))
        add_precisions(folder, manifest, order)
    return folder


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_records_are_those_that_export_made_on_the_same_films_and_engine(bundle: Path, corpus: Path) -> None:
    before = contents(bundle)
    names = ("int8+fp32", "int8", "fp32+int8")
    lines: list[str] = []
    found = measure_costs(
        bundle, corpus, [("cpu", name) for name in names], films=3, threads=1, progress=lines.append
    )
    recorded = {record.name: record for record in Manifest.read(bundle).precisions}
    assert found == [replace(recorded[name], speedups=None) for name in names]
    assert contents(bundle) == before
    assert lines[0] == f"reading films of {corpus}"
    assert lines.count("encoding 3 films with int8 on cpu") == 1
    assert "writing 3 reports with int8+fp32 on cpu" in lines


def test_limits_are_those_of_the_export(bundle: Path, corpus: Path, tmp_path: Path) -> None:
    (with_record,) = measure_costs(bundle, corpus, [("cpu", "int8+fp32")], films=2)
    assert with_record.limits == LIMITS
    plain = tmp_path / "plain"
    plain.mkdir()
    for file in bundle.rglob("*.onnx"):
        copy = plain / file.relative_to(bundle)
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(file.read_bytes())
    replace(Manifest.read(bundle), precisions=()).write(plain)
    (without,) = measure_costs(plain, corpus, [("cpu", "int8")], films=2)
    assert (without.limits, without.calibration) == (LossLimits(), "not recorded")


@pytest.mark.parametrize(
    ("pair", "error", "said"),
    [
        (("cpu", "fp32"), InputError, "fp32 on cpu is what costs are measured against"),
        (("cpu", "fp16"), BundleError, "has no graphs of fp16, which fp16 needs"),
        (("cpu", "int4+fp32"), BundleError, "has no graphs of int4, which int4"),
        (("cpu", "INT8"), BundleError, "is not a name"),
        (("nowhere", "int8"), DeviceError, "device 'nowhere' is unknown"),
    ],
)
def test_what_can_not_be_measured_is_refused(
    bundle: Path, corpus: Path, pair: tuple[str, str], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        measure_costs(bundle, corpus, [pair], films=2)


def test_what_an_engine_refuses_costs_the_others_nothing(bundle: Path, corpus: Path) -> None:
    lines: list[str] = []
    pairs = [("nowhere", "int8"), ("cpu", "int8")]
    found = measure_costs(bundle, corpus, pairs, films=2, progress=lines.append)
    assert [(record.name, record.devices) for record in found] == [("int8", ("cpu",))]
    assert any(line.startswith("int8 on nowhere can't be measured: device 'nowhere' is") for line in lines)


def test_it_is_found_by_its_entry_point_and_needs_neither_paddle_nor_onnx(bundle: Path, corpus: Path) -> None:
    import tomllib

    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    group = "cxrscribe.trials"
    point = EntryPoint("costs", project["entry-points"][group]["costs"], group)
    assert point.load() is measure_costs
    assert point.extras == ["export"]
    program = (
        "import sys; from pathlib import Path\n"
        "sys.modules.update(dict.fromkeys(('paddle', 'onnx', 'paddle2onnx')))\n"
        "from cxrscribe_export.precision.local_cost import measure_costs\n"
        "bundle, corpus = map(Path, sys.argv[1:])\n"
        "print(measure_costs(bundle, corpus, [('cpu', 'int8')], films=2)[0].reports)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(bundle), str(corpus)], check=True, capture_output=True, text=True
    )
    assert done.stdout == "2\n"
