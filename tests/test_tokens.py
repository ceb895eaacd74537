"""Tokens: told once, kept as a hash, found while they are valid, limited to their namespaces."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from envwatch.catalog import Catalog, open_catalog
from envwatch.errors import Conflict, NotFound
from envwatch.redact import redact
from envwatch.settings import Grant, Role


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    catalog = open_catalog(tmp_path / "catalog.sqlite", durable=False)
    yield catalog
    catalog.close()


def create(catalog: Catalog, name: str = "ada", **more: object) -> str:
    """A token's secret."""
    values = {"role": Role.DEVELOPER, **more}
    return catalog.tokens.create(name, ("people",), **values).secret  # type: ignore[arg-type]


def test_a_token_is_found_by_its_secret(catalog: Catalog) -> None:
    found = catalog.tokens.find(create(catalog))
    assert found is not None
    assert (found.name, found.namespaces, found.role) == ("ada", ("people",), Role.DEVELOPER)
    assert found.grants == (Grant("people/*", Role.DEVELOPER),)


def test_the_secret_is_nowhere_on_disk(catalog: Catalog, tmp_path: Path) -> None:
    secret = create(catalog)
    data = b"".join(p.read_bytes() for p in tmp_path.glob("catalog.sqlite*"))
    assert b"people" in data
    assert secret[9:73].encode() not in data


def test_two_secrets_differ_and_the_log_masks_them(catalog: Catalog) -> None:
    one, two = create(catalog, "one"), create(catalog, "two")
    assert one != two
    assert redact(f"push with {one}") == "push with envwatch_***"


@pytest.mark.parametrize("wrong", ["", "envwatch_", "envwatch_" + "0" * 72, "x" * 100_000])
def test_what_is_no_token_is_not_found(catalog: Catalog, wrong: str) -> None:
    assert catalog.tokens.find(wrong) is None


def test_a_mistyped_secret_is_not_found(catalog: Catalog) -> None:
    secret = create(catalog)
    assert catalog.tokens.find(secret[:-1] + ("0" if secret[-1] != "0" else "1")) is None


def test_a_revoked_token_is_not_found_and_may_be_revoked_again(catalog: Catalog) -> None:
    secret = create(catalog)
    catalog.tokens.revoke("ada")
    catalog.tokens.revoke("ada")
    assert catalog.tokens.find(secret) is None


def test_revoking_what_is_not_there_is_refused(catalog: Catalog) -> None:
    with pytest.raises(NotFound, match="there is no token `nobody`"):
        catalog.tokens.revoke("nobody")


def test_an_expired_token_is_not_found(catalog: Catalog) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    assert catalog.tokens.find(create(catalog, expires_at=past)) is None


def test_a_name_is_free_again_after_a_revocation(catalog: Catalog) -> None:
    create(catalog)
    with pytest.raises(Conflict, match="there is a token `ada` already"):
        create(catalog)
    catalog.tokens.revoke("ada")
    assert catalog.tokens.find(create(catalog)) is not None
    assert len(catalog.tokens.all()) == 2


def test_a_use_is_noted_once_a_minute(catalog: Catalog) -> None:
    secret = create(catalog)
    for _ in range(3):
        found = catalog.tokens.find(secret)
        assert found is not None
        catalog.tokens.used(found)
    version = catalog.database.version
    again = catalog.tokens.find(secret)
    assert again is not None
    assert again.used_at is not None
    catalog.tokens.used(again)
    assert catalog.database.version == version


def test_what_ended_long_ago_is_forgotten_by_the_start_of_its_name(catalog: Catalog) -> None:
    now, day = datetime.now(UTC), timedelta(days=1)
    ends = {"api-old": now - 2 * day, "api-new": now, "api-lasting": None, "old": now - 2 * day}
    for name, end in ends.items():
        create(catalog, name, expires_at=end)
    catalog.tokens.forget("api-", now - day)
    assert {t.name for t in catalog.tokens.all()} == {"api-new", "api-lasting", "old"}
