"""A command that gets each letter as JSON on its standard input; its exit status counts."""

from __future__ import annotations

from dataclasses import dataclass

from envwatch.errors import NotifyError
from envwatch.notifiers.letters import as_json, kind_of
from envwatch.notifiers.programs import run
from envwatch.settings import Network, NotifierSettings
from envwatch.telling import Letter

LIMIT = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class Command:
    command: tuple[str, ...]
    timeout: float = LIMIT

    def send(self, letter: Letter) -> str:
        more = {"ENVWATCH_EVENT": kind_of(letter), "ENVWATCH_ID": letter.id}
        ended = run(self.command, as_json(letter), more=more, timeout=self.timeout)
        if ended.status:
            raise NotifyError(f"`{self.command[0]}` ended with {ended.status}: {ended.said}")
        return f"`{self.command[0]}` ended with 0" + (f": {ended.said}" if ended.said else "")


def open_notifier(settings: NotifierSettings, network: Network) -> Command:  # noqa: ARG001  # all kinds are opened alike
    return Command(settings.command)
