"""What this machine could reach at best: the products from film to report alone, and the bytes they move."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from typing import Final

from cxrscribe.bundle.architecture import Architecture
from cxrscribe.bundle.bundle import Bundle
from cxrscribe.bundle.contract import ENCODER
from cxrscribe.bundle.manifest import Manifest
from cxrscribe.loader import open_bundle
from cxrscribe.networks.encoder import FILMS_AT_ONCE
from cxrscribe.search.expander import Decoder
from cxrscribe.search.requests import FeatureRows
from cxrscribe_bench.floor.encoder_products import EncoderProducts, Product, products_of
from cxrscribe_bench.floor.matrix_products import MatrixProducts, initial_sizes, step_sizes
from cxrscribe_bench.floor.recording import SearchRows, recorded_rows
from cxrscribe_bench.floor.traffic import Traffic, Transfer
from cxrscribe_bench.workload import Workload

_NUMBER: Final = 4
"""Bytes of a float32."""

METHODS: Final = {
    "encoder products": "encoder_products",
    "decoder products": "decoder_products",
    "encoder bytes": "encoder_bytes",
    "decoder bytes": "decoder_bytes",
}
"""Name of a measurement of the group `groups.FLOOR` -> the method of Floor that does it."""


class Floor:
    """The floor of a workload: float32, on the CPU, with as many threads as the workload says.

    The first call of a method with some arguments also prepares it: warm up before timing. Nothing here
    computes anything of use.
    """

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self._bundle = Bundle.open(workload.bundle)
        self._features = workload.feature_rows()
        self._rows: dict[tuple[int, int], SearchRows] = {}
        self._step_traffic: dict[tuple[int, int], tuple[Traffic, list[Transfer]]] = {}

    def encoder_products(self, first: int, count: int) -> None:
        """Multiply what the encoder multiplies for `count` films, in the runtime's batches.

        It is the same for all films, whatever `first` is: all methods are called alike.

        Every convolution is one product [N * OH * OW, Cin / groups * kh * kw] x [.., Cout / groups] for each
        of its groups, by onnxruntime's MatMul, from a matrix that is there already (im2col for free).

        It is a floor of encoders that work so. Winograd's way takes fewer multiplications for a 3 x 3
        convolution, and a convolution that gathers its windows block by block reads each pixel of its input
        once where this reads it up to kh * kw times from a larger matrix: both may be faster than this.
        MatMul on groups of few channels (depthwise) is no good floor either: it is slower than a loop.
        """
        for films in _batches(count):
            self._encoder.prepare(films)
        for films in _batches(count):
            self._encoder.run(films)

    def decoder_products(self, first: int, count: int) -> None:
        """Multiply what the decoder multiplies at the rows that our search takes for these features."""
        rows = self._rows_of(first, count)
        self._decoder.prepare(rows.steps, rows.initial)
        self._decoder.run(rows.steps, rows.initial)

    def encoder_bytes(self, first: int, count: int) -> None:
        """Move what the encoder's products move at least, in float32; see Traffic.

        For each batch of the runtime: all weights once, and what goes into and comes out of each product. A
        convolution's input counts once, however often it is used.
        """
        for films in _batches(count):
            self._encoder_traffic.run(self._encoder_transfers(films))

    def decoder_bytes(self, first: int, count: int) -> None:
        """Move what the decoder's products move at least, as `encoder_bytes` does: all weights at each step.

        Where all weights fit into the processor's cache, they are copied there, as they are read from there.
        """
        found = self._step_traffic.get((first, count))
        if found is None:
            transfers = _search_transfers(self._manifest.architecture, self._rows_of(first, count))
            found = self._step_traffic[first, count] = Traffic(transfers, self._workload.threads), transfers
        traffic, transfers = found
        traffic.run(transfers)

    @property
    def _manifest(self) -> Manifest:
        return self._bundle.manifest

    @cached_property
    def _products(self) -> tuple[Product, ...]:
        picture = self._manifest.preprocessing
        return products_of(self._bundle.graph(ENCODER), picture.height, picture.width)

    @cached_property
    def _encoder(self) -> EncoderProducts:
        encoder = EncoderProducts(self._products, self._workload.threads)
        encoder.prepare(FILMS_AT_ONCE)  # the largest first: it is what buffers are made for
        return encoder

    @cached_property
    def _decoder(self) -> MatrixProducts:
        return MatrixProducts(self._manifest.architecture, self._workload.threads)

    @cached_property
    def _encoder_traffic(self) -> Traffic:
        return Traffic(self._encoder_transfers(FILMS_AT_ONCE), self._workload.threads)

    @cached_property
    def _searching(self) -> Decoder:
        return open_bundle(
            self._workload.bundle, device="cpu", threads=self._workload.threads, cache=False
        ).decoder

    def _encoder_transfers(self, films: int) -> list[Transfer]:
        places = accumulate((product.weights for product in self._products), initial=0)
        return [
            Transfer(
                _NUMBER * product.weights,
                _NUMBER * films * (product.read + product.written),
                _NUMBER * place,
            )
            for product, place in zip(self._products, places, strict=False)
        ]

    def _rows_of(self, first: int, count: int) -> SearchRows:
        rows = self._rows.get((first, count))
        if rows is None:
            size, vocabulary = self._workload.batch_size, self._manifest.vocabulary
            features = self._features[first : first + count]
            source = FeatureRows(
                features,
                self._workload.settings,
                vocabulary,
                size,
                self._manifest.architecture.feature_size,
            )
            rows = self._rows[first, count] = recorded_rows(self._searching, vocabulary, source, size)
        return rows


def open_floor(workload: Workload) -> Floor:
    """The floor of a workload's fp32 graphs. Raises BundleError when the bundle can't be opened."""
    return Floor(workload)


def _batches(count: int) -> list[int]:
    """Films of each call of the encoder."""
    return [min(FILMS_AT_ONCE, count - start) for start in range(0, count, FILMS_AT_ONCE)]


def _search_transfers(architecture: Architecture, rows: SearchRows) -> list[Transfer]:
    """Of each call for initial states, and of each step, whose weights lie behind those."""
    initial, step = initial_sizes(architecture), step_sizes(architecture)
    behind = _weights(initial)
    return [
        *(Transfer(behind, _activations(initial, each)) for each in rows.initial),
        *(Transfer(_weights(step), _activations(step, each), behind) for each in rows.steps),
    ]


def _weights(sizes: Sequence[tuple[int, int]]) -> int:
    return _NUMBER * sum(inner * outer for inner, outer in sizes)


def _activations(sizes: Sequence[tuple[int, int]], rows: int) -> int:
    return _NUMBER * rows * sum(inner + outer for inner, outer in sizes)
