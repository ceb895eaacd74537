"""One request and its answer, judged: delivered, to be tried again, refused, or for a person."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import lru_cache
from importlib.metadata import version
from urllib.parse import unquote, urlsplit
from urllib.request import proxy_bypass

import urllib3
from urllib3.contrib.socks import SOCKSProxyManager
from urllib3.exceptions import HTTPError

from envwatch.errors import NotifyError, NotifyRefused, NotifyStalled
from envwatch.redact import redact
from envwatch.settings import Network

CONNECT = 10.0  # seconds
READ = 20.0
LONGEST = 45.0  # for an answer as a whole, however slowly it comes
MOST = 64 * 1024  # of an answer is read
SHOWN = 200
LIMITED = 60.0  # seconds, where a forge limits us and does not say for how long
LONGEST_WAIT = 2 * 3600.0
AGENT = f"envwatch/{version('envwatch')}"
AGAIN = (408, 409, 423, 425, 429)


@dataclass(frozen=True, slots=True)
class Answer:
    """`headers` by their names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def message(self) -> str:
        """What it says for a person, short."""
        try:
            found = json.loads(self.body)
        except ValueError:
            found = self.body.decode("utf-8", "replace")
        if isinstance(found, dict):
            found = found.get("message") or found.get("error") or ""
        text = found if isinstance(found, str) else json.dumps(found)
        return redact(" ".join(text.split()))[:SHOWN]


def ask(
    method: str,
    url: str,
    network: Network,
    headers: Mapping[str, str],
    body: bytes | None = None,
    *,
    patience: float = READ,
    most: int = MOST,
) -> Answer:
    """No redirect is followed: a secret goes where the config says, and nowhere else.

    Of the answer `most` bytes are read. Raises NotifyError where there is no answer.
    """
    timeout = urllib3.Timeout(connect=CONNECT, read=patience)
    try:
        response = _pool(network, urlsplit(url).hostname or "").request(
            method,
            url,
            body=body,
            headers={"User-Agent": AGENT, "Accept-Encoding": "identity", **headers},
            redirect=False,
            retries=False,
            preload_content=False,
            timeout=timeout,
        )
        return _taken(response, most)
    except (HTTPError, OSError) as e:
        raise NotifyError(f"{place(url)}: {_reason(e)}") from e


def _taken(response: urllib3.BaseHTTPResponse, most: int) -> Answer:
    try:
        found = _read(response, most)
    finally:
        if not response.closed:
            # what is left of it would be taken for the start of the next answer
            response.close()
        response.release_conn()
    names = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status, names, found)


def judge(answer: Answer, url: str, *, secret: str = "") -> None:
    """Nothing for an answer that acknowledges, else the error that says what to do about it."""
    if answer.ok:
        return
    text = f"{place(url)} answers {answer.status}"
    if answer.message:
        said = answer.message.replace(secret, "***") if secret else answer.message
        text = f"{text}: {said}"
    wait = asked_wait(answer, time.time())
    if answer.status in AGAIN or answer.status >= 500 or wait:
        raise NotifyError(text, wait=wait)
    if answer.status == 401:
        raise NotifyStalled(text, hint="is the token or secret right, and not expired?")
    if answer.status in (403, 404):
        raise NotifyStalled(text, hint="does it exist, and may this token or secret use it?")
    if answer.status < 400:
        raise NotifyStalled(text, hint="redirects are not followed: write the address it leads to")
    raise NotifyRefused(text)


def asked_wait(answer: Answer, now: float) -> float:
    """For how many seconds the other side wants to be left alone; 0 where it does not say."""
    headers = answer.headers
    if headers.get("retry-after"):
        return _bounded(_seconds(headers["retry-after"], now))
    for prefix in ("x-ratelimit", "ratelimit"):
        if headers.get(f"{prefix}-remaining", "").strip() == "0":
            return _bounded(_seconds(headers.get(f"{prefix}-reset", ""), now, moment=True))
    limited = answer.status in (403, 429) and "rate limit" in answer.message.lower()
    return LIMITED if limited else 0.0


def place(url: str) -> str:
    """Who is asked, for messages: paths and queries may be secret."""
    parts = urlsplit(url)
    host = parts.hostname or "?"
    return f"{host}:{parts.port}" if parts.port else host


def _seconds(text: str, now: float, *, moment: bool = False) -> float:
    """A count of seconds, a moment in seconds since the epoch, or a date."""
    try:
        number = float(text)
    except ValueError:
        try:
            return parsedate_to_datetime(text).timestamp() - now
        except ValueError:
            return LIMITED
    return number - now if moment and number > 10**8 else number


def _bounded(seconds: float) -> float:
    return min(max(1.0, seconds), LONGEST_WAIT) if seconds == seconds else LIMITED  # noqa: PLR0124  # not a number


def _reason(error: Exception) -> str:
    """The innermost reason, without addresses of objects and of places that may be secret."""
    inner = error
    while (below := getattr(inner, "reason", None) or inner.__cause__ or inner.__context__) and (
        isinstance(below, Exception)
    ):
        inner = below
    if isinstance(inner, TimeoutError) or "timed out" in str(inner):
        return "no answer in time"
    text = getattr(inner, "strerror", None) or str(inner).rpartition(">: ")[2] or str(inner)
    return redact(text or type(inner).__name__)[:SHOWN]


def _read(response: urllib3.BaseHTTPResponse, most: int) -> bytes:
    """As much as matters, and not for ever: a drop every few seconds passes every other limit."""
    end = time.monotonic() + LONGEST
    found = b""
    while len(found) < most and time.monotonic() < end:
        block = response.read1(most - len(found), decode_content=False)
        if not block:
            break
        found += block
    return found


def _pool(network: Network, host: str) -> urllib3.PoolManager:
    proxy = "" if proxy_bypass(host) else network.proxy
    return _pools(proxy, str(network.ca_file or ""))


@lru_cache(maxsize=8)
def _pools(proxy: str, ca_file: str) -> urllib3.PoolManager:
    """Connections are kept for a while: a commit may have two hundred statuses."""
    context = ssl.create_default_context()
    if ca_file:
        context.load_verify_locations(ca_file)
    if not proxy:
        return urllib3.PoolManager(num_pools=4, maxsize=1, ssl_context=context)
    parts = urlsplit(proxy)
    if parts.scheme.startswith("socks"):
        return SOCKSProxyManager(proxy, num_pools=4, maxsize=1, ssl_context=context)
    user = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else None
    headers = urllib3.make_headers(proxy_basic_auth=user)
    bare = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    return urllib3.ProxyManager(
        bare, num_pools=4, maxsize=1, ssl_context=context, proxy_headers=headers
    )
