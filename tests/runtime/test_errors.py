"""The tree of errors: each comes whole out of another process, and is what a caller would expect to catch."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from cxrscribe import errors
from cxrscribe.errors import CxrscribeError, MissingExtraError

BUILTINS = {
    "FilmError": ValueError,
    "InputError": ValueError,
    "SettingsError": ValueError,
    "BundleError": ValueError,
    "DecodingError": RuntimeError,
    "DeviceError": RuntimeError,
    "BusyError": RuntimeError,
    "MissingExtraError": ImportError,
}


def tree(root: type[CxrscribeError] = CxrscribeError) -> Iterator[type[CxrscribeError]]:
    """The root and all errors below it, those of other packages that have been imported too."""
    yield root
    for child in root.__subclasses__():
        yield from tree(child)


def made(kind: type[CxrscribeError]) -> CxrscribeError:
    return kind("Reading DICOM", "dicom") if kind is MissingExtraError else kind("film.png is empty")


def raise_missing_extra() -> None:
    raise MissingExtraError("Reading DICOM", "dicom", "Add it")


@pytest.mark.parametrize("kind", [each for each in tree() if each.__module__ == errors.__name__])
def test_error_survives_pickling(kind: type[CxrscribeError]) -> None:
    error = made(kind)
    error.add_note("while reading row 3")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert str(copy) == str(error)
    assert {**vars(copy)} == {**vars(error)}


def test_every_error_has_the_builtin_that_a_caller_expects() -> None:
    found = {each.__name__: each for each in tree() if each.__module__ == errors.__name__}
    assert set(found) == {*BUILTINS, "CxrscribeError"}
    for name, builtin in BUILTINS.items():
        assert issubclass(found[name], builtin)
        assert name in (errors.__doc__ or "")


def test_missing_extra_comes_out_of_a_process_pool() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        waiting = pool.submit(raise_missing_extra)
        with pytest.raises(
            MissingExtraError, match=r"Reading DICOM .*Add it: pip install 'cxrscribe\[dicom\]'"
        ):
            waiting.result(timeout=60)
