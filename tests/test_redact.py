"""Secrets are recognised and masked wherever text is shown."""

from __future__ import annotations

import pytest

from envwatch.redact import has_credentials, redact


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:pw@h.org/x", "https://***@h.org/x"),
        ("https://me:p@ss@h.org/x", "https://***@h.org/x"),
        ("https://TOKEN@h.org/x", "https://***@h.org/x"),
        ("ssh://git:pw@h.org/x", "ssh://***@h.org/x"),
        ("https://h.org/t/ab-12-cd/team/noarch", "https://h.org/t/***/team/noarch"),
        ("https://h.org/x?a=1&token=ab&b=2", "https://h.org/x?a=1&token=***&b=2"),
        ("X-Amz-Signature=0f0f", "X-Amz-Signature=***"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("{'Authorization': 'Basic YTpi'}", "{'Authorization': 'Basic ***'}"),
        ("found ghp_0123456789abcdefghij here", "found ghp_*** here"),
    ],
)
def test_secrets_are_masked(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "https://git.example.org/data/environments.git",
        "ssh://git@git.example.org/data.git",
        "git@git.example.org:data.git",
        "/srv/t/envs/analyst",
        "mail me@example.org",
        "unexpected token `x` at 3:4",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text
    assert not has_credentials(text)


def test_masking_twice_changes_nothing() -> None:
    once = redact("https://a:b@h/t/c/?token=d Authorization: Bearer e")
    assert redact(once) == once
