"""The top of the page: the few figures that matter, and the goals, reached or not."""

from __future__ import annotations

from cxrscribe_bench.groups import ENCODER, OFFLINE_FILMS, PADDLE_DYNAMIC, SINGLE_FILMS, STARTUP
from cxrscribe_bench.page.bars import Bar, bar_chart
from cxrscribe_bench.page.markup import Markup, joined, markup
from cxrscribe_bench.page.scale import ratio_scale
from cxrscribe_bench.results.figures import duration, interval, percent, round_figure, significant, times
from cxrscribe_bench.results.measurement import Measurement
from cxrscribe_bench.results.record import Goal, Record
from cxrscribe_bench.results.samples import Estimate, ratio_of_medians
from cxrscribe_bench.results.standings import Standings, standings


def headline(record: Record) -> Markup:
    """Big figures, each with its interval and what it is a ratio of; empty where there is none."""
    films = standings(record, OFFLINE_FILMS)
    cards = joined(
        [
            Markup() if films is None else _times_the_replaced(films),
            _share_of_encoder(record),
            _first_report(record),
            _tail(record),
        ]
    )
    return markup('<div class="cards">\n{cards}\n</div>', cards=cards) if cards else Markup()


def goals(record: Record) -> Markup:
    """Reached and missed side by side, each as far from its goal as it is."""
    if not record.goals:
        return Markup()
    sides = [
        (tuple(goal for goal in record.goals if goal.reached), "Reached", "met"),
        (tuple(goal for goal in record.goals if not goal.reached), "Not reached", "missed"),
    ]
    # One scale for both, so that near and far mean the same on either side.
    scale = ratio_scale(bound for goal in record.goals for bound in _progress(goal))
    charts = []
    for reached, title, tone in sides:
        bars = [_goal_bar(goal, tone) for goal in reached]
        body = (
            bar_chart(
                f"Goals: {title.lower()}", bars, scale, 1, ("← short of it", "beyond it →"), times, "above"
            )
            if bars
            else markup('<p class="none">None.</p>')
        )
        charts.append(
            markup(
                '<div class="panel {tone}"><h3>{title} <span class="count">{count} of {all}</span></h3>'
                "{body}</div>",
                tone=tone,
                title=title,
                count=len(bars),
                all=len(record.goals),
                body=body,
            )
        )
    return markup('<div class="panels">\n{charts}\n</div>', charts=joined(charts))


def _card(figure: str, title: str, of_what: str, bounds: str) -> Markup:
    return markup(
        '<div class="card"><p class="big">{figure}</p><p class="what">{title}</p>'
        '<p class="fine">{of_what}</p><p class="fine bounds">{bounds}</p></div>',
        figure=figure,
        title=title,
        of_what=of_what,
        bounds=f"95 % interval: {bounds}",
    )


def _times_the_replaced(films: Standings) -> Markup:
    replaced = next((row for row in films.rows if row.system == PADDLE_DYNAMIC), None)
    if replaced is None or replaced.fp32_times is None:
        return Markup()
    best = films.best
    more = ""
    if best is not None and replaced.best_times is not None and best is not films.fp32:
        more = f" At {best.precision}: {times(replaced.best_times.value)}."
    return _card(
        times(replaced.fp32_times.value),
        "as fast as the program it replaces, from films",
        f"Reports a second, fp32, over Paddle's film by film in the same rounds.{more}",
        interval(replaced.fp32_times, times),
    )


def _share_of_encoder(record: Record) -> Markup:
    films, encoder = (_ours(record, group) for group in (OFFLINE_FILMS, ENCODER))
    if films is None or encoder is None:
        return Markup()
    share = ratio_of_medians(
        [value / encoder.items for value in encoder.seconds], [value / films.items for value in films.seconds]
    )
    return _card(
        percent(share.value),
        "of the encoder's own rate, from films",
        "Reports a second, fp32, over films a second of the encoder alone: the rest is files and search.",
        interval(share, percent),
    )


def _first_report(record: Record) -> Markup:
    starts = record.group(STARTUP)
    empty = next((each for each in starts if each.labels.get("start") == "empty"), None)
    warm = next((each for each in starts if _is_warm_report(each)), None)
    if warm is None:
        return Markup()
    seconds = warm.percentile(50)
    over = "" if empty is None else f"; an empty Python process takes {duration(empty.median)}"
    return _card(
        duration(seconds.value),
        "to the first report in a fresh process",
        f"From the start of the process, with a warm graph cache{over}.",
        interval(seconds, duration),
    )


def _is_warm_report(start: Measurement) -> bool:
    return (start.labels.get("start"), start.labels.get("point")) == ("warm", "report")


def _tail(record: Record) -> Markup:
    single = _ours(record, SINGLE_FILMS)
    if single is None:
        return Markup()
    tail = single.percentile(99)
    ratio = significant(tail.value / single.percentile(50).value)
    return _card(
        duration(tail.value / single.items),
        "p99 of one film to its report",
        f"fp32, {len(single.seconds):,} films one at a time; {ratio} times the median.",
        interval(Estimate(tail.value, tail.low, tail.high), lambda value: duration(value / single.items)),
    )


def _ours(record: Record, group: str) -> Measurement | None:
    found = standings(record, group)
    return None if found is None or found.fp32 is None else found.fp32.measurement


def _progress(goal: Goal) -> tuple[float, float, float]:
    """Value, low and high over the goal, turned so that more is better."""
    ratios = [each / goal.goal for each in (goal.value.value, goal.value.low, goal.value.high)]
    if not goal.at_most:
        return ratios[0], ratios[1], ratios[2]
    value, high, low = (1 / max(ratio, 1e-9) for ratio in ratios)
    return value, low, high


def _goal_bar(goal: Goal, tone: str) -> Bar:
    wanted = f"{'at most' if goal.at_most else 'at least'} {round_figure(significant(goal.goal))}"
    return Bar(
        label=goal.name,
        value=Estimate(*_progress(goal)),
        figure=significant(goal.value.value),
        note=interval(goal.value),
        tag=f"goal: {wanted}",
        tone=tone,
    )
