"""A real OpenID provider, as a program of node, and how a person signs in by it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import node_programs
import pytest
from needs import need
from playwright.sync_api import Page

SECRET = "0123456789abcdef0123456789abcdef"
TITLE = "Lab"

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
    factory: pytest.TempPathFactory, folder: Path, port: int, address: str
) -> Iterator[str]:
    """Its issuer, as long as it runs. `address` is where envwatch is; `ada` is in `staff`.

    The secret of the client lies in the folder, as `secret`.
    """
    node = node_programs.installed(factory)
    script = node / f"provider-{port}.mjs"
    script.write_text(PROVIDER % SECRET)
    (folder / "secret").write_text(SECRET)
    (folder / "secret").chmod(0o600)
    issuer = f"http://127.0.0.1:{port}"
    back = f"{address}/signin/oidc/callback"
    about = f"{issuer}/.well-known/openid-configuration"
    with node_programs.program(need("node"), script, issuer, back, url=about, cwd=folder):
        yield issuer


def sign_in(page: Page, name: str = "ada") -> None:
    """From any page, by the provider's own."""
    page.get_by_role("link", name="Sign in").first.click()
    page.get_by_role("link", name=f"Continue with {TITLE}").click()
    page.locator("[name=login]").fill(name)
    page.locator("[name=password]").fill("whatever")
    page.get_by_role("button", name="Sign-in").click()
    page.get_by_role("button", name="Continue").click()
