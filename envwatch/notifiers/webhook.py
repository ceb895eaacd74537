"""An outgoing web hook, signed as Standard Webhooks 1.0 says."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from dataclasses import dataclass
from pathlib import Path

from envwatch.errors import NotifyStalled
from envwatch.notifiers.files import read_lines
from envwatch.notifiers.http import READ, ask, judge, place
from envwatch.notifiers.letters import as_json
from envwatch.settings import Network, NotifierSettings
from envwatch.telling import Letter

PREFIX = "whsec_"


@dataclass(frozen=True, slots=True)
class Webhook:
    url: str
    secret_file: Path
    network: Network
    patience: float = READ

    def send(self, letter: Letter) -> str:
        keys = [_key(line, self.secret_file) for line in read_lines(self.secret_file)]
        body, moment = as_json(letter), str(int(time.time()))
        signatures = (sign(key, letter.id, moment, body) for key in keys)
        headers = {
            "Content-Type": "application/json",
            "webhook-id": letter.id,
            "webhook-timestamp": moment,
            "webhook-signature": " ".join(signatures),
        }
        answer = ask("POST", self.url, self.network, headers, body, patience=self.patience)
        judge(answer, self.url)
        return f"{place(self.url)} answers {answer.status}"


def sign(key: bytes, message_id: str, moment: str, body: bytes) -> str:
    content = f"{message_id}.{moment}.".encode() + body
    return f"v1,{base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()}"


def _key(line: str, path: Path) -> bytes:
    """`whsec_` and base64, or any text as it is."""
    if not line.startswith(PREFIX):
        return line.encode()
    try:
        return base64.b64decode(line.removeprefix(PREFIX), validate=True)
    except binascii.Error as e:
        raise NotifyStalled(
            f"`{path}` holds a secret that starts with `{PREFIX}` and is not base64"
        ) from e


def open_notifier(settings: NotifierSettings, network: Network) -> Webhook:
    assert settings.secret_file is not None  # noqa: S101  # the config asks for it
    return Webhook(settings.url, settings.secret_file, network)
