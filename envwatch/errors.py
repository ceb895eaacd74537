"""Every error that is raised on purpose.

EnvwatchError                 message, hint; `retry` says what a loop does with it
├── ConfigError               the config cannot be used: exit 78, or keep the old one on reload
├── SpecError                 an environment file is refused: path, line, column
├── SourceError               a source cannot be read now                         retry
│   └── SourceStalled         … and will not be before a person changes something
├── LockError                 a conda-lock.yml cannot be used
├── BuildError                a build failed
│   ├── SolveError            no set of packages fits
│   ├── FetchError            a channel, index or package could not be had        retry
│   │   └── FetchStalled      … and will not be before a person changes something
│   ├── PackageRefused        a package holds what envwatch does not install
│   ├── PipError              the `pip:` section cannot be resolved or installed
│   ├── InstallError          linking or compiling failed
│   ├── CheckError            the finished prefix is not what the lock says
│   ├── NoSpace               the disk is too full                                retry
│   ├── BuildKilled           the child ended without a result                    retry
│   └── BuildTimeout          the child passed a limit
├── NotifyError               a forge or a notifier could not be told             retry
│   ├── NotifyStalled         … and will not be before a person changes something
│   └── NotifyRefused         it took offence at this one message
├── SigninError               who signs people in could not be asked              retry
│   └── SigninRefused         … or what came back is not to be believed
├── StorageError              an artifact could not be put or read                retry
├── CatalogError              the catalog cannot be opened
├── BackupError               a backup cannot be made, or is damaged
├── RootInUse                 another daemon holds this root
├── DaemonAway                no daemon answers on the control socket
├── Busy                      too many ask at the same time                       retry
├── NotFound                  what was asked for does not exist
├── Forbidden                 the person may not do this
│   └── Unknown               … and did not say who it is
└── Conflict                  it cannot be done in the present state
"""

from __future__ import annotations

from typing import ClassVar


class EnvwatchError(Exception):
    """A message for a person: what, where, the bad value in backticks; the remedy is `hint`."""

    retry: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class ConfigError(EnvwatchError):
    pass


class SpecError(EnvwatchError):
    """An environment file is refused; `line` and `column` count from 1, 0 is unknown."""

    def __init__(
        self, message: str, *, path: str = "", line: int = 0, column: int = 0, hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.path = path
        self.line = line
        self.column = column


class SourceError(EnvwatchError):
    retry = True


class SourceStalled(SourceError):
    retry = False


class LockError(EnvwatchError):
    pass


class BuildError(EnvwatchError):
    """A build failed; `line` is the line of the environment file at fault, 0 if unknown.

    `path` names that file where the environment is made of several.
    """

    def __init__(
        self, message: str, *, line: int = 0, column: int = 0, hint: str = "", path: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.line = line
        self.column = column
        self.path = path


class SolveError(BuildError):
    pass


class FetchError(BuildError):
    retry = True


class FetchStalled(FetchError):
    retry = False


class PackageRefused(BuildError):
    pass


class PipError(BuildError):
    pass


class InstallError(BuildError):
    pass


class CheckError(BuildError):
    pass


class NoSpace(BuildError):
    retry = True


class BuildKilled(BuildError):
    retry = True


class BuildTimeout(BuildError):
    pass


class NotifyError(EnvwatchError):
    """`wait` is how many seconds the other side asked to be left alone."""

    retry = True

    def __init__(self, message: str, *, hint: str = "", wait: float = 0.0) -> None:
        super().__init__(message, hint=hint)
        self.wait = wait


class NotifyStalled(NotifyError):
    retry = False


class NotifyRefused(NotifyError):
    pass


class SigninError(EnvwatchError):
    retry = True


class SigninRefused(SigninError):
    retry = False


class StorageError(EnvwatchError):
    retry = True


class CatalogError(EnvwatchError):
    pass


class BackupError(EnvwatchError):
    pass


class RootInUse(EnvwatchError):
    pass


class DaemonAway(EnvwatchError):
    pass


class NotFound(EnvwatchError):
    pass


class Busy(EnvwatchError):
    retry = True


class Forbidden(EnvwatchError):
    pass


class Unknown(Forbidden):
    pass


class Conflict(EnvwatchError):
    pass


class Outdated(Conflict):
    """It was changed since it was seen."""
