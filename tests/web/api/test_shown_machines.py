"""What a host tells of itself, as others are shown it. A host may tell anything."""

import pytest

from jitgate.core.machine import Machine, OperatingSystem
from jitgate.core.resource_id import machine_id
from jitgate.service.views import MachineView
from jitgate.web.api import shown

ID = machine_id("6a8b2c1d-0000-4000-8000-000000000000", "prod", "web-1")


def machine(facts: dict[str, object]) -> shown.ShownMachine:
    made = Machine("uuid-1", ID, "web-1", OperatingSystem.LINUX, "hosts", "host", "host/web-1", facts=facts)
    return shown.machine(MachineView(made))


def test_what_listens_and_what_is_published_is_shown() -> None:
    told = machine({"listening": ["tcp/22 on ::"], "published": ["tcp/8022 to 172.17.0.2:22"]})
    assert (told.listening, told.published) == (["tcp/22 on ::"], ["tcp/8022 to 172.17.0.2:22"])


@pytest.mark.parametrize("said", [None, 7, "tcp/22", {"tcp": 22}])
def test_what_is_no_list_is_not_shown(said: object) -> None:
    assert machine({"listening": said, "published": said}).published == []


def test_a_host_that_tells_too_much_is_cut_short() -> None:
    told = machine({"published": ["x" * 10_000] * 10_000, "listening": [["nested"], 5]})
    assert len(told.published) == 500
    assert {len(each) for each in told.published} == {200}
    assert told.listening == ["['nested']", "5"]
