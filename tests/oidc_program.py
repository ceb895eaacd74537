"""A real provider of OpenID Connect beside a test: people sign in by whatever name they say.

`ada` is in the group `staff`, others are in `guests`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import node_programs
import pytest
from needs import need
from playwright.sync_api import Page

SECRET = "0123456789abcdef0123456789abcdef"

PROVIDER = """
import Provider from 'oidc-provider';
const [issuer, back] = process.argv.slice(2);
const provider = new Provider(issuer, {
  clients: [{ client_id: 'envwatch', client_secret: '%s', redirect_uris: [back],
              grant_types: ['authorization_code'], response_types: ['code'] }],
  pkce: { required: () => true },
  cookies: { keys: ['a key of the test'] },
  claims: { openid: ['sub'], profile: ['preferred_username', 'groups'] },
  findAccount: (_, id) => ({
    accountId: id,
    claims: async () => ({
      sub: id, preferred_username: id, groups: id === 'ada' ? ['staff'] : ['guests'],
    }),
  }),
});
provider.listen(Number(new URL(issuer).port), '127.0.0.1');
"""


@contextmanager
def provider(
    factory: pytest.TempPathFactory, folder: Path, issuer: str, address: str, secret: Path
) -> Iterator[None]:
    """Signs people in at `address`, known to it as `envwatch`; `secret` becomes a file."""
    node = node_programs.installed(factory)
    script = node / f"provider-{urlsplit(issuer).port}.mjs"
    script.write_text(PROVIDER % SECRET)
    secret.write_text(SECRET)
    secret.chmod(0o600)
    back = f"{address}/signin/oidc/callback"
    about = f"{issuer}/.well-known/openid-configuration"
    with node_programs.program(need("node"), script, issuer, back, url=about, cwd=folder):
        yield


def say_who(page: Page, name: str) -> None:
    """On the pages of the provider."""
    page.locator("[name=login]").fill(name)
    page.locator("[name=password]").fill("whatever")
    page.get_by_role("button", name="Sign-in").click()
    page.get_by_role("button", name="Continue").click()


def sign_in(page: Page, name: str = "ada", title: str = "Lab") -> None:
    """From any page of envwatch, by the provider's own."""
    page.get_by_role("link", name="Sign in").first.click()
    page.get_by_role("link", name=f"Continue with {title}").click()
    say_who(page, name)
