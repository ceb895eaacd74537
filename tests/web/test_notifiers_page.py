"""Who is told, and how that goes, on the page, as JSON, as numbers, on the command line."""

from __future__ import annotations

from test_metrics import value
from test_pages import words
from web_helpers import Stand


def test_a_forge_that_refuses_is_on_the_page_with_its_reason(filled: Stand) -> None:
    text = words(filled.text("/notifiers"))
    assert "team statuses on github stalled" in text
    assert "api.github.com answers 401: Bad credentials is the token right?" in text
    assert "waiting envwatch/analyst/demo of team" in text


def test_messages_say_what_became_of_them(filled: Stand) -> None:
    text = words(filled.text("/notifiers"))
    assert "build 4 failed: no numpyy → chatops told" in text
    assert "→ pager waiting page ended with 1: line busy" in text


def test_the_sources_say_who_cannot_be_told(filled: Stand) -> None:
    text = words(filled.text("/sources"))
    assert "2 of 3 forges and notifiers cannot be told: team: api.github.com answers 401" in text
    assert "statuses github stalled 1 waiting api.github.com answers 401" in text
    assert "statuses github stalled" in words(filled.text("/source?name=team"))


def test_the_twin_says_the_same(filled: Stand) -> None:
    found = filled.client.get("/notifiers.json").json
    assert found is not None
    states = {r["name"]: (r["state"], r["waiting"]) for r in found["recipients"]}
    assert states == {"team": ("stalled", 1), "chatops": ("ok", 0), "pager": ("failing", 1)}
    assert [s["context"] for s in found["statuses"]] == ["envwatch/analyst/demo"]


def test_where_nobody_is_told_the_page_says_how_to(empty: Stand) -> None:
    assert "Nobody is told" in words(empty.text("/notifiers"))
    assert "notifiers" not in words(empty.text("/sources"))


def test_messages_are_counted_by_what_became_of_them(filled: Stand) -> None:
    def total(role: str, name: str, result: str) -> float:
        labels = {"role": role, "notifier": name, "result": result}
        return value(filled, "notifications_total", **labels)

    assert total("notifier", "chatops", "delivered") == 1
    assert total("notifier", "pager", "failed") == 1
    assert total("forge", "team", "failed") == 1
    assert value(filled, "notifications_waiting", role="forge", notifier="team") == 1
    assert value(filled, "notifier_state", role="forge", notifier="team", state="stalled") == 1
