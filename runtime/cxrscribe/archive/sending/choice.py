"""Which PACS a user means: from what was given on the command line to a Destination."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cxrscribe.archive.sending.credentials import read_credentials, tls_context
from cxrscribe.archive.sending.destination import Destination
from cxrscribe.errors import InputError, MissingExtraError

_WHAT = "Sending to a PACS"


@dataclass(frozen=True)
class PacsChoice:
    """What was given, None for what wasn't."""

    dicomweb: str | None = None
    """URL of a DICOMweb service."""
    dicom: str | None = None
    """HOST:PORT of a DICOM node."""
    timeout: float = 60.0
    """Seconds for a connection, and for each answer."""
    token_file: Path | None = None
    headers_file: Path | None = None
    insecure_http: bool = False
    calling: str | None = None
    called: str | None = None
    max_pdu: int | None = None
    tls: bool = False
    ca: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None

    def destination(self) -> Destination:
        """The PACS; nothing is sent yet. Raises InputError, MissingExtraError."""
        if (self.dicomweb is None) == (self.dicom is None):
            raise InputError("give the PACS, by --dicomweb URL or by --dicom HOST:PORT")
        if self.dicomweb is not None:
            self._refuse("--dicom", ("calling", "called", "max_pdu", "tls"))
            return self._web(self.dicomweb)
        assert self.dicom is not None
        self._refuse("--dicomweb", ("token_file", "headers_file", "insecure_http"))
        if not self.tls:
            self._refuse("--tls", ("ca", "client_certificate", "client_key"))
        return self._node(self.dicom)

    def _web(self, url: str) -> Destination:
        try:
            from cxrscribe.archive.sending.dicomweb import DicomWeb
        except ModuleNotFoundError as error:
            raise _missing(error) from error
        context = tls_context(self.ca, self.client_certificate, self.client_key)
        credentials = read_credentials(self.token_file, self.headers_file)
        return DicomWeb(url, credentials, context, self.timeout, plain=self.insecure_http)

    def _node(self, address: str) -> Destination:
        try:
            from cxrscribe.archive.sending.association import DEFAULT_PDU, Dicom, parse_address
        except ModuleNotFoundError as error:
            raise _missing(error) from error
        host, port = parse_address(address)
        context = tls_context(self.ca, self.client_certificate, self.client_key) if self.tls else None
        calling, called = self.calling or "CXRSCRIBE", self.called or "ANY-SCP"
        return Dicom(host, port, calling, called, self.timeout, self.max_pdu or DEFAULT_PDU, context)

    def _refuse(self, wanted: str, names: tuple[str, ...]) -> None:
        """Raise InputError where something is given that has no meaning without `wanted`."""
        for name in names:
            if getattr(self, name) not in (None, False):
                raise InputError(f"--{name.replace('_', '-')} goes with {wanted} only; leave it out")


def _missing(error: ModuleNotFoundError) -> ModuleNotFoundError | MissingExtraError:
    if (error.name or "").partition(".")[0].startswith("cxrscribe"):
        return error
    return MissingExtraError(f"{_WHAT} (module {error.name})", "send")
