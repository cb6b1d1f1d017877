"""Which bundle to load, and what to run it on: from a command line, or for another process."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from cxrscribe.errors import InputError
from cxrscribe.json_object import JsonObject

if TYPE_CHECKING:
    from cxrscribe.reporter import Reporter


@dataclass(frozen=True)
class Engine:
    """The arguments of `cxrscribe.load`."""

    bundle: str | None = None
    """Its folder; None for the embedded demo bundle."""
    device: str = "auto"
    precision: str | None = None
    threads: int | None = None
    spinning: bool = True
    cache: bool = True
    strict: bool = False
    isolate: str = "compressed"
    film_seconds: float = 10.0
    modalities: tuple[str, ...] = ("CR", "DX")
    indication_from_dicom: str | None = None

    def load(self) -> Reporter:
        """Open the bundle. Raises what `cxrscribe.load` does."""
        from cxrscribe.embedded import demo_bundle
        from cxrscribe.films.isolation import Isolation
        from cxrscribe.loader import load

        return load(
            demo_bundle() if self.bundle is None else self.bundle,
            device=self.device,
            precision=self.precision,
            threads=self.threads,
            spinning=self.spinning,
            cache=self.cache,
            strict=self.strict,
            isolation=Isolation(self.isolate, cpu_seconds=self.film_seconds),
            modalities=self.modalities,
            indication_from_dicom=self.indication_from_dicom,
        )

    @classmethod
    def of(cls, reporter: Reporter, *, spinning: bool = True, cache: bool = True) -> Engine:
        """What loads a reporter like this one. Raises InputError when its bundle isn't in a folder."""
        if reporter.folder is None:
            raise InputError("this reporter's bundle isn't in a folder; open one with cxrscribe.load")
        return cls(
            str(reporter.folder.absolute()),
            reporter.device,
            reporter.precision,
            reporter.threads,
            spinning,
            cache,
            reporter.strict,
            reporter.isolation.which,
            reporter.isolation.cpu_seconds,
            reporter.modalities,
            reporter.indication_from_dicom,
        )

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values."""
        return asdict(self) | {"modalities": list(self.modalities)}

    @classmethod
    def from_json(cls, fields: JsonObject) -> Engine:
        """Read what `to_json` gave. Raises the document's error."""
        return fields.make(
            cls,
            bundle=None if fields.is_null("bundle") else fields.text("bundle"),
            device=fields.text("device"),
            precision=None if fields.is_null("precision") else fields.text("precision"),
            threads=None if fields.is_null("threads") else fields.integer("threads", 1),
            spinning=fields.boolean("spinning"),
            cache=fields.boolean("cache"),
            strict=fields.boolean("strict"),
            isolate=fields.text("isolate"),
            film_seconds=fields.number("film_seconds"),
            modalities=fields.texts("modalities"),
            indication_from_dicom=None
            if fields.is_null("indication_from_dicom")
            else fields.text("indication_from_dicom"),
        )
