"""A provider of OpenID Connect with real keys and real HTTP, that lies as it is told to."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

from envwatch.settings import LoginSettings, Network, OidcSettings
from envwatch.signin import Provider, open_providers

SECRET = "c-very/secret+value"
KEY = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"}, private=True)
STRANGER = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"}, private=True)


@dataclass
class Oidc:
    """What it says can be changed between two requests."""

    address: str = ""
    about: dict[str, Any] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=lambda: {"alg": "RS256", "kid": "one"})
    key: Any = field(default_factory=lambda: KEY)
    token: str | None = None
    userinfo: dict[str, Any] | None = None
    status: dict[str, int] = field(default_factory=dict)
    silent: threading.Event = field(default_factory=threading.Event)
    asked: list[tuple[str, dict[str, str], dict[str, str]]] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    names: list[str] = field(default_factory=lambda: ["client_secret_basic"])

    def authorize(self, url: str) -> str:
        """Somebody signs in here; the code for which they are sent back."""
        query = {k: v[0] for k, v in parse_qs(urlsplit(url).query).items()}
        assert query["code_challenge_method"] == "S256"
        code = f"code-{len(self.codes)}-{query['state'][:6]}"
        self.codes[code] = query
        return code

    def document(self) -> dict[str, Any]:
        return {
            "issuer": self.address,
            "authorization_endpoint": f"{self.address}/authorize",
            "token_endpoint": f"{self.address}/token",
            "userinfo_endpoint": f"{self.address}/userinfo",
            "jwks_uri": f"{self.address}/jwks",
            "token_endpoint_auth_methods_supported": self.names,
            **self.about,
        }

    def answer(self, path: str, form: dict[str, str], headers: dict[str, str]) -> tuple[int, Any]:
        self.asked.append((path, form, headers))
        if path in self.status:
            return self.status[path], {"error": "server_error", "error_description": str(form)}
        if path == "/.well-known/openid-configuration":
            return 200, self.document()
        if path == "/jwks":
            return 200, {"keys": [KEY.as_dict(private=False)]}
        if path == "/userinfo" and self.userinfo is not None:
            return 200, self.userinfo
        return self._token(form, headers) if path == "/token" else (404, {})

    def _token(self, form: dict[str, str], headers: dict[str, str]) -> tuple[int, Any]:
        query = self.codes.pop(form.get("code", ""), None)
        if query is None:
            return 400, {"error": "invalid_grant", "error_description": form.get("code")}
        if not self._knows_client(form, headers):
            return 401, {"error": "invalid_client"}
        challenge = hashlib.sha256(form["code_verifier"].encode()).digest()
        if base64.urlsafe_b64encode(challenge).rstrip(b"=").decode() != query["code_challenge"]:
            return 400, {"error": "invalid_grant"}
        token = self.token or self.signed(query["nonce"])
        return 200, {"id_token": token, "access_token": "at-secret", "token_type": "Bearer"}

    def _knows_client(self, form: dict[str, str], headers: dict[str, str]) -> bool:
        if "client_secret" in form:
            return form["client_secret"] == SECRET
        given = base64.b64decode(headers.get("authorization", "")[6:]).decode()
        return [unquote(part) for part in given.split(":")] == ["envwatch", SECRET]

    def signed(self, nonce: str) -> str:
        now = int(time.time())
        claims = {
            "iss": self.address,
            "aud": "envwatch",
            "sub": "1",
            "iat": now,
            "exp": now + 300,
            "nonce": nonce,
            "preferred_username": "ada",
            "groups": ["/staff", "lab"],
        }
        said = {k: v for k, v in (claims | self.claims).items() if v is not ...}
        return jwt.encode(self.header, said, self.key, algorithms=["RS256", "HS256"])


def confused(oidc: Oidc, nonce: str) -> str:
    """Signed with the public key, taken for the secret of an HMAC."""
    claims = oidc.signed(nonce).split(".")[1]
    signed = f"{_part({'alg': 'HS256', 'kid': 'one'})}.{claims}"
    made = hmac.digest(KEY.as_pem(private=False), signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(made).rstrip(b'=').decode()}"


def unsigned(oidc: Oidc, nonce: str) -> str:
    return f"{_part({'alg': 'none', 'kid': 'one'})}.{oidc.signed(nonce).split('.')[1]}."


def _part(value: dict[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@contextmanager
def running() -> Iterator[Oidc]:
    oidc = Oidc()
    oidc.silent.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._serve({})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._serve({k: v[0] for k, v in parse_qs(body).items()})

        def _serve(self, form: dict[str, str]) -> None:
            oidc.silent.wait(20)
            headers = {k.lower(): v for k, v in self.headers.items()}
            status, found = oidc.answer(urlsplit(self.path).path, form, headers)
            body = found if isinstance(found, bytes) else json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    oidc.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield oidc
    finally:
        oidc.silent.set()
        server.shutdown()
        thread.join()
        server.server_close()


def settings_for(folder: Path, issuer: str, **more: Any) -> LoginSettings:
    secret = folder / "oidc-secret"
    secret.write_text(f"{SECRET}\n")
    return LoginSettings(oidc=OidcSettings(issuer, "envwatch", secret, **more))


def providers_for(login: LoginSettings) -> tuple[Provider, ...]:
    return open_providers(login, Network())
