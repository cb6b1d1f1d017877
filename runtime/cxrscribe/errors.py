"""Every error that cxrscribe raises on purpose.

    CxrscribeError
    ├── FilmError         (ValueError)    one film has no report: it can't be read, or its search found none
    ├── InputError        (ValueError)    a file, folder or option given to a command or function is wrong
    ├── SettingsError     (ValueError)    beam settings are out of range, or not what the model takes
    ├── BundleError       (ValueError)    a bundle is damaged, unsafe, of another schema, or not what it says
    ├── DecodingError     (RuntimeError)  a search ended without any report
    ├── DeviceError       (RuntimeError)  the device that was asked for is not there, or fails at its work
    ├── BusyError         (RuntimeError)  a queue has as many requests in it as it takes
    └── MissingExtraError (ImportError)   an optional dependency is not installed, or broken

Each message says what was wrong, where, and what to do. None carries a patient identifier. As text,
`str(error)`, it is one harmless line: what the names in it could do to a terminal or a log is escaped.
"""

from __future__ import annotations

from enum import StrEnum

from cxrscribe.printable import printable


class CxrscribeError(Exception):
    """Root of all errors of this project."""

    def __str__(self) -> str:
        return printable(super().__str__())


class Reason(StrEnum):
    """Why a film has no report, in one word."""

    NOT_A_RADIOGRAPH = "not_a_radiograph"
    """Another kind of picture, or of file."""
    MISSING = "missing"
    CHANGED = "changed"
    """Since an archive's run was planned."""
    UNREADABLE = "unreadable"
    """Damaged, or may not be read."""
    UNSUPPORTED = "unsupported"
    """In a form that isn't read, or not without an extra."""
    TOO_LARGE = "too_large"
    TRUNCATED = "truncated"
    SEVERAL_FRAMES = "several_frames"
    SEARCH_FAILED = "search_failed"
    KILLED_THE_READER = "killed_the_reader"
    TIMED_OUT = "timed_out"
    OUT_OF_RESOURCES = "out_of_resources"
    """Of this machine, for the moment: processes, threads or open files."""


class FilmError(CxrscribeError, ValueError):
    """One film can't be read, or its search ended without any report; the other films are not concerned."""

    def __init__(self, message: str, reason: Reason = Reason.UNREADABLE) -> None:
        super().__init__(message)
        self.reason = reason


class InputError(CxrscribeError, ValueError):
    """A file, folder or value handed to a command or function is wrong."""


class SettingsError(CxrscribeError, ValueError):
    """A beam setting is out of range, two contradict each other, or the model reads no indication."""


class BundleError(CxrscribeError, ValueError):
    """A bundle is damaged, incomplete, unsafe, of an unknown schema, or its graphs don't do what they say."""


class DecodingError(CxrscribeError, RuntimeError):
    """A beam search ended without any report.

    The settings forbid all of them, or the network gave NaN or words that aren't there.
    """


class DeviceError(CxrscribeError, RuntimeError):
    """The device that was asked for by name is not available, or its engine failed while it ran a graph."""


class BusyError(CxrscribeError, RuntimeError):
    """A queue has as many requests in it as it takes; it takes more when some are done."""


class MissingExtraError(CxrscribeError, ImportError):
    """An optional dependency is missing or broken; `extra` is the pip extra that brings it."""

    def __init__(self, what: str, extra: str, remedy: str = "Install it") -> None:
        self.extra = extra
        self._given = (what, extra, remedy)
        super().__init__(f"{what} needs the extra '{extra}'. {remedy}: pip install 'cxrscribe[{extra}]'")

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str, str], dict[str, object]]:
        """Errors cross from process to process, and by default a copy is made from the message alone."""
        return type(self), self._given, vars(self)
