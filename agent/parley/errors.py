"""Parley's own errors.

    ParleyError
    ├── SettingsError        a setting is missing or wrong: exit status 2, one line
    │   └── UnknownSettingError
    └── UnavailableError     something that Parley needs is not there: exit status 1, one line

What goes wrong with a session of the API is `livekit.plugins.openai_realtime.errors`.
"""


class ParleyError(Exception):
    """Whatever Parley raises itself."""


class SettingsError(ParleyError):
    """A setting that is missing, unknown or not allowed."""

    def __init__(self, name: str, given: str | None, allowed: str) -> None:
        super().__init__(name, given, allowed)
        self.name = name
        self.given = given
        self.allowed = allowed

    def __str__(self) -> str:
        if self.given is None:
            return f"{self.name}: not set; needed: {self.allowed}"
        return f"{self.name}: {self.given!r} is not allowed; allowed: {self.allowed}"


class UnknownSettingError(SettingsError):
    """A name that no setting has: most likely a typing error."""

    def __init__(self, name: str, nearest: str) -> None:
        super().__init__(name, None, nearest)

    def __str__(self) -> str:
        return f"{self.name}: there is no such setting; the nearest one is {self.allowed}"


class UnavailableError(ParleyError):
    """Something that is needed is not there; the sentence says what to do."""
