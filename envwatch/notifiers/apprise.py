"""Mail, chat and a hundred other services, by apprise in a child process.

The child keeps half a second of imports and whatever a service does out of the daemon, and can
be stopped. It is given the path of the addresses, never an address: `ps` shows arguments.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from envwatch.errors import NotifyError, NotifyStalled
from envwatch.notifiers.files import read_lines
from envwatch.notifiers.letters import as_text
from envwatch.notifiers.programs import run
from envwatch.settings import Network, NotifierSettings
from envwatch.telling import Letter

LIMIT = 90.0  # seconds
CHILD = "envwatch.notifiers.apprise_child"
STALLED = 3  # its exit status where a person must look


@dataclass(frozen=True, slots=True)
class Apprise:
    addresses: Path
    network: Network

    def send(self, letter: Letter) -> str:
        count = len(read_lines(self.addresses))
        title, text = as_text(letter)
        told = json.dumps({"title": title, "text": text, "kind": letter.kind}).encode()
        command = (sys.executable, "-I", "-m", CHILD, str(self.addresses))
        ended = run(command, told, more=self._surroundings(), timeout=LIMIT)
        if ended.status == STALLED:
            raise NotifyStalled(f"apprise: {ended.said}")
        if ended.status:
            raise NotifyError(f"apprise: {ended.said or f'it ended with {ended.status}'}")
        return f"apprise told {count} address{'' if count == 1 else 'es'}"

    def _surroundings(self) -> dict[str, str]:
        more: dict[str, str] = {}
        if self.network.proxy:
            more |= {"http_proxy": self.network.proxy, "https_proxy": self.network.proxy}
        if self.network.ca_file:
            more["ENVWATCH_CA_FILE"] = str(self.network.ca_file)
        return more


def open_notifier(settings: NotifierSettings, network: Network) -> Apprise:
    assert settings.secret_file is not None  # noqa: S101  # the config asks for it
    return Apprise(settings.secret_file, network)
