"""How often statements go to PostgreSQL, and how many together."""

import pytest

from jitgate.store.pipeline import Pipeline


def counted_trips(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The trips from now on: how many statements went together in each."""
    trips: list[int] = []
    flush = Pipeline.flush

    def counted(way: Pipeline) -> None:
        if way._waiting:
            trips.append(len(way._waiting))
        flush(way)

    monkeypatch.setattr(Pipeline, "flush", counted)
    return trips
