"""How much of something there may be: so many at once, and after that so many a second."""


class Budget:
    """Begins full. Times are seconds on the elapsed clock."""

    def __init__(self, at_once: int, a_second: float) -> None:
        self._most = float(at_once)
        self._left = float(at_once)
        self._a_second = a_second
        self._at = 0.0

    def take(self, now: float) -> bool:
        """Whether there may be one more now."""
        self._left = min(self._most, self._left + max(0.0, now - self._at) * self._a_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
