"""Time that passes only when a test says so."""


class Clock:
    """A clock in seconds; a test sets `now`."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
