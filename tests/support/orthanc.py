"""Orthanc with its DICOMweb plug-in, on free ports of the loopback, from the test's beginning to its end."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.skips import skip_or_fail

_PLUGINS = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
_PATIENCE = 120.0


@dataclass
class Orthanc:
    http: int
    dicom: int
    program: str
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def web(self) -> str:
        return f"http://localhost:{self.http}/dicom-web"

    @property
    def node(self) -> str:
        return f"localhost:{self.dicom}"

    def ask(self, path: str, **query: str) -> Any:
        url = f"http://localhost:{self.http}{path}?{urllib.parse.urlencode(query)}"
        request = urllib.request.Request(url, headers={"Accept": "application/json"})
        with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:
            return json.loads(answer.read() or b"[]")

    def instances(self) -> list[str]:
        """The UIDs of all instances that it has, by QIDO-RS; one that it has twice is there twice."""
        found: list[str] = []
        while True:
            some = self.ask("/dicom-web/instances", limit="500", offset=str(len(found)))
            found += [each["00080018"]["Value"][0] for each in some]
            if not some:
                return found

    def tags(self, instance: str) -> dict[str, Any]:
        """Of the instance with this UID, which it has once."""
        (name,) = [each["ID"] for each in self._lookup(instance) if each["Type"] == "Instance"]
        tags: dict[str, Any] = self.ask(f"/instances/{name}/simplified-tags")
        return tags

    def count(self) -> int:
        """How many instances it has."""
        return int(self.ask("/statistics")["CountInstances"])

    def begin(self) -> None:
        """Start it, with what it had before, and wait until it answers."""
        log = self.folder / "orthanc.log"
        with log.open("ab") as output:
            command = [self.program, str(self.folder / "orthanc.json")]
            self.process = subprocess.Popen(command, stdout=output, stderr=output)
        ends = time.monotonic() + _PATIENCE
        while True:
            try:
                self.ask("/system")
                return
            except OSError:
                assert self.process.poll() is None, log.read_text()
                assert time.monotonic() < ends, log.read_text()
                time.sleep(0.1)

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def _lookup(self, instance: str) -> Any:
        url = f"http://localhost:{self.http}/tools/lookup"
        with urllib.request.urlopen(url, data=instance.encode("ascii"), timeout=_PATIENCE) as answer:
            return json.loads(answer.read())


@contextmanager
def orthanc(folder: Path) -> Iterator[Orthanc]:
    program = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin")
    if program is None or not _PLUGINS.exists():
        skip_or_fail("Orthanc and its DICOMweb plug-in aren't installed (Debian: orthanc, orthanc-dicomweb)")
    made = Orthanc(*_free_ports(2), program, folder)
    configuration = {
        "Name": "test",
        "StorageDirectory": str(folder / "orthanc"),
        "IndexDirectory": str(folder / "orthanc"),
        "Plugins": [str(_PLUGINS)],
        "HttpPort": made.http,
        "DicomPort": made.dicom,
        "DicomAet": "ORTHANC",
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "StorageCompression": False,
        "SaveJobs": False,
        "DicomModalities": {"sender": ["CXRSCRIBE", "127.0.0.1", 1]},
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    try:
        made.begin()
        yield made
    finally:
        made.end()


def _free_ports(count: int) -> list[int]:
    opened = [socket.socket() for _ in range(count)]
    for each in opened:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in opened]
    for each in opened:
        each.close()
    return ports
