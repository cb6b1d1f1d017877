"""A small DICOM node in this process, which does as it is told, and misbehaves as it is told."""

from __future__ import annotations

import ssl
import sys
from collections import Counter
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from threading import Event
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    BasicTextSRStorage,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
)

FIND, GET = StudyRootQueryRetrieveInformationModelFind, StudyRootQueryRetrieveInformationModelGet


@dataclass
class NodePacs:
    port: int = 0
    stored: dict[str, bytes] = field(default_factory=dict)
    arrivals: Counter[str] = field(default_factory=Counter)
    associations: int = 0
    stores: int = 0
    trick: Callable[[Any, str, int], int | None] = lambda event, instance, number: None
    """The status of a C-STORE instead of the proper one, by UID and number of the request."""
    find_status: int = 0x0000
    finds: list[list[str]] = field(default_factory=list)
    """The UIDs of each C-FIND."""
    failing: Container[int] = ()
    """Which C-FINDs fail, from 1."""
    knows_lists: bool = True
    finds_at_least: int = 0
    """Matches of each C-FIND, which are of no use."""
    ended: Event = field(default_factory=Event)

    @property
    def address(self) -> str:
        return f"localhost:{self.port}"

    def count(self, event: Any) -> None:
        self.associations += 1

    def store(self, event: Any) -> int:
        self.stores += 1
        instance = str(event.request.AffectedSOPInstanceUID)
        status = self.trick(event, instance, self.stores)
        if status is not None:
            return status
        self.take(event)
        return 0x0000

    def take(self, event: Any) -> None:
        instance = str(event.request.AffectedSOPInstanceUID)
        file = BytesIO()
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        dataset.save_as(file, enforce_file_format=True)
        self.arrivals[instance] += 1
        self.stored.setdefault(instance, file.getvalue())

    def find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        values = event.identifier["SOPInstanceUID"].value
        uids = [values] if isinstance(values, str) else list(values)
        self.finds.append(uids)
        if len(self.finds) in self.failing:
            yield 0xC001, None
            return
        if self.find_status or (len(uids) > 1 and not self.knows_lists):
            yield self.find_status or 0xA900, None
            return
        for number in range(self.finds_at_least):
            found = Dataset()
            found.SOPInstanceUID = f"1.2.{number}"
            yield 0xFF00, found
        for asked in uids:
            if asked in self.stored:
                found = Dataset()
                found.QueryRetrieveLevel = "IMAGE"
                found.SOPInstanceUID = asked
                yield 0xFF00, found

    def get(self, event: Any) -> Iterator[Any]:
        asked = str(event.identifier.SOPInstanceUID)
        files = [self.stored[asked]] if asked in self.stored else []
        yield len(files)
        for file in files:
            yield 0xFF00, dcmread(BytesIO(file))


@contextmanager
def node_pacs(
    *,
    services: tuple[str, ...] = (BasicTextSRStorage, FIND, GET),
    title: str | None = None,
    callers: tuple[str, ...] = (),
    context: ssl.SSLContext | None = None,
    syntaxes: tuple[str, ...] = (ExplicitVRLittleEndian,),
    most: int = 10,
) -> Iterator[NodePacs]:
    """`title`: the only one it answers to. `callers`: whom it lets in. `most`: associations at a time."""
    node = NodePacs()
    entity = AE(title or "NODE")
    entity.require_called_aet = title is not None
    entity.require_calling_aet = list(callers)
    entity.maximum_associations = most
    for service in services:
        roles = {"scu_role": True, "scp_role": True} if service == BasicTextSRStorage else {}
        entity.add_supported_context(service, list(syntaxes), **roles)
    handlers = [
        (evt.EVT_C_STORE, node.store),
        (evt.EVT_C_FIND, node.find),
        (evt.EVT_C_GET, node.get),
        (evt.EVT_ESTABLISHED, node.count),
    ]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers, ssl_context=context)
    node.port = server.socket.getsockname()[1]
    before = sys.getswitchinterval()
    sys.setswitchinterval(2e-4)  # threads that wait for each other all the time
    try:
        yield node
    finally:
        sys.setswitchinterval(before)
        node.ended.set()
        server.shutdown()
