"""Parley's own errors.

    ParleyError
    ├── SettingsError        a setting is missing or wrong: exit status 2, one line
    │   └── UnknownSettingError
    ├── AgentError           a voice agent is registered wrongly: exit status 2, one line
    │   ├── AgentOptionError
    │   │   └── UnknownAgentOptionError
    │   └── AgentModuleError
    ├── NothingToSeeError    a tool asked for a picture of a participant who shows nothing
    ├── WebhookError         a webhook did not take what it was sent
    ├── NotesError           a text model did not write the notes that it was asked for
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


class AgentError(ParleyError):
    """A mistake in a module that registers voice agents."""


class AgentOptionError(AgentError):
    """Something that `agents.register` was given, and does not allow."""

    def __init__(self, agent: str, option: str, given: str | None, allowed: str) -> None:
        super().__init__(agent, option, given, allowed)
        self.agent = agent
        self.option = option
        self.given = given
        """What was given, as it is shown; None: nothing."""
        self.allowed = allowed

    def __str__(self) -> str:
        given = "not given" if self.given is None else f"{self.given} is not allowed"
        return f"agent {self.agent!r}: {self.option}: {given}; allowed: {self.allowed}"


class UnknownAgentOptionError(AgentOptionError):
    """An option that agents do not have: most likely a typing error. `allowed` is the nearest one."""

    def __init__(self, agent: str, option: str, nearest: str) -> None:
        super().__init__(agent, option, None, nearest)

    def __str__(self) -> str:
        return f"agent {self.agent!r}: there is no option {self.option}; the nearest one is {self.allowed}"


class AgentModuleError(AgentError):
    """A module that should register voice agents, and cannot be loaded."""

    def __init__(self, module: str, line: int | None, problem: str) -> None:
        super().__init__(module, line, problem)
        self.module = module
        """As it was given: a dotted name, or the path of a file."""
        self.line = line
        """The line of that module where it went wrong, where it is known."""
        self.problem = problem

    def __str__(self) -> str:
        line = "" if self.line is None else f", line {self.line}"
        return f"agents from {self.module}{line}: {self.problem}"


class NothingToSeeError(ParleyError):
    """The participant shows nothing: no camera, or no screen."""

    def __init__(self, source: str) -> None:
        super().__init__(source)
        self.source = source

    def __str__(self) -> str:
        return f"the participant shares no {self.source.replace('_', ' ')}"


class WebhookError(ParleyError):
    """A webhook did not take what it was sent: refused for good, or not within the time."""

    def __init__(self, failure: str, tries: int) -> None:
        super().__init__(failure, tries)
        self.failure = failure
        self.tries = tries

    def __str__(self) -> str:
        return f"{self.failure}, after {self.tries} {'try' if self.tries == 1 else 'tries'}"


class NotesError(ParleyError):
    """A text model did not write the notes that it was asked for; the sentence says why."""


class UnavailableError(ParleyError):
    """Something that is needed is not there; the sentence says what to do."""
