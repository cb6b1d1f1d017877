"""What a search remembers of its hypotheses, held against copies of all their words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrscribe.search.beam import BeamSearch
from cxrscribe.search.expander import Candidates
from cxrscribe.search.hypotheses import Ending, History, Path, Pool
from cxrscribe.settings import BeamSettings
from cxrscribe.vocabulary import END
from support.small_models import letters

V = 9
SLOTS = 4


@dataclass
class Image:
    """Where it has been, and of each step all words and log-probabilities of each hypothesis until then."""

    path: Path
    steps: list[list[tuple[list[int], list[float]]]]


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_history_traces_what_copies_of_all_words_say(data: st.DataObject) -> None:
    """Images begin, change slots and go; the ring turns, and grows in both directions."""
    random = np.random.default_rng(data.draw(st.integers(0, 1000)))
    longest, places = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 3))
    history, images = History(SLOTS), list[Image]()
    history.reserve(longest, places)
    for _ in range(data.draw(st.integers(1, 20))):
        if data.draw(st.integers(0, 5)) == 0:
            longest, places = longest + data.draw(st.integers(0, 3)), places + data.draw(st.integers(0, 2))
            history.reserve(longest, places)
        staying = [each for each in images if len(each.steps) < longest and data.draw(st.integers(0, 4))]
        for slot, each in enumerate(staying):
            if each.path[-1][1] != slot:
                each.path.append((history.steps, slot))
        images = staying
        while len(images) < SLOTS and (not images or data.draw(st.booleans())):
            images.append(Image([(history.steps, len(images))], []))
        index, log_prob = history.add(len(images), places)
        for slot, each in enumerate(images):
            before = each.steps[-1] if each.steps else [([], [])] * places
            parents = random.integers(0, min(len(before), places), places)
            words = random.integers(0, V, places)
            log_prob[slot] = random.standard_normal(places)
            index[slot] = parents * V + words
            each.steps.append(
                [
                    ([*before[parent][0], word], [*before[parent][1], log_prob[slot, rank].item()])
                    for rank, (parent, word) in enumerate(zip(parents, words.tolist(), strict=True))
                ]
            )
        for each in images:
            length = data.draw(st.integers(0, len(each.steps)))
            rank = data.draw(st.integers(0, len(each.steps[length - 1]) - 1)) if length else 0
            expected = each.steps[length - 1][rank] if length else ([], [])
            assert history.trace(each.path, length, rank, V) == expected


@given(
    st.integers(1, 4),
    st.lists(st.tuples(st.sampled_from([0.0, 1.0, 2.0]), st.integers(1, 5), st.integers(0, 3)), max_size=9),
)
def test_pool_keeps_the_best_and_knows_what_would_enter(
    most: int, endings: list[tuple[float, int, int]]
) -> None:
    pool, entered = Pool(most), list[Ending]()
    for minus_score, length, position in endings:
        entered.append(Ending(minus_score, length, position, 0, -minus_score, -1.0))
        pool.enter(entered[-1])
        assert pool.endings == sorted(entered)[:most]
        assert pool.worst == (-pool.endings[-1].minus_score if len(entered) >= most else -np.inf)


@settings(max_examples=100, deadline=None)
@given(st.data(), st.integers(1, 4), st.integers(1, SLOTS))
def test_the_first_that_do_not_end_live_on(data: st.DataObject, width: int, images: int) -> None:
    """Rule 6, image by image, wherever `<end>` stands, for several steps."""
    search = BeamSearch(letters(V), SLOTS)
    # So long, and with so large a pool, that no search is over.
    search.admit([(image, BeamSettings(beam_width=width, max_length=9)) for image in range(images)])
    for step in range(3):
        search.frontier()
        score = -np.sort(np.random.default_rng(step).random((images, 2 * width), np.float32), axis=1) - step
        index = np.zeros((images, 2 * width), np.int64)
        expected = []
        for image in range(images):
            ends = set(data.draw(st.lists(st.integers(width, 2 * width - 1), max_size=width)))
            if step == 2:  # the last one: pools may fill
                ends = set(data.draw(st.lists(st.integers(0, 2 * width - 1), max_size=width)))
            for place in range(2 * width):
                parent = data.draw(st.integers(0, width - 1))
                word = END if place in ends else data.draw(st.integers(END + 1, V - 1))
                index[image, place] = parent * V + word
            live = [place for place in range(2 * width) if place not in ends][:width]
            expected.append(
                [
                    (score[image, place], index[image, place] % V, image * width + index[image, place] // V)
                    for place in live
                ]
            )
        search.advance(Candidates(score, index, score))
        places = search._places
        found = [
            list(zip(places.score[image], places.token[image], places.parent[image], strict=True))
            for image in range(images)
        ]
        assert found == expected
