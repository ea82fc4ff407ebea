"""Errors that end a script with one clear sentence instead of a traceback."""


class HarnessError(Exception):
    """A failure whose message is complete for the person who reads it."""

    exit_code = 1


class UsageError(HarnessError):
    """An option or an input file given by the caller is at fault."""

    exit_code = 2


class SetupError(HarnessError):
    """The environment or the host could not be set up."""
