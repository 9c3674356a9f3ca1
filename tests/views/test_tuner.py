from __future__ import annotations

import re
import threading

import pytest

from toolkit.core.parameters import Parameters
from toolkit.errors import NotConnected
from toolkit.views.notebook.draft import Draft
from toolkit.views.notebook.tuner import tuner


def test_a_draft_keeps_edits_until_they_are_confirmed():
    draft = Draft(in_force=Parameters()).edit("ema.ema_period", 12)
    assert draft.pending == {"ema.ema_period": 12}
    assert draft.confirm(Parameters().replace(ema_period=12)).pending == {}
    assert draft.confirm(Parameters().replace(ema_period=20)).pending == {"ema.ema_period": 12}


def test_the_value_in_force_is_no_edit():
    draft = Draft(in_force=Parameters()).edit("ema.ema_period", 12).edit("ema.ema_period", 9)
    assert draft.pending == {}


def test_a_draft_says_what_is_allowed():
    draft = Draft(in_force=Parameters()).edit("ema.ema_period", 0)
    assert draft.problem == "ema.ema_period is 0; allowed: whole numbers from 1 to 500"
    assert draft.edit("ema.ema_period", 5).problem == ""


def test_a_draft_that_switches_everything_off_is_a_problem():
    draft = Draft(in_force=Parameters())
    draft = draft.edit("stoch_rsi.enabled", False).edit("ema.enabled", False)
    assert "enable stoch_rsi, ema or stochastic" in draft.problem


@pytest.fixture
def panel(client):
    panel = tuner(client)
    yield panel
    panel.close()


def control(panel, name):
    return panel._controls[name]


def classes(panel, name):
    return set(control(panel, name).row._dom_classes)


def message(panel):
    return re.sub("<[^>]*>", "", panel._message.value)


def log(panel):
    return re.sub("<[^>]*>", "", panel._log.value)


def test_every_parameter_has_a_control_that_shows_what_is_in_force(client, panel):
    assert set(panel._controls) == {f.name for f in Parameters.fields()}
    for info in Parameters.fields():
        assert control(panel, info.name).input.value == client.parameters[info.name]


def test_sliders_tell_only_when_they_are_let_go(panel):
    assert not control(panel, "ema.ema_period").slider.continuous_update


def test_an_edit_is_marked_and_can_be_taken_back(panel):
    control(panel, "ema.ema_period").slider.value = 12
    assert panel.pending == {"ema.ema_period": 12}
    assert control(panel, "ema.ema_period").input.value == 12
    assert "tk-changed" in classes(panel, "ema.ema_period")
    assert message(panel) == "1 change not applied"
    panel._reset.click()
    assert panel.pending == {}
    assert control(panel, "ema.ema_period").slider.value == 9
    assert "tk-changed" not in classes(panel, "ema.ema_period")


def test_a_number_beyond_the_slider_counts(panel):
    control(panel, "ema.ema_period").input.value = 400
    assert panel.pending == {"ema.ema_period": 400}
    assert control(panel, "ema.ema_period").input.value == 400
    assert control(panel, "ema.ema_period").slider.value == 90


def test_apply_changes_the_bot_and_shows_its_confirmation(client, panel):
    control(panel, "ema.ema_period").slider.value = 12
    control(panel, "risk.stop_loss").input.value = 0.35
    panel._apply.click()
    assert client.parameters["ema_period"] == 12
    assert panel.pending == {}
    assert panel._apply.disabled
    assert log(panel) == (
        "14:30:00 UTC ema.ema_period 9 → 12, risk.stop_loss 0.2 → 0.35 "
        "confirmed by the bot, asked for by you"
    )


def test_what_somebody_else_changed_is_shown(client, panel):
    control(panel, "stoch_rsi.k").input.value = 5
    client.parameters = client.parameters.replace(ema_period=20)
    client.send_parameters({"ema.ema_period": (9, 20)}, who="<b>anna</b>")
    assert control(panel, "ema.ema_period").input.value == 20
    assert panel.pending == {"stoch_rsi.k": 5}
    assert "&lt;b&gt;anna" in panel._log.value


def test_a_value_out_of_bounds_is_said_in_words_and_cannot_be_applied(client, panel):
    control(panel, "ema.ema_period").input.value = 0
    assert message(panel) == "ema.ema_period is 0; allowed: whole numbers from 1 to 500"
    assert "tk-wrong" in classes(panel, "ema.ema_period")
    assert panel._apply.disabled
    panel._reset.click()
    assert control(panel, "ema.ema_period").input.value == 9
    assert "tk-wrong" not in classes(panel, "ema.ema_period")
    assert message(panel) == ""


def test_a_refusal_is_said_in_words_and_the_edit_stays(client, panel):
    def refuse(_changes):
        raise NotConnected("the server is away")

    client.set_parameters = refuse
    control(panel, "ema.ema_period").input.value = 12
    panel._apply.click()
    assert message(panel) == "Not applied: the server is away"
    assert panel.pending == {"ema.ema_period": 12}
    assert not panel._apply.disabled


def test_edits_from_several_threads_are_all_kept(panel):
    names = ["ema.ema_period", "stoch_rsi.k", "stoch_rsi.d", "rules.lookback"]
    threads = [
        threading.Thread(target=lambda n=n: setattr(control(panel, n).input, "value", 20))
        for n in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert dict(panel.pending) == dict.fromkeys(names, 20)


def test_stop_leaves_the_form_out_of_use(client, panel):
    panel.stop()
    assert client.handler_count == 0
    assert control(panel, "ema.ema_period").input.disabled
    assert message(panel) == "The session was stopped."


def test_every_sound_draft_is_told_as_tried_and_its_outcome_is_shown(client):
    drafts = []

    def tried(parameters, show):
        drafts.append(parameters)
        show(f"<{len(drafts)} trials>")

    panel = tuner(client, tried=tried)
    control(panel, "ema.ema_period").input.value = 12
    control(panel, "ema.ema_period").input.value = 0
    control(panel, "ema.ema_period").input.value = 9
    control(panel, "risk.stop_loss").input.value = 0.3
    panel.close()
    assert drafts == [
        client.parameters.replace(ema_period=12),
        client.parameters.replace(stop_loss=0.3),
    ]
    assert panel._outcome.value == "&lt;2 trials&gt;"
