"""Libraries that read films, kept from logging what they find: their remarks quote EXIF and DICOM attributes.

An application that logs everything would have names of patients in its logs. So what these libraries say
while a film is read, on the thread that reads it, is dropped. What they say at any other time, about an
application's own files, goes where it always went: no level and no handler is changed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import local
from typing import Final

_LIBRARIES: Final = frozenset({"PIL", "pydicom", "pylibjpeg", "openjpeg", "libjpeg", "rle", "imagecodecs"})
# Made before the modules that log by these names are imported, in the middle of a film.
_LOGGERS: Final = (
    *(
        f"PIL.{name}"
        for name in ("Image", "ImageFile", "JpegImagePlugin", "MpoImagePlugin", "PngImagePlugin")
    ),
    "PIL.TiffImagePlugin",  # EXIF
    "pydicom",
)


class _Reading(local):
    depth = 0
    """How many films this thread is reading, one within the other."""


_reading: Final = _Reading()


class _OnlyElsewhere(logging.Filter):
    """Drops what is logged on a thread that is reading a film."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not _reading.depth


_only_elsewhere: Final = _OnlyElsewhere()


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """To read a film in."""
    watch_loggers()
    _reading.depth += 1
    try:
        yield
    finally:
        _reading.depth -= 1


def watch_loggers() -> None:
    """Have the loggers of these libraries in hand; to be called again once a library has been imported."""
    for name in _LOGGERS:
        logging.getLogger(name)
    for name, logger in tuple(logging.root.manager.loggerDict.items()):
        if name.partition(".")[0] in _LIBRARIES and isinstance(logger, logging.Logger):
            logger.addFilter(_only_elsewhere)  # once, however often it is added
