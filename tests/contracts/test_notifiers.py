"""What every forge and every notifier promises. Another kind is one more entry in the lists."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from needs import need
from standin import TOKEN, Answer, Forge, StandIn
from waiting import wait_for

from envwatch.errors import NotifyError, NotifyRefused, NotifyStalled
from envwatch.model import EnvKey
from envwatch.notifiers import FORGES, NOTIFIERS, Notifier, open_forge, open_notifier
from envwatch.notifiers.command import Command
from envwatch.notifiers.http import Answer as Got
from envwatch.notifiers.http import asked_wait
from envwatch.notifiers.letters import as_json
from envwatch.notifiers.webhook import Webhook, sign
from envwatch.settings import ForgeSettings, Network, NotifierSettings
from envwatch.telling import Letter, Notice, NoticeKind, Status, StatusState

REVISION = "a" * 40
KEY = EnvKey("analyst", "demo")
STATUS = Status(
    "envwatch/analyst/demo", StatusState.SUCCESS, "#3 is current", KEY, url="https://e/"
)
NOTICE = Notice(
    (NoticeKind.BROKEN, NoticeKind.STALLED),
    "environment analyst/demo",
    datetime(2026, 1, 31, 12, tzinfo=UTC),
    "build 4 failed: no `numpyy`",
    namespace="analyst",
    environment="analyst/demo",
    build=4,
    url="https://env.example.org/analyst/demo/builds/4",
)
LETTER = Letter("evt_1", "mine", NoticeKind.BROKEN, NOTICE)


# ---------------------------------------------------------------- forges


@pytest.fixture(params=sorted(FORGES))
def forge(request: pytest.FixtureRequest) -> Iterator[Forge]:
    with Forge(request.param) as made:
        yield made


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    return path


@pytest.fixture
def tell(forge: Forge, token: Path) -> Callable[..., None]:
    """Tells the forge one status, as the config would have it."""

    def send(status: Status = STATUS, network: Network | None = None) -> None:
        settings = ForgeSettings(forge.kind, token, forge.api, forge.repository)
        open_forge(settings, network or Network()).tell(REVISION, status)

    return send


def test_a_status_arrives_in_the_words_of_the_forge(
    forge: Forge, tell: Callable[..., None]
) -> None:
    for state in StatusState:
        tell(replace(STATUS, state=state))
    words = [state for _, _, state, _ in forge.history]
    assert (
        words
        == {
            "github": ["pending", "success", "failure", "error"],
            "gitea": ["pending", "success", "failure", "error"],
            "gitlab": ["running", "success", "failed", "canceled"],
        }[forge.kind]
    )
    assert forge.requests[0].json["target_url"] == "https://e/"
    assert {c for _, c, _, _ in forge.history} == {"envwatch/analyst/demo"}


def test_the_same_again_does_no_harm(forge: Forge, tell: Callable[..., None]) -> None:
    for _ in range(2):
        tell(replace(STATUS, state=StatusState.PENDING))
    assert set(forge.states(REVISION).values()) <= {"pending", "running"}


def test_a_long_description_is_made_short(forge: Forge, tell: Callable[..., None]) -> None:
    tell(replace(STATUS, description="why " * 200))
    text = forge.texts(REVISION)["envwatch/analyst/demo"]
    assert len(text) <= 255
    assert text.endswith("…")


def test_a_new_token_in_the_file_needs_no_restart(
    forge: Forge, tell: Callable[..., None], token: Path
) -> None:
    token.write_text("old-token")
    with pytest.raises(NotifyStalled, match="answers 401"):
        tell()
    token.write_text(TOKEN)
    tell()
    assert len(forge.history) == 1


@pytest.mark.parametrize("text", ["", "# nothing\n", "two\nlines\n", "with space", "a\tb", "é"])
def test_what_is_no_token_goes_nowhere(
    forge: Forge, tell: Callable[..., None], token: Path, text: str
) -> None:
    token.write_text(text)
    with pytest.raises(NotifyStalled, match="token"):
        tell()
    assert forge.requests == []


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (500, NotifyError),
        (503, NotifyError),
        (429, NotifyError),
        (403, NotifyStalled),
        (404, NotifyStalled),
        (302, NotifyStalled),
        (422, NotifyRefused),
    ],
)
def test_each_answer_says_what_to_do(
    forge: Forge, tell: Callable[..., None], status: int, kind: type[NotifyError]
) -> None:
    elsewhere = {"Location": f"{forge.url}/elsewhere"}
    forge.fault = lambda _: Answer(status, {"message": f"no, {TOKEN}"}, elsewhere)
    with pytest.raises(NotifyError) as caught:
        tell()
    assert type(caught.value) is kind
    assert TOKEN not in str(caught.value)
    assert len(forge.requests) == 1, "no redirect is followed"


def test_a_forge_that_is_away_is_no_surprise(forge: Forge, tell: Callable[..., None]) -> None:
    forge.down()
    with pytest.raises(NotifyError, match=r"127\.0\.0\.1:\d+: .*refused") as caught:
        tell()
    assert caught.value.retry


def test_a_limit_says_for_how_long(forge: Forge, tell: Callable[..., None]) -> None:
    forge.fault = lambda _: Answer(403, {"message": "slow down"}, {"Retry-After": "90"})
    with pytest.raises(NotifyError) as caught:
        tell()
    assert (type(caught.value), caught.value.wait) == (NotifyError, 90)


def test_the_proxy_of_the_config_is_used(forge: Forge, token: Path) -> None:
    with StandIn() as proxy:
        network = Network(proxy=proxy.url.replace("://", "://me:pass@"))
        settings = ForgeSettings(forge.kind, token, "http://forge.invalid", "a/b")
        open_forge(settings, network).tell(REVISION, STATUS)
        (request,) = proxy.requests
    assert request.path.startswith("http://forge.invalid/")
    assert request.headers["proxy-authorization"].startswith("Basic ")


def test_an_answer_that_is_no_json_is_an_error_like_any_other(
    forge: Forge, tell: Callable[..., None]
) -> None:
    text = '"Cannot transition status"'
    forge.fault = lambda r: Answer(400 if r.method == "POST" else 200, text)
    with pytest.raises(NotifyError):
        tell()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of 127.0.0.1, signed by nobody; its key beside it."""
    need("openssl")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        (
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=lab", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", folder / "key.pem", "-out", folder / "ca.pem"),
        ),
        check=True,
        capture_output=True,
    )
    return folder / "ca.pem"


def test_a_certificate_that_nobody_vouches_for_is_refused_and_the_configs_own_is_taken(
    forge: Forge, tell: Callable[..., None], token: Path, certificate: Path
) -> None:
    forge.down()
    forge.up(certificate)
    secure = ForgeSettings(
        forge.kind, token, forge.api.replace("http:", "https:"), forge.repository
    )
    with pytest.raises(NotifyError, match=r"(?i)certificate"):
        open_forge(secure, Network()).tell(REVISION, STATUS)
    assert forge.requests == []
    open_forge(secure, Network(ca_file=certificate)).tell(REVISION, STATUS)
    assert len(forge.history) == 1


def test_an_answer_without_end_is_cut_and_the_next_request_is_well(
    forge: Forge, tell: Callable[..., None]
) -> None:
    forge.fault = lambda _: Answer(500, "x" * 10**6)
    with pytest.raises(NotifyError) as caught:
        tell()
    assert len(str(caught.value)) < 300
    forge.fault = lambda _: None
    tell()
    assert len(forge.history) == 1


def test_a_host_that_needs_no_proxy_is_asked_directly(
    forge: Forge, tell: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    tell(network=Network(proxy="http://proxy.invalid:3128"))
    assert len(forge.history) == 1


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "30"}, 30),
        ({"retry-after": "Thu, 01 Jan 1970 00:17:40 GMT"}, 60),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1000000300"}, 300),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "45"}, 45),
        ({"x-ratelimit-remaining": "12", "x-ratelimit-reset": "1000000300"}, 0),
        ({"retry-after": "soon"}, 60),
        ({"retry-after": "999999"}, 7200),
        ({"retry-after": "nan"}, 60),
        ({"retry-after": "-5"}, 1),
    ],
)
def test_every_way_to_ask_for_patience_is_understood(headers: dict[str, str], wait: float) -> None:
    now = 1000 if "1970" in headers.get("retry-after", "") else 10**9
    assert asked_wait(Got(403, headers, b""), now) == wait


def test_a_secondary_limit_without_a_header_is_a_limit() -> None:
    body = json.dumps({"message": "You have exceeded a secondary rate limit"}).encode()
    assert asked_wait(Got(403, {}, body), 0) == 60


# ---------------------------------------------------------------- notifiers


@dataclass
class Stage:
    """A notifier and what it delivers to. `fail` makes deliveries fail from now on."""

    notifier: Notifier
    delivered: Callable[[], list[Any]]
    fail: Callable[[], None]


def webhook(folder: Path, hook: StandIn) -> Stage:
    secret = folder / "secret"
    secret.write_text("whsec_" + base64.b64encode(b"key").decode())
    settings = NotifierSettings("mine", "webhook", url=hook.url, secret_file=secret)

    def fail() -> None:
        hook.fault = lambda _: Answer(503)

    return Stage(open_notifier(settings, Network()), lambda: [r.json for r in hook.requests], fail)


def command(folder: Path, _: StandIn) -> Stage:
    file, script = folder / "got", folder / "script"
    script.write_text("import sys; print('thanks'); open(sys.argv[1], 'a').write(input() + '\\n')")
    settings = NotifierSettings("mine", "command", command=(sys.executable, str(script), str(file)))

    def got() -> list[Any]:
        return [json.loads(x) for x in file.read_text().splitlines()] if file.exists() else []

    def fail() -> None:
        script.write_text("import sys; sys.exit('no way')")

    return Stage(open_notifier(settings, Network()), got, fail)


def apprise(folder: Path, hook: StandIn) -> Stage:
    addresses = folder / "addresses"
    host = hook.url.removeprefix("http://")
    addresses.write_text(f"# the team\njson://user:hunter2@{host}/path\n")
    settings = NotifierSettings("mine", "apprise", secret_file=addresses)

    def fail() -> None:
        hook.fault = lambda _: Answer(500)

    return Stage(open_notifier(settings, Network()), lambda: [r.json for r in hook.requests], fail)


STAGES = {"webhook": webhook, "command": command, "apprise": apprise}


@pytest.fixture
def hook() -> Iterator[StandIn]:
    with StandIn() as made:
        yield made


@pytest.fixture(params=sorted(STAGES))
def stage(request: pytest.FixtureRequest, tmp_path: Path, hook: StandIn) -> Stage:
    return STAGES[request.param](tmp_path, hook)


def test_every_kind_is_on_the_stage() -> None:
    assert set(STAGES) == set(NOTIFIERS)


def test_a_letter_arrives_and_says_what_happened(stage: Stage) -> None:
    assert stage.notifier.send(LETTER)
    (got,) = stage.delivered()
    assert "no `numpyy`" in json.dumps(got)
    assert "analyst/demo" in json.dumps(got)
    assert "https://env.example.org/analyst/demo/builds/4" in json.dumps(got)


def test_a_letter_may_come_twice(stage: Stage) -> None:
    stage.notifier.send(LETTER)
    stage.notifier.send(LETTER)
    first, second = stage.delivered()
    assert first == second


def test_a_failure_is_an_error_to_be_tried_again(stage: Stage) -> None:
    stage.fail()
    with pytest.raises(NotifyError) as caught:
        stage.notifier.send(LETTER)
    assert caught.value.retry
    assert "hunter2" not in str(caught.value)


class TestWebhook:
    def test_it_is_signed_by_every_secret(self, hook: StandIn, tmp_path: Path) -> None:
        (tmp_path / "s").write_text(f"whsec_{base64.b64encode(b'new').decode()}\nold\n")
        settings = NotifierSettings("m", "webhook", url=hook.url, secret_file=tmp_path / "s")
        open_notifier(settings, Network()).send(LETTER)
        (got,) = hook.requests
        assert got.headers["webhook-id"] == "evt_1"
        moment = got.headers["webhook-timestamp"]
        assert abs(int(moment) - time.time()) < 60
        content = f"evt_1.{moment}.".encode() + got.body
        wanted = [
            "v1," + base64.b64encode(hmac.new(k, content, hashlib.sha256).digest()).decode()
            for k in (b"new", b"old")
        ]
        assert got.headers["webhook-signature"].split() == wanted

    def test_the_signature_is_that_of_the_published_example(self) -> None:
        key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        body = b'{"test": 2432232314}'
        made = sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body)
        assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

    def test_the_json_names_the_event(self, hook: StandIn, tmp_path: Path) -> None:
        webhook(tmp_path, hook).notifier.send(LETTER)
        (got,) = hook.requests
        assert got.json == {
            "id": "evt_1",
            "type": "environment.broken",
            "timestamp": "2026-01-31T12:00:00Z",
            "data": {
                "subject": "environment analyst/demo",
                "message": "build 4 failed: no `numpyy`",
                "namespace": "analyst",
                "environment": "analyst/demo",
                "build": 4,
                "stalled": True,
                "url": "https://env.example.org/analyst/demo/builds/4",
            },
        }

    def test_a_server_that_never_answers_is_left(self, tmp_path: Path) -> None:
        (tmp_path / "s").write_text("key")
        with socket.create_server(("127.0.0.1", 0)) as deaf:
            url = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
            hook = Webhook(url, tmp_path / "s", Network(), patience=0.2)
            with pytest.raises(NotifyError, match="no answer in time"):
                hook.send(LETTER)


class TestCommand:
    def test_it_sees_nothing_of_the_daemon(self, tmp_path: Path, monkeypatch: Any) -> None:
        monkeypatch.setenv("CANARY", "secret")
        code = "import os, json; json.dump(dict(os.environ), open(os.sys.argv[1], 'w'))"
        seen = tmp_path / "seen"
        Command((sys.executable, "-c", code, str(seen))).send(LETTER)
        names = json.loads(seen.read_text())
        assert "CANARY" not in names
        assert names["ENVWATCH_EVENT"] == "environment.broken"
        assert names["ENVWATCH_ID"] == "evt_1"

    def test_one_that_does_not_end_is_stopped_with_its_children(self, tmp_path: Path) -> None:
        pid = tmp_path / "pid"
        shell = Command(("sh", "-c", f"sleep 600 & echo $! > {pid}; wait"), timeout=1.0)
        with pytest.raises(NotifyError, match="stopped after 1 s"):
            shell.send(LETTER)
        wait_for(lambda: ended(pid.read_text().strip()), 20)

    def test_what_it_leaves_behind_neither_holds_it_up_nor_stays(self, tmp_path: Path) -> None:
        pid = tmp_path / "pid"
        shell = Command(("sh", "-c", f"sleep 600 & echo $! > {pid}"), timeout=30.0)
        assert "ended with 0" in shell.send(LETTER)
        wait_for(lambda: ended(pid.read_text().strip()), 20)

    def test_one_that_is_missing_needs_a_person(self) -> None:
        with pytest.raises(NotifyStalled, match="`/nowhere/prog` cannot be started"):
            Command(("/nowhere/prog",)).send(LETTER)

    def test_what_it_says_is_told(self) -> None:
        with pytest.raises(NotifyError, match="ended with 4: no route to mars"):
            Command(("sh", "-c", "echo no route to mars >&2; exit 4")).send(LETTER)

    def test_one_that_reads_nothing_is_no_error(self) -> None:
        big = replace(LETTER, notice=replace(NOTICE, message="x" * 10**6))
        assert "ended with 0" in Command(("true",)).send(big)


class TestApprise:
    def test_no_address_is_seen_among_the_processes(self, hook: StandIn, tmp_path: Path) -> None:
        seen: list[str] = []

        def look(_: Any) -> None:
            lines = [p.read_bytes() for p in Path("/proc").glob("[0-9]*/cmdline") if _mine(p)]
            seen.extend(line.decode() for line in lines if b"apprise_child" in line)

        hook.fault = look
        apprise(tmp_path, hook).notifier.send(LETTER)
        assert seen
        assert "hunter2" not in "".join(seen)

    def test_an_address_that_it_does_not_know_needs_a_person(
        self, hook: StandIn, tmp_path: Path
    ) -> None:
        made = apprise(tmp_path, hook)
        (tmp_path / "addresses").write_text("carrier-pigeon://user:hunter2@roof\n")
        with pytest.raises(NotifyStalled, match="address 1 of") as caught:
            made.notifier.send(LETTER)
        assert "hunter2" not in str(caught.value)

    def test_it_is_not_imported_here(self) -> None:
        assert "apprise" not in sys.modules


def ended(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def _mine(path: Path) -> bool:
    try:
        return path.stat().st_uid == os.getuid()
    except OSError:
        return False


def test_a_letter_names_its_moment_in_utc() -> None:
    east = datetime(2026, 1, 31, 14, tzinfo=UTC) - timedelta(hours=2)
    made = as_json(replace(LETTER, notice=replace(NOTICE, at=east)))
    assert json.loads(made)["timestamp"] == "2026-01-31T12:00:00Z"
