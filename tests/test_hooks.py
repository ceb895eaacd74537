"""Deliveries of the forges: their signatures, senders and commits, by their own examples."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envwatch.hooks.limit import Bucket
from envwatch.hooks.payload import Push, pushes, surely_elsewhere
from envwatch.hooks.sender import Forge, Sender, digest, sender
from envwatch.hooks.signature import Signed, problem

NOW = 1614265330.0
# what GitHub and Bitbucket give in their documentation to compare with
DOCUMENTED = b"It's a Secret to Everybody"
OF_GITHUB = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
OF_BITBUCKET = "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"
# the vector of the libraries of Standard Webhooks
STANDARD = b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
STANDARD_BODY = b'{"test": 2432232314}'
OF_STANDARD = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
SHA = "bffeb74224043ba2feb48d137756c8a9331c449a"


def hexed(secret: bytes, body: bytes) -> str:
    return hmac.new(secret, body, hashlib.sha256).hexdigest()


def told(headers: dict[str, str], body: bytes = b"{}", *secrets: bytes, now: float = NOW) -> str:
    return problem(Signed(headers, body), secrets or (DOCUMENTED,), now)


# ---------------------------------------------------------------- signatures


SIGNED = {
    "github": ({"x-hub-signature-256": OF_GITHUB}, b"Hello, World!", DOCUMENTED),
    "bitbucket": ({"x-hub-signature": OF_BITBUCKET}, b"Hello World!", DOCUMENTED),
    "standard": (OF_STANDARD, STANDARD_BODY, STANDARD),
    "gitea": ({"x-gitea-signature": OF_GITHUB[7:]}, b"Hello, World!", DOCUMENTED),
    "forgejo": ({"x-forgejo-signature": OF_GITHUB[7:]}, b"Hello, World!", DOCUMENTED),
    "gogs": ({"x-gogs-signature": OF_GITHUB[7:]}, b"Hello, World!", DOCUMENTED),
    "generic": ({"x-envwatch-signature": OF_GITHUB}, b"Hello, World!", DOCUMENTED),
}
# the token of GitLab says nothing of the body
TOKEN = {"gitlab": ({"x-gitlab-token": DOCUMENTED.decode()}, b"anything", DOCUMENTED)}
EACH = {**SIGNED, **TOKEN}
each = pytest.mark.parametrize("way", EACH)


@each
def test_the_documented_example_is_believed(way: str) -> None:
    headers, body, secret = EACH[way]
    assert told(headers, body, secret) == ""


@each
def test_each_of_several_secrets_is_taken(way: str) -> None:
    headers, body, secret = EACH[way]
    assert told(headers, body, secret, b"newer") == ""
    assert told(headers, body, b"newer", secret) == ""


@each
def test_every_secret_is_tried_though_the_first_fits(way: str) -> None:
    headers, body, secret = EACH[way]
    tried: list[bytes] = []

    class Seen(tuple[bytes, ...]):
        def __iter__(self) -> Iterator[bytes]:
            return (tried.append(s) or s for s in super().__iter__())

    assert problem(Signed(headers, body), Seen((secret, b"a", b"b")), NOW) == ""
    assert tried == [secret, b"a", b"b"]


@each
def test_another_secret_is_not_believed(way: str) -> None:
    headers, body, _ = EACH[way]
    assert "a secret that is not known here" in told(headers, body, b"newer", b"bmV3ZXI=")


@pytest.mark.parametrize("way", SIGNED)
def test_a_changed_body_is_not_believed(way: str) -> None:
    headers, body, secret = SIGNED[way]
    assert "a secret that is not known here" in told(headers, body + b" ", secret)


@each
def test_a_changed_signature_is_not_believed(way: str) -> None:
    headers, body, secret = EACH[way]
    for name, value in headers.items():
        assert told({**headers, name: value[:-3] + "00="}, body, secret) != ""


def test_no_signature_is_not_believed() -> None:
    assert told({"x-github-event": "push"}) == "it is not signed"


def test_sha1_is_not_believed() -> None:
    right = hmac.new(DOCUMENTED, b"{}", hashlib.sha1).hexdigest()
    assert "only sha256 is taken" in told({"x-hub-signature": f"sha1={right}"})
    assert "only sha256 is taken" in told({"x-hub-signature-256": f"sha1={right}"})


@pytest.mark.parametrize("value", ["", "sha256=", "sha256=xyz", "md5=aa", "\xe4\xf6", "=" * 999])
def test_what_is_no_signature_is_not_believed(value: str) -> None:
    for name in ("x-hub-signature-256", "x-hub-signature", "x-gitea-signature"):
        assert told({name: value}) == "its signature is none"
    assert told({**OF_STANDARD, "webhook-signature": value}, STANDARD_BODY, STANDARD) != ""


def test_a_wrong_signature_is_not_made_good_by_another() -> None:
    right = hexed(DOCUMENTED, b"{}")
    assert told({"x-gitea-signature": "0" * 64, "x-hub-signature-256": f"sha256={right}"}) != ""


def test_one_of_several_signatures_of_a_message_is_enough() -> None:
    many = f"v1a,xyz v1,AAAA {OF_STANDARD['webhook-signature']}"
    assert told({**OF_STANDARD, "webhook-signature": many}, STANDARD_BODY, STANDARD) == ""


@pytest.mark.parametrize("late", [-301.0, 301.0, 1e9])
def test_a_message_of_another_time_is_not_believed(late: float) -> None:
    assert "another time" in told(OF_STANDARD, STANDARD_BODY, STANDARD, now=NOW + late)


@pytest.mark.parametrize("late", [-299.0, 299.0])
def test_clocks_may_differ_a_little(late: float) -> None:
    assert told(OF_STANDARD, STANDARD_BODY, STANDARD, now=NOW + late) == ""


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp"])
def test_a_message_without_id_or_time_is_not_believed(name: str) -> None:
    headers = {key: value for key, value in OF_STANDARD.items() if key != name}
    assert "it has no" in told(headers, STANDARD_BODY, STANDARD)


def test_a_token_of_any_letters_is_compared_as_bytes() -> None:
    secret = "schlüssel".encode()
    assert told({"x-gitlab-token": secret.decode("latin-1")}, b"", secret) == ""
    assert told({"x-gitlab-token": "schlussel"}, b"", secret) != ""


def test_the_key_of_standard_webhooks_needs_no_prefix() -> None:
    key = base64.b64encode(b"k" * 24)
    content = b".".join((b"m", b"1614265330", b"{}"))
    signature = base64.b64encode(hmac.digest(b"k" * 24, content, "sha256")).decode()
    headers = {**OF_STANDARD, "webhook-id": "m", "webhook-signature": f"v1,{signature}"}
    assert told(headers, b"{}", key) == ""
    assert told(headers, b"{}", b"whsec_" + key) == ""


@given(st.dictionaries(st.sampled_from([*OF_STANDARD, "x-hub-signature-256"]), st.text()))
def test_no_text_is_taken_for_a_signature(headers: dict[str, str]) -> None:
    assert told(headers) != ""


# ---------------------------------------------------------------- senders


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (
            {"x-github-event": "push", "x-github-delivery": "72d3162e"},
            Sender(Forge.GITHUB, "push", "72d3162e"),
        ),
        (
            {"x-gitea-event": "push", "x-github-event": "push", "x-gitea-delivery": "f6266f16"},
            Sender(Forge.GITEA, "push", "f6266f16"),
        ),
        (
            {"x-forgejo-event": "push", "x-gitea-event": "push", "x-gitea-delivery": "f6266f16"},
            Sender(Forge.FORGEJO, "push", "f6266f16"),
        ),
        (
            {"x-gitlab-event": "Push Hook", "idempotency-key": "i", "x-gitlab-event-uuid": "u"},
            Sender(Forge.GITLAB, "Push Hook", "i"),
        ),
        (
            {"x-event-key": "repo:push", "x-request-uuid": "r"},
            Sender(Forge.BITBUCKET, "repo:push", "r"),
        ),
        ({"x-envwatch-delivery": "7"}, Sender(Forge.OTHER, "", "7")),
        (OF_STANDARD, Sender(Forge.OTHER, "", "msg_p5jXN8AQM9LWM0D4loKWxJek")),
    ],
    ids=["github", "gitea", "forgejo", "gitlab", "bitbucket", "generic", "standard"],
)
def test_a_forge_is_known_by_its_headers(headers: dict[str, str], expected: Sender) -> None:
    assert sender(headers) == expected


@pytest.mark.parametrize(
    "headers", [{"x-github-event": "ping"}, {"x-event-key": "diagnostics:ping"}]
)
def test_a_trial_is_known(headers: dict[str, str]) -> None:
    assert sender(headers).ping
    assert not sender({"x-github-event": "push"}).ping


def test_words_of_a_sender_are_short_and_on_one_line() -> None:
    found = sender({"x-github-event": "a\n\x1b[31m" + "b" * 999, "x-github-delivery": "\ud800 x"})
    assert found.event == "a[31m" + "b" * 93
    assert found.id == "x"


def test_a_delivery_is_named_by_its_id_and_its_body() -> None:
    first = Sender(Forge.GITHUB, "push", "1")
    assert digest(first, b"a") == digest(first, b"a")
    others = {digest(first, b"b"), digest(Sender(Forge.GITHUB, "push", "2"), b"a")}
    assert digest(first, b"a") not in others


# ---------------------------------------------------------------- what the body names

# as in the documentation of each forge, shortened to what could matter
GITEA = {
    "ref": "refs/heads/develop",
    "before": "28e1879d029cb852e4844d9c718537df08844e03",
    "after": SHA,
    "commits": [{"id": SHA, "message": "Webhooks Yay!"}],
}
GITLAB = {
    "object_kind": "push",
    "before": "95790bf891e76fee5e1747ab589903a6a1f80f22",
    "after": "da1560886d4f094c3e6c9ef40349f7d38b5d27d7",
    "ref": "refs/heads/master",
    "checkout_sha": "da1560886d4f094c3e6c9ef40349f7d38b5d27d7",
}
GITLAB_TAG = {
    "object_kind": "tag_push",
    "after": "82b3d5ae55f7080f1e6022629cdb57bfae7cccc7",
    "ref": "refs/tags/v1.0.0",
    "checkout_sha": "5937ac0a7beb003549fc5fd26fc247adbce4a52e",
}
GITHUB_DELETED = {"ref": "refs/tags/simple-tag", "after": "0" * 40, "deleted": True}
CLOUD = {
    "push": {
        "changes": [
            {
                "new": {
                    "type": "branch",
                    "name": "name-of-branch",
                    "target": {"hash": "709d658dc5b6d6afcd46049c2f332ee3f515a67d"},
                },
                "old": {"type": "branch", "name": "name-of-branch", "target": {"hash": SHA}},
            },
            {"new": None, "old": {"type": "tag", "name": "v1", "target": {"hash": SHA}}},
        ]
    }
}
DATA_CENTER = {
    "eventKey": "repo:refs_changed",
    "changes": [
        {
            "ref": {"id": "refs/heads/master", "displayId": "master", "type": "BRANCH"},
            "refId": "refs/heads/master",
            "fromHash": "ecddabb624f6f5ba43816f5926e580a5f680a932",
            "toHash": "178864a7d521b6f5e720b386b2c2b0ef8563e0dc",
            "type": "UPDATE",
        }
    ],
}


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (GITEA, (Push("refs/heads/develop", SHA),)),
        (GITLAB, (Push("refs/heads/master", GITLAB["checkout_sha"]),)),
        (GITLAB_TAG, (Push("refs/tags/v1.0.0", GITLAB_TAG["checkout_sha"]),)),
        ({**GITLAB, "checkout_sha": None, "after": "0" * 40}, (Push("refs/heads/master"),)),
        (GITHUB_DELETED, (Push("refs/tags/simple-tag"),)),
        (
            CLOUD,
            (
                Push("refs/heads/name-of-branch", "709d658dc5b6d6afcd46049c2f332ee3f515a67d"),
                Push("refs/tags/v1"),
            ),
        ),
        (DATA_CENTER, (Push("refs/heads/master", "178864a7d521b6f5e720b386b2c2b0ef8563e0dc"),)),
        ({"ref": "refs/heads/main", "revision": SHA.upper()}, (Push("refs/heads/main", SHA),)),
        ({"revision": "ab" * 32}, (Push("", "ab" * 32),)),
        ({"action": "synchronize", "after": SHA, "number": 7}, ()),
    ],
    ids=[
        "gitea", "gitlab", "gitlab-tag", "gitlab-deleted", "github-deleted", "bitbucket-cloud",
        "bitbucket-data-center", "generic", "generic-sha256", "pull-request",
    ],
)  # fmt: skip
def test_the_commit_of_a_push_is_found(payload: Any, expected: tuple[Push, ...]) -> None:
    assert pushes(json.dumps(payload).encode()) == expected


def test_a_form_is_read_too() -> None:
    body = urlencode({"payload": json.dumps(GITEA)}).encode()
    assert pushes(body) == (Push("refs/heads/develop", SHA),)
    assert pushes(b"payload=%7B&" * 99) == ()


@pytest.mark.parametrize(
    "body",
    [
        b"", b"Hello, World!", b"\xff\xfe", b"[]", b"null", b'"ref"', b"9" * 5000, b'{"ref":',
        b"payload=",
        b'{"ref": 7, "after": []}', b'{"ref": "a\\nb", "after": "main"}', b'{"changes": {"a": 1}}',
        b'{"push": {"changes": "x"}}', b'{"push": {"changes": [7, {"new": {"name": {}}}]}}',
        b'{"ref": "' + b"x" * 256 + b'"}', b"[" * 2**20, b'{"a":' * 2**17,
    ],
    ids=lambda b: repr(b[:20]),
)  # fmt: skip
def test_what_is_odd_names_no_commit(body: bytes) -> None:
    found: list[object] = []
    # as the server calls it: its threads have smaller stacks than the main one
    thread = threading.Thread(target=lambda: found.append(pushes(body)))
    thread.start()
    thread.join()
    assert found == [()]


def test_no_more_than_a_hundred_changes_are_read() -> None:
    changes = [{"refId": f"refs/heads/b{n}", "toHash": SHA} for n in range(500)]
    assert len(pushes(json.dumps({"changes": changes}).encode())) == 100


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=50),
    lambda below: st.lists(below) | st.dictionaries(st.text(max_size=9), below),
)


@given(st.dictionaries(st.sampled_from(["ref", "after", "push", "changes", "revision"]), JSON))
def test_no_body_is_an_error(payload: Any) -> None:
    for push in pushes(json.dumps(payload).encode()):
        assert push.ref.isprintable()
        assert len(push.revision) in (0, 40, 64)


@pytest.mark.parametrize(
    ("branch", "ref", "elsewhere"),
    [
        ("main", "refs/heads/main", False),
        ("main", "main", False),
        ("refs/heads/main", "main", False),
        ("main", "refs/heads/a/main", True),
        ("main", "refs/tags/main", True),
        ("main", "refs/heads/next", True),
        ("refs/tags/v1", "refs/tags/v1", False),
        ("", "refs/heads/next", False),
        ("main", "", False),
    ],
)
def test_only_what_is_surely_another_ref_is_elsewhere(
    branch: str, ref: str, elsewhere: bool
) -> None:
    assert surely_elsewhere(branch, ref) is elsewhere


# ---------------------------------------------------------------- so much and no more


def test_a_bucket_is_empty_after_its_size_and_fills_with_time() -> None:
    now = [0.0]
    bucket = Bucket(3, 0.5, lambda: now[0])
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    now[0] = 2.0
    assert [bucket.take() for _ in range(2)] == [True, False]
    now[0] = 1e6
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
