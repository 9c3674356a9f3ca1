"""Targets: real ones on this machine, and nothing secret in what is said about them."""

from __future__ import annotations

import asyncio
import logging

import pytest

from tests.alerts.receivers import PASSWORD, mail_server, webhook
from toolkit.alerts.targets import SendFailed, masked, open_targets, secrets_of, split_urls
from toolkit.errors import ConfigError


def test_urls_are_split_at_lines_and_at_commas_before_a_scheme():
    text = "mailto://a:b@c.d?to=x@y.z,v@w.u, json://h/p\n\n slack://A/B/C ,"
    assert split_urls(text) == ["mailto://a:b@c.d?to=x@y.z,v@w.u", "json://h/p", "slack://A/B/C"]
    assert split_urls("  \n") == []


def test_a_wrong_url_is_refused_without_being_shown():
    with pytest.raises(ConfigError) as caught:
        open_targets(["json://h/p", f"nonsense://{PASSWORD}"])
    assert "target 2 (nonsense://...)" in caught.value.message
    assert PASSWORD not in str(caught.value.to_dict())


def test_secrets_are_all_parts_of_a_url_also_unquoted():
    secrets = secrets_of("json://user:p%40ssword@host/token-one?key=token-two")
    text = "p@ssword p%40ssword token-one token-two host user"
    assert masked(text, secrets) == "*** *** *** *** *** ***"


async def test_a_message_reaches_a_mailbox():
    async with mail_server() as mailbox:
        (target,) = open_targets([mailbox.url])
        await asyncio.to_thread(target.send, title="toolkit: 2 fills", body="bought\nsold")
        (letter,) = mailbox.letters
    assert letter["Subject"] == "toolkit: 2 fills"
    assert "desk@example.com" in letter["To"]
    text = letter.get_body(("plain", "html")).get_content()
    assert "bought" in text
    assert "sold" in text


async def test_a_message_reaches_a_webhook():
    async with webhook() as hook:
        (target,) = open_targets([hook.url])
        await asyncio.to_thread(target.send, title="title", body="body")
    assert (hook.calls[0]["title"], hook.calls[0]["message"]) == ("title", "body")


async def test_a_refusal_says_why_and_shows_neither_password_nor_address(
    caplog: pytest.LogCaptureFixture,
):
    caplog.set_level(logging.DEBUG)
    async with webhook() as hook:
        hook.status = 500
        (target,) = open_targets([hook.url])
        with pytest.raises(SendFailed, match="500") as caught:
            await asyncio.to_thread(target.send, title="title", body="body")
    assert target.name == "json (target 1)"
    everything = f"{caught.value} {target!r} {caplog.text}"
    assert PASSWORD not in everything
    assert "alerts" not in str(caught.value)


async def test_a_target_that_is_not_there_is_a_failure():
    async with webhook() as hook:
        url = hook.url
    (target,) = open_targets([url])
    with pytest.raises(SendFailed, match=r"json \(target 1\)"):
        await asyncio.to_thread(target.send, title="title", body="body")
