"""The job file of the rehearsal."""


def default() -> None:
    """Do nothing."""
