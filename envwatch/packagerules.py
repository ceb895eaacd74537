"""Which packages a namespace requires, adds and holds down: spec → spec. Pure."""

from __future__ import annotations

from dataclasses import replace

from envwatch.entries import package_name
from envwatch.errors import SpecError
from envwatch.model import Level, Message, Requirement, Spec
from envwatch.settings import NamespaceSettings

WHO = "who runs envwatch can change it: `packages` of the namespace"


def applied(spec: Spec, namespace: NamespaceSettings) -> Spec:
    """With what the namespace adds. Raises SpecError where it lacks what is required.

    What is added bears no line, for nobody wrote it. Each addition is told by a message.
    """
    rules = namespace.packages
    named = {package_name(r.text) for r in spec.dependencies}
    for required in rules.required:
        if package_name(required) not in named:
            raise SpecError(
                f"`{required}` must be among the `dependencies` of every environment of"
                f" `{namespace.name}`",
                path=spec.path,
                hint=f"add `- {required}`; {WHO}",
            )
    included = [text for text in rules.included if package_name(text) not in named]
    # what is asked for is held down as well; the rest of the list is for the solver alone
    held = [text for text in rules.constrained if package_name(text) in named]
    if not included and not held:
        return spec
    messages = [_told(text, "was added", spec, namespace) for text in included]
    messages += [_told(text, "is held to this", spec, namespace) for text in held]
    return replace(
        spec,
        dependencies=(*spec.dependencies, *(Requirement(t) for t in (*included, *held))),
        messages=(*spec.messages, *messages),
    )


def identity(spec: Spec, made: Spec, namespace: NamespaceSettings) -> list[str]:
    """What of the rules may lead to other packages; `made` is the spec with them applied."""
    added = made.dependencies[len(spec.dependencies) :]
    return sorted({*(r.text for r in added), *namespace.packages.constrained})


def _told(text: str, what: str, spec: Spec, namespace: NamespaceSettings) -> Message:
    message = f"`{text}` {what} by the policy of `{namespace.name}`"
    return Message(Level.NOTE, message, spec.path, hint=WHO)
