"""Feeds and badges: what happened, for readers that keep what they have seen."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from web_helpers import DASK, DEMO, Stand, ask, claim, commit, publish

ATOM = "{http://www.w3.org/2005/Atom}"


def entries(made: Stand, path: str = "/feed.atom") -> list[tuple[str, str]]:
    """Each entry's id and title."""
    feed = ET.fromstring(made.text(path))  # noqa: S314  # our own feed
    return [
        (e.findtext(f"{ATOM}id", ""), e.findtext(f"{ATOM}title", ""))
        for e in feed.iter(f"{ATOM}entry")
    ]


def test_the_feed_tells_the_newest_first(filled: Stand) -> None:
    titles = [title for _, title in entries(filled)]
    assert titles[0] == "ml/torch: published"
    assert "analyst/demo: failed" in titles
    assert "analyst/old-thing: retired" in titles


def test_ids_stay_when_more_happens(filled: Stand) -> None:
    before = entries(filled)
    commit(filled.catalog, ask(DASK, "k2"))
    while claim(filled.catalog).key != DASK:
        pass
    filled.catalog.generations.hold(DASK, 1, by="ada")
    after = entries(filled)
    assert after[0][1] == "global/dask: held"
    assert after[1:] == before


def test_ids_are_tags_of_the_address_that_people_see(filled: Stand) -> None:
    ids = [i for i, _ in entries(filled)]
    assert all(i.startswith("tag:env.example.org,2026:/events/") for i in ids)
    assert len(set(ids)) == len(ids)


def test_links_are_absolute(filled: Stand) -> None:
    assert 'href="https://env.example.org/analyst/demo/"' in filled.text("/feed.atom")


def test_the_feed_of_a_namespace_is_about_it_alone(filled: Stand) -> None:
    titles = [title for _, title in entries(filled, "/analyst/feed.atom")]
    assert titles
    assert all(t.startswith("analyst/") for t in titles)


def test_a_feed_of_nothing_is_a_feed(empty: Stand) -> None:
    assert entries(empty) == []


def test_a_feed_that_did_not_change_is_not_sent_again(filled: Stand) -> None:
    tag = filled.client.get("/feed.atom").headers["ETag"]
    assert filled.client.get("/feed.atom", headers={"If-None-Match": tag}).status_code == 304


def test_a_badge_says_the_state_in_words(filled: Stand) -> None:
    svg = filled.text("/badge/analyst/demo.svg")
    assert "#3 serving, build #4 failed" in svg
    ET.fromstring(svg)  # noqa: S314  # our own picture


def test_a_badge_follows_the_environment(empty: Stand) -> None:
    commit(empty.catalog, ask(DEMO, "d"))
    assert "building" in empty.text("/badge/analyst/demo.svg")
    publish(empty.catalog)
    assert "#1 serving" in empty.text("/badge/analyst/demo.svg")


def test_a_badge_of_a_retired_environment_says_so(filled: Stand) -> None:
    assert "retired" in filled.text("/badge/analyst/old-thing.svg")


def test_there_is_no_badge_of_nothing(filled: Stand) -> None:
    filled.text("/badge/analyst/nope.svg", 404)
