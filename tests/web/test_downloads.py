"""Files: for ever the same under a number, the latest under `current`, archives on demand."""

from __future__ import annotations

import base64
import hashlib

import pytest
from web_helpers import DEMO, GONE, HELD, Stand, ask, commit, keep_files

from envwatch.model import ArchiveState, ArtifactKind

LOCK = "/analyst/demo/3/conda-lock.yml"
CURRENT = "/analyst/demo/current/conda-lock.yml"
ARCHIVE = "/analyst/demo/3/environment.tar.zst"


def archive(made: Stand, number: int, state: ArchiveState, message: str = "") -> None:
    generation = made.catalog.generations.get(DEMO, number)
    made.catalog.generations.set_archive(generation.id, state, message)


@pytest.mark.parametrize(
    "kind", [k for k in ArtifactKind if k not in (ArtifactKind.TAR_GZ, ArtifactKind.TAR_ZST)]
)
def test_each_file_has_the_sum_that_its_tag_says(filled: Stand, kind: ArtifactKind) -> None:
    answer = filled.client.get(f"/analyst/demo/3/{kind}")
    digest = hashlib.sha256(answer.data)
    assert answer.headers["ETag"] == f'"{digest.hexdigest()}"'
    assert (
        answer.headers["Repr-Digest"] == f"sha-256=:{base64.b64encode(digest.digest()).decode()}:"
    )


def test_a_file_of_a_generation_may_be_kept_for_ever(filled: Stand) -> None:
    assert "immutable" in filled.client.get(LOCK).headers["Cache-Control"]


def test_the_sums_may_not_because_an_archive_joins_them(filled: Stand) -> None:
    answer = filled.client.get("/analyst/demo/3/SHA256SUMS")
    assert answer.headers["Cache-Control"] == "no-cache"


def test_current_follows_the_generation(filled: Stand) -> None:
    before = filled.client.get(CURRENT)
    assert before.data == filled.client.get(LOCK).data
    assert before.headers["Cache-Control"] == "no-cache"
    filled.catalog.generations.hold(DEMO, 1, by="ada")
    after = filled.client.get(CURRENT, headers={"If-None-Match": before.headers["ETag"]})
    assert after.status_code == 200
    assert after.data == filled.client.get("/analyst/demo/1/conda-lock.yml").data


def test_a_file_that_is_known_is_not_sent_again(filled: Stand) -> None:
    tag = filled.client.get(CURRENT).headers["ETag"]
    answer = filled.client.get(CURRENT, headers={"If-None-Match": tag})
    assert (answer.status_code, answer.data) == (304, b"")


def test_a_part_is_sent_where_a_part_is_asked_for(filled: Stand) -> None:
    whole = filled.client.get(LOCK).data
    answer = filled.client.get(LOCK, headers={"Range": "bytes=10-19"})
    assert (answer.status_code, answer.data) == (206, whole[10:20])
    assert answer.headers["Content-Range"] == f"bytes 10-19/{len(whole)}"


def test_a_part_of_another_file_is_not_joined_to_this_one(filled: Stand) -> None:
    headers = {"Range": "bytes=10-19", "If-Range": '"of-yesterday"'}
    assert filled.client.get(LOCK, headers=headers).status_code == 200


def test_many_parts_at_once_are_answered_by_the_whole(filled: Stand) -> None:
    answer = filled.client.get(LOCK, headers={"Range": "bytes=0-1,4-5"})
    assert (answer.status_code, len(answer.data)) == (200, len(filled.client.get(LOCK).data))


def test_a_part_beyond_the_end_is_refused_with_the_size(filled: Stand) -> None:
    answer = filled.client.get(LOCK, headers={"Range": "bytes=999999-"})
    assert answer.status_code == 416
    assert answer.headers["Content-Range"].startswith("bytes */")


def test_the_head_of_a_file_is_that_of_the_file(filled: Stand) -> None:
    head, whole = filled.client.head(LOCK), filled.client.get(LOCK)
    assert head.data == b""
    assert head.headers["Content-Length"] == str(len(whole.data))
    assert head.headers["ETag"] == whole.headers["ETag"]


def test_downloads_have_names_of_their_own(filled: Stand) -> None:
    said = filled.client.get(LOCK).headers["Content-Disposition"]
    assert said == "attachment; filename=analyst-demo-3.conda-lock.yml"


def test_a_file_can_do_nothing_in_a_browser(filled: Stand) -> None:
    headers = filled.client.get(LOCK).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in headers["Content-Security-Policy"]


def test_the_sums_agree_with_the_files_as_downloaded(filled: Stand) -> None:
    lines = filled.text("/analyst/demo/3/SHA256SUMS").splitlines()
    said = {name: digest for digest, name in (line.split("  ") for line in lines)}
    lock = filled.client.get(LOCK)
    name = lock.headers["Content-Disposition"].partition("filename=")[2]
    assert said[name] == hashlib.sha256(lock.data).hexdigest()


def test_files_of_a_retired_environment_are_still_there(filled: Stand) -> None:
    keep_files(filled, GONE, 1)
    filled.text("/analyst/old-thing/1/conda-lock.yml")


@pytest.mark.parametrize(
    "path",
    [
        "/analyst/demo/3/..%2f..%2fcatalog.sqlite",
        "/analyst/demo/3/../../catalog.sqlite",
        "/analyst/demo/3/passwd",
        "/analyst/demo/99/conda-lock.yml",
        "/analyst/nope/1/conda-lock.yml",
        "/..%2f/demo/3/conda-lock.yml",
        "/analyst/weekly.report/1/conda-lock.yml",
    ],
)
def test_nothing_else_is_sent(filled: Stand, path: str) -> None:
    assert filled.client.get(path).status_code == 404


def test_nothing_is_current_before_the_first_generation(empty: Stand) -> None:
    commit(empty.catalog, ask(DEMO, "d"))
    empty.text(CURRENT, 404)


# ---------------------------------------------------------------- archives


def test_an_archive_that_is_not_there_is_asked_for_and_waited_for(filled: Stand) -> None:
    answer = filled.client.get(ARCHIVE)
    assert (answer.status_code, answer.headers["Retry-After"]) == (202, "5")
    assert "is being made" in answer.text
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in answer.text
    assert filled.asked == [(DEMO, 3)]


@pytest.mark.parametrize("state", [ArchiveState.QUEUED, ArchiveState.MAKING])
def test_an_archive_is_asked_for_once(filled: Stand, state: ArchiveState) -> None:
    archive(filled, 3, state)
    assert filled.client.get(ARCHIVE).status_code == 202
    assert filled.asked == []


def test_the_script_never_fetches_an_archive_as_a_page(filled: Stand) -> None:
    assert "data-poll" in filled.text("/")
    assert "data-poll" not in filled.text(ARCHIVE, 202)


def test_a_look_at_the_headers_asks_for_nothing(filled: Stand) -> None:
    filled.client.head(ARCHIVE)
    filled.client.get(ARCHIVE, headers={"Sec-Purpose": "prefetch"})
    assert filled.asked == []


def test_an_archive_that_is_there_is_sent(filled: Stand) -> None:
    answer = filled.client.get("/analyst/demo/2/environment.tar.zst")
    assert answer.data == b"archive" * 1000
    assert answer.content_type == "application/zstd"
    assert "analyst-demo-2.tar.zst" in answer.headers["Content-Disposition"]


def test_an_archive_that_failed_says_why_and_is_not_tried_for_ever(filled: Stand) -> None:
    archive(filled, 3, ArchiveState.FAILED, "no space left")
    assert "no space left" in filled.text(ARCHIVE, 409)
    assert filled.asked == []


def test_an_archive_of_pruned_files_cannot_be_made(filled: Stand) -> None:
    filled.catalog.generations.prune([filled.catalog.generations.get(DEMO, 1).id])
    assert "pruned" in filled.text("/analyst/demo/1/environment.tar.zst", 409)
    assert filled.asked == []


def test_a_format_that_was_not_made_is_not_found(filled: Stand) -> None:
    archive(filled, 2, ArchiveState.READY)
    filled.text("/analyst/demo/2/environment.tar.gz", 404)


def test_the_page_offers_the_archive_before_it_is_made(filled: Stand) -> None:
    assert "made when first asked for" in filled.text("/analyst/demo/builds/3")
    archive(filled, 3, ArchiveState.MAKING)
    assert "being made" in filled.text("/analyst/demo/builds/3")


def test_a_held_environment_serves_what_it_is_held_at(filled: Stand) -> None:
    keep_files(filled, HELD, 1)
    assert filled.catalog.generations.get(HELD, 2)
    said = filled.client.get("/analyst/weekly.report/current/conda-lock.yml")
    assert "weekly.report-1." in said.headers["Content-Disposition"]
