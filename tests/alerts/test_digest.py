"""Grouping and throttling: at once where it is urgent, never twice, and a flood is a count."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from toolkit.alerts.digest import KEPT_SUBJECTS, Digest, Message, Throttle
from toolkit.alerts.rules import Kind, Notice

THROTTLE = Throttle(gather=10.0, repeat=60.0, urgent_burst=2, lines=5)


def fill(text: str = "bought 1 AAPL") -> Notice:
    return Notice(kind=Kind.FILLS, text=text)


def gate(text: str, *, urgent: bool = False, subject: str = "gate:feed") -> Notice:
    return Notice(kind=Kind.GATES, text=text, subject=subject, urgent=urgent)


def test_one_notice_waits_for_company_and_is_its_own_title():
    digest = Digest(THROTTLE)
    digest.add(fill(), now=0.0)
    assert digest.due(now=9.9) is None
    assert digest.next_due() == 10.0
    message = digest.due(now=10.0)
    assert message == Message(title="toolkit: bought 1 AAPL", body="bought 1 AAPL", notices=1)
    assert digest.due(now=100.0) is None
    assert digest.next_due() == float("inf")


def test_many_fills_become_one_message():
    digest = Digest(THROTTLE)
    for number in range(4):
        digest.add(fill(f"bought {number}"), now=float(number))
    message = digest.due(now=10.0)
    assert message.title == "toolkit: 4 fills"
    assert message.body.splitlines() == [f"bought {number}" for number in range(4)]


def test_a_flood_becomes_a_count():
    digest = Digest(THROTTLE)
    for number in range(1000):
        digest.add(fill(f"bought {number}"), now=0.0)
    message = digest.due(now=10.0)
    assert message.body.splitlines()[-1] == "and 995 fills more"
    assert message.notices == 1000


def test_what_is_urgent_goes_at_once_and_takes_along_what_waits():
    digest = Digest(THROTTLE)
    digest.add(fill(), now=0.0)
    digest.add(gate("halted", urgent=True), now=1.0)
    message = digest.due(now=1.0)
    assert message.urgent
    assert message.body.splitlines() == ["bought 1 AAPL", "halted"]


def test_the_same_is_not_told_twice_but_counted_when_its_time_is_over():
    digest = Digest(THROTTLE)
    digest.add(gate("halted", urgent=True), now=0.0)
    assert digest.due(now=0.0)
    for second in range(1, 50):
        digest.add(gate("halted", urgent=True), now=float(second))
        assert digest.due(now=float(second)) is None
    assert digest.due(now=60.0).body == "halted (again, 49 times)"


def test_of_several_changes_the_last_is_told():
    digest = Digest(THROTTLE)
    digest.add(gate("mute"), now=0.0)
    assert digest.due(now=10.0).body == "mute"
    digest.add(gate("open"), now=11.0)
    digest.add(gate("mute"), now=12.0)
    digest.add(gate("open"), now=13.0)
    assert digest.due(now=59.0) is None
    assert digest.due(now=60.0).body == "open (after 3 changes)"


def test_a_change_before_the_first_was_sent_comes_with_it():
    digest = Digest(THROTTLE)
    digest.add(gate("mute"), now=0.0)
    digest.add(gate("open"), now=0.5)
    assert digest.due(now=10.0).body.splitlines() == ["mute", "open"]
    assert digest.next_due() == float("inf")


def test_an_urgent_change_of_a_subject_told_before_does_not_wait():
    digest = Digest(THROTTLE)
    digest.add(gate("paused", urgent=True), now=0.0)
    assert digest.due(now=0.0)
    digest.add(gate("failed", urgent=True), now=1.0)
    assert digest.due(now=1.0).body == "failed"


def test_a_flood_of_urgent_ones_is_no_flood_of_messages():
    digest, messages = Digest(THROTTLE), []
    for number in range(100):
        digest.add(gate(f"error {number}", urgent=True, subject=f"e{number}"), now=0.0)
        messages.append(digest.due(now=0.0))
    assert len([m for m in messages if m]) == 2
    assert digest.due(now=10.0).notices == 98


def test_what_waits_at_the_end_is_told():
    digest = Digest(THROTTLE)
    digest.add(gate("mute"), now=0.0)
    assert digest.due(now=10.0)
    digest.add(gate("open"), now=11.0)
    digest.add(fill(), now=12.0)
    rest = digest.rest(now=12.0)
    assert rest.body.splitlines() == ["bought 1 AAPL", "open"]
    assert digest.rest(now=12.0) is None


def test_a_title_is_short_and_on_one_line():
    digest = Digest(THROTTLE, name="stochrsi")
    digest.add(fill("x\n" * 200), now=0.0)
    title = digest.due(now=10.0).title
    assert title.startswith("stochrsi: x x x")
    assert len(title) < 100
    assert "\n" not in title


NOTICES = st.builds(
    Notice,
    kind=st.sampled_from(Kind),
    text=st.sampled_from("abc"),
    subject=st.sampled_from(["", "", "one", "two"]),
    urgent=st.booleans(),
)
STEPS = st.lists(st.tuples(st.floats(0.0, 40.0), NOTICES), max_size=60)


@given(STEPS)
def test_nothing_is_lost_nothing_comes_too_often_and_nothing_comes_twice(steps):
    digest, now, sent = Digest(THROTTLE), 0.0, []

    def collect(moment: float) -> None:
        while (due := digest.next_due()) <= moment:
            message = digest.due(now=due)
            assert message is not None
            sent.append((due, message))

    for wait, notice in steps:
        collect(now + wait)
        now += wait
        digest.add(notice, now=now)
    collect(now)
    rest = digest.rest(now=now)
    told = [m for _, m in sent] + ([rest] if rest else [])
    assert sum(m.notices for m in told) == len(steps)
    assert all(len(m.body.splitlines()) <= THROTTLE.lines + 1 for m in told)
    urgent = [at for at, m in sent if m.urgent]
    for start in urgent:
        window = [at for at, _ in sent if start <= at < start + THROTTLE.repeat]
        most = THROTTLE.urgent_burst * 2 + THROTTLE.repeat / THROTTLE.gather + 3
        assert len(window) <= most


@given(st.lists(st.tuples(st.floats(0.0, 30.0), st.sampled_from("ab")), max_size=40))
def test_one_subject_with_one_text_is_told_once_in_its_time(steps):
    digest, now, times = Digest(THROTTLE), 0.0, {"a": [], "b": []}

    def collect(moment: float) -> None:
        while (due := digest.next_due()) <= moment:
            for line in digest.due(now=due).body.splitlines():
                times[line[0]].append(due)

    for wait, text in steps:
        collect(now + wait)
        now += wait
        digest.add(gate(text, subject=text), now=now)
    for told in times.values():
        pairs = itertools.pairwise(told)
        assert all(b - a >= THROTTLE.repeat - THROTTLE.gather - 1e-6 for a, b in pairs)


def test_its_memory_is_bounded():
    digest = Digest(THROTTLE)
    count = KEPT_SUBJECTS * 3
    for number in range(count):
        digest.add(gate("x", subject=str(number)), now=0.0)
    assert len(digest._told) == KEPT_SUBJECTS
    assert digest.rest(now=0.0).notices == count
