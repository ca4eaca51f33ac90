"""What a body may raise to say more than "it failed"."""

from __future__ import annotations


class Skip(Exception):
    """There was nothing to do: the run ends as skipped, reason `body`. It has started, so it counts."""


class PermanentFailure(Exception):
    """The run failed and trying again would not help: no retry."""


class Canceled(BaseException):
    """Somebody asked the run to end. No Exception, so that `except Exception` does not swallow it."""


class Suspended(BaseException):
    """The run goes until a waiting step of it is completed. No Exception: let it pass through."""


def is_suspension(error: BaseException) -> bool:
    """Say whether an exception is `Suspended` and nothing else: also where tasks have put it into a group."""
    waiting: list[BaseException] = [error]
    while waiting:
        one = waiting.pop()
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions
        elif not isinstance(one, Suspended):
            return False
    return True
