"""What every test shares: the Hypothesis profiles, the marker for tests that need root, and no skipping under CI."""

import os
from collections.abc import Generator

import pytest
import structlog
from hypothesis import HealthCheck, settings

CI = os.environ.get("CI", "").lower() in {"1", "true"}

# By default structlog draws an exception with all that its variables hold, which can take a server minutes.
structlog.configure(processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()])

_SLOW_IS_FINE = [HealthCheck.too_slow]
# Under CI the short profile tries the same examples in every run, so that a red build is the doing of the change that
# it judges. The search for new examples happens where somebody can follow up on a find: at a desk, and in `make chaos`.
settings.register_profile(
    "short", max_examples=50, stateful_step_count=30, deadline=None, derandomize=CI, suppress_health_check=_SLOW_IS_FINE
)
settings.register_profile(
    "long",
    max_examples=1000,
    stateful_step_count=100,
    deadline=None,
    print_blob=True,
    suppress_health_check=_SLOW_IS_FINE,
)
settings.load_profile(os.environ.get("JITGATE_PROFILE", "short"))


_WAIT = ("crash", "joined_hosts", "chaos", "ops", "replicas", "stateful")
"""Directories whose tests mostly wait for processes and deadlines. They begin first: at the end, with nothing else left
to do, all would wait for them."""

_ASKED_FOR = (("live_azure", "JITGATE_LIVE_AZURE"), ("live_aws", "JITGATE_LIVE_AWS"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs a real cloud, unless asked for. Skip what is marked `needs_root` for everybody else. What
    waits long comes first."""
    items.sort(key=_order)
    for marker, named in _ASKED_FOR:
        if named not in os.environ:
            left_out = [item for item in items if item.get_closest_marker(marker)]
            items[:] = [item for item in items if item not in left_out]
            config.hook.pytest_deselected(items=left_out)
    if os.geteuid() == 0:
        return
    skip = pytest.mark.skip(reason="needs root, for network namespaces and firewall rules")
    for item in items:
        if item.get_closest_marker("needs_root"):
            item.add_marker(skip)


def _order(item: pytest.Item) -> int:
    directory = item.path.parent.name
    return _WAIT.index(directory) if directory in _WAIT else len(_WAIT)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Under CI a skipped test is a failure: a promise that nobody checked."""
    report = yield
    if CI and report.skipped and not hasattr(report, "wasxfail"):
        _fail(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a module that skips itself while it is imported."""
    report = yield
    if CI and report.skipped:
        _fail(report)
    return report


def _fail(report: pytest.TestReport | pytest.CollectReport) -> None:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"{reason}; under CI no test may be skipped"
