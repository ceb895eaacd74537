"""OpenID Connect: the code flow with PKCE, and a token whose signature is looked at."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from envwatch.access import Identity
from envwatch.errors import SigninError, SigninRefused
from envwatch.settings import Network, OidcSettings
from envwatch.signin import talk
from envwatch.signin.attempt import Attempt, Returned
from envwatch.signin.claims import identity_of, missing
from envwatch.signin.secret import read_secret

LEEWAY = 60  # seconds that clocks may differ
FRESH = 3600.0  # seconds that what a provider says of itself holds
AGAIN = 30.0  # seconds until unknown keys are looked for again
# signatures with a key that only the provider has: none, and HS* with a shared one, are not here
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512",
              "EdDSA", "Ed25519")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kept:
    """What was fetched, and when on the monotonic clock."""

    at: float
    found: dict[str, Any]


@dataclass(slots=True)
class Memory:
    """What providers say of themselves, by address."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    known: dict[str, Kept] = field(default_factory=dict)

    def get(self, url: str, network: Network, *, age: float = FRESH) -> dict[str, Any]:
        """No older than `age`. Raises SigninError."""
        with self.lock:
            kept = self.known.get(url)
        if kept is not None and time.monotonic() - kept.at < age:
            return kept.found
        found = talk.get(url, network)
        with self.lock:
            self.known[url] = Kept(time.monotonic(), found)
        return found


@dataclass(frozen=True, slots=True)
class Oidc:
    settings: OidcSettings
    network: Network
    memory: Memory = field(default_factory=Memory)
    name: str = "oidc"

    @property
    def title(self) -> str:
        return self.settings.title

    def leave(self, attempt: Attempt) -> str:
        address: str = prepare_grant_uri(
            self._endpoint("authorization_endpoint"),
            self.settings.client_id,
            "code",
            redirect_uri=attempt.back,
            scope=self.settings.scopes,
            state=attempt.state,
            nonce=attempt.nonce,
            code_challenge=create_s256_code_challenge(attempt.verifier),
            code_challenge_method="S256",
        )
        return address

    def identify(self, attempt: Attempt, returned: Returned) -> Identity:
        if returned.issuer and returned.issuer != self._about()["issuer"]:
            raise SigninRefused("the answer is from another issuer")
        told = self._exchange(attempt, returned.code)
        token, access = told.get("id_token"), told.get("access_token")
        if not isinstance(token, str):
            raise SigninRefused("there is no ID token", hint="`login.oidc.scopes` needs `openid`")
        access = access if isinstance(access, str) else ""
        claims = self._believed(token, attempt, access)
        if access and missing(claims, self.settings):
            claims = self._more(claims, access)
        return identity_of(claims, self.settings)

    def check(self) -> str:
        read_secret(self.settings.secret_file)
        for name in ("authorization_endpoint", "token_endpoint"):
            self._endpoint(name)
        count = len(self._keys(FRESH).keys)
        return f"{self.settings.issuer}, {count} key{'' if count == 1 else 's'}"

    # ------------------------------------------------------------ the provider

    def _about(self) -> dict[str, Any]:
        issuer = self.settings.issuer
        about = self.memory.get(f"{issuer}/.well-known/openid-configuration", self.network)
        if str(about.get("issuer", "")).rstrip("/") != issuer:
            hint = "`login.oidc.issuer` must be what the provider calls itself"
            raise SigninError(f"`{issuer}` calls itself by another name", hint=hint)
        return about

    def _endpoint(self, name: str) -> str:
        found = self._about().get(name)
        parts = urlsplit(found if isinstance(found, str) else "")
        secure = parts.scheme == "https" or self.settings.issuer.startswith("http://")
        if not parts.hostname or not secure or parts.scheme not in ("http", "https"):
            raise SigninError(f"`{self.settings.issuer}` names no `{name}` that can be used")
        return parts.geturl()

    def _keys(self, age: float) -> KeySet:
        """The keys that sign. Raises SigninError."""
        found = self.memory.get(self._endpoint("jwks_uri"), self.network, age=age)
        listed = found.get("keys")
        keys = [k for k in listed if _signs(k)] if isinstance(listed, list) else []
        try:
            return KeySet.import_key_set({"keys": keys})
        except (JoseError, ValueError, TypeError) as e:
            raise SigninError(f"the keys of `{self.settings.issuer}` cannot be read") from e

    # ------------------------------------------------------------ the token

    def _exchange(self, attempt: Attempt, code: str) -> dict[str, Any]:
        secret, said = read_secret(self.settings.secret_file), self.settings
        values = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": attempt.back,
            "code_verifier": attempt.verifier,
            "client_id": said.client_id,
        }
        headers = {}
        ways = self._about().get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if "client_secret_basic" in ways or "client_secret_post" not in ways:
            pair = f"{quote(said.client_id, safe='')}:{quote(secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            values["client_secret"] = secret
        return talk.post(self._endpoint("token_endpoint"), self.network, values, headers)

    def _believed(self, token: str, attempt: Attempt, access: str) -> Mapping[str, Any]:
        """The claims, if the provider made this token for us, now, and for this attempt."""
        said = self.settings
        try:
            read = self._verified(token)
            claims = CodeIDToken(
                read.claims,
                read.header,
                options={
                    "iss": {"essential": True, "value": self._about()["issuer"]},
                    "aud": {"essential": True, "value": said.client_id},
                    "nonce": {"essential": True, "value": attempt.nonce},
                },
                params={
                    "nonce": attempt.nonce,
                    "client_id": said.client_id,
                    "access_token": access,
                },
            )
            claims.validate(leeway=LEEWAY)
        except (JoseError, ValueError, TypeError, KeyError, RecursionError) as e:
            # the text of some of these errors shows the value
            reason = getattr(e, "error", "") or type(e).__name__
            about = getattr(e, "claim", "")
            text = f"the ID token is not to be believed: {reason}{f' ({about})' if about else ''}"
            raise SigninRefused(text) from None
        return dict(claims)

    def _verified(self, token: str) -> jwt.Token:
        kid = jws.extract_compact(token.encode()).headers().get("kid")
        keys = self._keys(FRESH)
        if kid is not None and kid not in {k.kid for k in keys.keys}:
            keys = self._keys(AGAIN)  # they may have been changed
        return jwt.decode(token, keys, algorithms=list(ALGORITHMS))

    def _more(self, claims: Mapping[str, Any], access: str) -> Mapping[str, Any]:
        """Some providers say the rest only when asked; it must be about the same person."""
        if not self._about().get("userinfo_endpoint"):
            return claims
        found = talk.get(self._endpoint("userinfo_endpoint"), self.network, bearer=access)
        if found.get("sub") != claims["sub"]:
            raise SigninRefused("the provider tells of somebody else")
        return {**found, **claims}


def _signs(key: object) -> bool:
    return (
        isinstance(key, dict) and key.get("kty") in ("RSA", "EC", "OKP") and key.get("use") != "enc"
    )


def open_provider(settings: OidcSettings, network: Network) -> Oidc:
    return Oidc(settings, network)
