"""The model behind the service: loaded and warmed up once, one queue for all requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from cxrscribe.errors import BusyError, FilmError, InputError, SettingsError
from cxrscribe.films.isolation import Isolate
from cxrscribe.report import Report
from cxrscribe.report_json import report_json
from cxrscribe.server.bodies import Films
from cxrscribe.server.limits import Limits
from cxrscribe.server.metrics import Gauges, Metrics
from cxrscribe.server.parameters import Asked
from cxrscribe.server.problems import ClientGoneError, RequestError, busy, film_problem
from cxrscribe.study import Study
from cxrscribe.version import __version__

if TYPE_CHECKING:
    from cxrscribe.report_queue import ReportQueue
    from cxrscribe.reporter import Reporter

_MOST_FAILED: Final = 16
"""Reports in a row that the network may fail at; then the service says that it needs a new start."""
_REQUEST: Final = "request"
"""Where an indication is from that came with the request."""


@dataclass(frozen=True)
class _Outcome:
    """What became of one film or study."""

    item: Report | FilmError
    names: tuple[str | None, ...]
    """What the client calls its films."""


class Service:
    """Answers with reports, once it has been started, until it is closed.

    `load` gives the reporter, which it owns. Its methods are for the event loop's thread, but `start` and
    `close`, which take long.
    """

    def __init__(self, load: Callable[[], Reporter], limits: Limits, metrics: Metrics, warm: int = 8) -> None:
        """`warm`: films that the model is warmed up for; 0 leaves that to the first requests."""
        self._load = load
        self._limits = limits
        self._metrics = metrics
        self._warm = warm
        self._reporter: Reporter | None = None
        self._queue: ReportQueue | None = None
        self.is_stopping = False
        self._failed = 0  # reports since the last one that was written

    def start(self) -> Reporter:
        """Load and warm up. Raises what `cxrscribe.load` raises, and FilmError where no film can be read."""
        reporter = self._load()
        if self._warm:
            reporter.warmup(self._warm)
            self._warm_readers(reporter)
        self._queue = reporter.queue(
            batch_size=self._limits.searched,
            most_waiting=self._limits.waiting,
            stats=self._metrics.decoding,
            on_read=self._metrics.reading.add,
        )
        self._reporter = reporter
        return reporter

    def close(self, *, cancel: bool) -> None:
        """Wait for what was accepted, or `cancel` it, and free the model."""
        if self._queue is not None:
            self._queue.close(cancel=cancel)
        if self._reporter is not None:
            self._reporter.close()

    @property
    def is_ready(self) -> bool:
        """Whether requests are taken."""
        return self._queue is not None and self._works and not self.is_stopping

    @property
    def is_alive(self) -> bool:
        """Whether waiting, and not a new start, can make it ready."""
        return self._queue is None or self._works or self.is_stopping

    @property
    def _works(self) -> bool:
        # A GPU that is lost fails at every call, and the queue goes on. What comes is tried all the same.
        return self._queue is not None and self._queue.is_open and self._failed < _MOST_FAILED

    @property
    def reporter(self) -> Reporter:
        """The model. Raises RequestError 503 while it isn't there, or no longer works."""
        if self._reporter is None or self._queue is None:
            raise busy("loading", "the model is being loaded; try again soon")
        if not self._queue.is_open:
            raise RequestError(503, "failed", "the model has failed; the service has to be started again")
        return self._reporter

    def gauges(self) -> Gauges:
        """Of the queue; the rest is for whoever knows it."""
        queue = self._queue
        waiting, searching = (0, 0) if queue is None else (len(queue), queue.searching)
        return Gauges(self.is_ready, waiting, searching)

    def model_json(self) -> dict[str, object]:
        """What the model is, without a path."""
        reporter = self.reporter
        manifest = reporter.manifest
        sizes = manifest.architecture
        return {
            "version": __version__,
            "model": manifest.architecture.backbone,
            "manifest_sha256": manifest.sha256,
            "architecture": {
                "features": sizes.feature_size,
                "embedding": sizes.embedding_size,
                "hidden": sizes.hidden_size,
                "layers": sizes.layers,
            },
            "input": {"height": manifest.preprocessing.height, "width": manifest.preprocessing.width},
            "vocabulary_size": len(manifest.vocabulary),
            "settings": reporter.settings.to_json(),
            "precision": reporter.precision,
            "device": reporter.device,
            "threads": reporter.threads,
            "reads_indications": reporter.reads_indications,
            "licence": manifest.licence,
            "disclaimer": reporter.disclaimer,
        }

    async def reports(self, films: Films, asked: Asked, gone: asyncio.Future[None]) -> Any:
        """The JSON of the answer: one report, or an array of them.

        `gone` is done when the client has gone away. Raises RequestError, and ClientGoneError.
        """
        if asked.by_study:
            images: Sequence[bytes | Study] = [Study(films.films)]
            names = [tuple(films.names)]
        else:
            images, names = films.films, [(name,) for name in films.names]
        futures = self._submit(images, asked, films.indication)
        films.films = []  # the queue lets them go as soon as they are read
        del images
        items = await self._answered(futures, gone)
        outcomes = [_Outcome(item, each) for item, each in zip(items, names, strict=True)]
        self._count(outcomes)
        told = films.indication
        if films.is_several and not asked.by_study:
            return [self._row(outcome, asked, told) for outcome in outcomes]
        (outcome,) = outcomes
        if isinstance(outcome.item, FilmError):
            raise film_problem(outcome.item)
        return self._row(outcome, asked, told)

    def _submit(
        self, images: Sequence[bytes | Study], asked: Asked, indication: str | None
    ) -> list[Future[Report]]:
        self.reporter  # noqa: B018 (raises unless it is there)
        assert self._queue is not None
        futures: list[Future[Report]] = []
        try:
            for image in images:
                futures.append(self._queue.submit(image, asked.settings, indication=indication))  # noqa: PERF401
        except BaseException as error:
            for future in futures:
                future.cancel()
            if isinstance(error, BusyError):
                raise busy("full", "the queue is full; try again soon") from None
            if isinstance(error, SettingsError):
                raise RequestError(400, "wrong_settings", str(error)) from None
            if isinstance(error, InputError):  # it was closed, or has failed, just now
                raise busy("stopping", "the service stops; ask another one") from None
            raise
        self._metrics.films += sum(len(image.films) if isinstance(image, Study) else 1 for image in images)
        return futures

    async def _answered(
        self, futures: list[Future[Report]], gone: asyncio.Future[None]
    ) -> list[Report | FilmError]:
        """Each one's outcome. Whatever ends this takes the others out of the queue."""
        loop = asyncio.get_running_loop()
        over: asyncio.Future[None] = loop.create_future()
        left = len(futures)

        def end(_: object = None) -> None:
            if not over.done():
                over.set_result(None)

        def count() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                end()

        def count_there(_: Future[Report]) -> None:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(count)

        for future in futures:
            future.add_done_callback(count_there)
        gone.add_done_callback(end)
        late = loop.call_later(self._limits.deadline, end)
        try:
            await over
        finally:
            late.cancel()
            for future in futures:
                future.cancel()
        if left == 0:
            return [self._item(future) for future in futures]
        if gone.done():
            raise ClientGoneError
        raise RequestError(
            504, "too_late", f"there was no report within {self._limits.deadline:g} seconds; try again later"
        )

    def _item(self, future: Future[Report]) -> Report | FilmError:
        """Its outcome. Raises what isn't the film's fault: a defect, of the network say."""
        error = future.exception()
        if error is None:
            self._failed = 0
            return future.result()
        if isinstance(error, FilmError):
            return error
        self._failed += 1
        raise error

    def _count(self, outcomes: list[_Outcome]) -> None:
        for outcome in outcomes:
            if isinstance(outcome.item, FilmError):
                self._metrics.errors[outcome.item.reason] += 1
            else:
                self._metrics.reports += 1
                for film in outcome.item.left_out:
                    self._metrics.errors[film.error.reason] += 1

    def _row(self, outcome: _Outcome, asked: Asked, indication: str | None) -> dict[str, object]:
        """The fields of `cxrscribe report --json`."""
        item, names = outcome.item, outcome.names
        told = item.indication_from if isinstance(item, Report) else None
        if told is not None and indication is not None:
            told = _REQUEST
        if asked.by_study:
            left_out = item.left_out if isinstance(item, Report) else ()
            named: dict[str, object] = {
                "study": None,
                "films": list(names),
                "left_out": [{"film": names[film.place], "error": str(film.error)} for film in left_out],
            }
        else:
            named = {"film": names[0]}
        fields = report_json(
            item,
            self.reporter.disclaimer,
            reads_indications=self.reporter.reads_indications,
            indication_from=told,
            drawn=asked.settings if asked.settings.draws else None,
        )
        return {**named, **fields}

    def _warm_readers(self, reporter: Reporter) -> None:
        """Start the processes that read films, which takes longer than a report."""
        if reporter.isolation.which == Isolate.NONE:
            return
        with reporter.queue() as queue:
            futures = [queue.submit(_noise()) for _ in range(min(reporter.threads, 8))]
        for future in futures:
            future.result()


def _noise() -> bytes:
    """A PNG that is no film, but can be read."""
    from PIL import Image

    from cxrscribe.noise import noise

    file = BytesIO()
    Image.fromarray(noise((64, 64))).save(file, "PNG")
    return file.getvalue()
