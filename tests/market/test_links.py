"""Whether a stream can be trusted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.market.fakes import START
from toolkit.alpaca.port import Link, LinkNews
from toolkit.market.links import LinkWatch

MUTE_AFTER = 45.0


def watch(*links: Link) -> LinkWatch:
    made = LinkWatch("iex", mute_after=MUTE_AFTER)
    for link in links:
        made.on_news(LinkNews(link=link, timestamp=START, reason="why"))
    return made


def test_patience_counts_from_the_opening_of_the_market() -> None:
    link = watch(Link.UP)
    assert not link.check(now=0.0, market_open=False)
    assert not link.check(now=3600.0, market_open=True)
    assert not link.check(now=3640.0, market_open=True)
    assert link.check(now=3645.0, market_open=True)


def test_patience_doubles_with_every_connection_that_stays_mute() -> None:
    link, times = watch(Link.UP), list[float]()
    for second in range(3000):
        if link.check(now=float(second), market_open=True):
            times.append(second)
            link.on_news(LinkNews(link=Link.UP, timestamp=START))
    waits = [b - a for a, b in zip([0.0, *times], times, strict=False)]
    assert [round(wait / MUTE_AFTER) for wait in waits[:6]] == [1, 2, 4, 8, 16, 16]


def test_what_is_heard_ends_muteness_and_its_doubling() -> None:
    link = watch(Link.UP)
    link.check(now=0.0, market_open=True)
    assert link.check(now=45.0, market_open=True)
    assert not link.health().ok
    link.on_message(now=46.0, wall=START)
    assert link.health().ok
    assert link.health().last_message == START
    assert link.check(now=91.0, market_open=True)


def test_a_closed_market_is_not_mute() -> None:
    link = watch(Link.UP)
    link.check(now=0.0, market_open=True)
    link.check(now=45.0, market_open=True)
    link.check(now=46.0, market_open=False)
    assert link.health().ok


STEPS = st.lists(
    st.one_of(
        st.sampled_from([*Link, "message"]),
        st.tuples(st.floats(0.1, 60.0), st.booleans()),
    ),
    max_size=40,
)


@given(STEPS)
def test_only_a_silent_open_connection_is_made_anew_and_health_names_every_trouble(
    steps: list[object],
) -> None:
    link, now, up, heard = watch(), 0.0, False, 0.0
    for step in steps:
        if isinstance(step, Link):
            link.on_news(LinkNews(link=step, timestamp=START, reason="why"))
            up = step is Link.UP
        elif step == "message":
            link.on_message(now=now, wall=START)
            heard = now
        elif isinstance(step, tuple):
            now += step[0]
            if link.check(now=now, market_open=step[1]):
                assert up
                assert step[1]
                assert now - heard >= MUTE_AFTER
                assert not link.health().ok
        assert link.health().ok == (link.health().reason == "")
        assert up or not link.health().ok
