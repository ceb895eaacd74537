"""A JupyterHub, of which envwatch is a service: OAuth, and then the hub says who it is."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from envwatch.access import Identity, person_name
from envwatch.errors import SigninRefused
from envwatch.settings import HubSettings, Network
from envwatch.signin import talk
from envwatch.signin.attempt import Attempt, Returned
from envwatch.signin.secret import read_secret


@dataclass(frozen=True, slots=True)
class JupyterHub:
    settings: HubSettings
    network: Network
    name: str = "jupyterhub"

    @property
    def title(self) -> str:
        return self.settings.title

    def leave(self, attempt: Attempt) -> str:
        query = {
            "client_id": self.settings.client_id,
            "redirect_uri": attempt.back,
            "response_type": "code",
            "state": attempt.state,
        }
        return f"{self._api('oauth2/authorize')}?{urlencode(query)}"

    def identify(self, attempt: Attempt, returned: Returned) -> Identity:
        values = {
            "grant_type": "authorization_code",
            "code": returned.code,
            "redirect_uri": attempt.back,
            "client_id": self.settings.client_id,
            "client_secret": read_secret(self.settings.secret_file),
        }
        told = talk.post(self._api("oauth2/token"), self.network, values, {})
        access = told.get("access_token")
        if not isinstance(access, str) or not access:
            raise SigninRefused("the hub gave no access token")
        return self._person(access)

    def check(self) -> str:
        read_secret(self.settings.secret_file)
        found = talk.get(self._api(""), self.network).get("version")
        return f"{self.settings.url}, version {str(found)[:20]}"

    def _person(self, access: str) -> Identity:
        found = talk.get(self._api("user"), self.network, bearer=access)
        name, groups = found.get("name"), found.get("groups")
        if found.get("kind", "user") != "user" or not isinstance(name, str):
            raise SigninRefused("the hub tells of no person")
        if not person_name(name):
            raise SigninRefused("the hub tells a name that is not one")
        listed = groups if isinstance(groups, list) else ()
        return Identity(person_name(name), tuple(g for g in listed if _is_group(g)))

    def _api(self, path: str) -> str:
        return f"{self.settings.url}/hub/api/{path}"


def _is_group(found: object) -> bool:
    return isinstance(found, str) and bool(found) and len(found) <= 255 and found.isprintable()


def open_provider(settings: HubSettings, network: Network) -> JupyterHub:
    return JupyterHub(settings, network)
