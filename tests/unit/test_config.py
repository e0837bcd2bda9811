"""The settings: what is written is what holds, and what is not understood is refused with the name of the setting."""

import re
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest

from jitgate import config
from jitgate.config import Config
from jitgate.config.gateways import Gateway, GatewayMachine
from jitgate.config.schema import load, sections_of, settings_of
from jitgate.config.settings import Host
from jitgate.config.template import first_text
from jitgate.config.values import SyslogAddress
from jitgate.core.errors import Invalid
from jitgate.core.machine import OperatingSystem
from jitgate.core.prefixes import Prefix
from jitgate.core.topics import Topic

GATEWAY = """
[[gateway]]
name = "edge"
address = "gw.example.org"
[[gateway.machine]]
name = "win-1"
address = "10.0.0.5"
"""
BEHIND = GATEWAY.replace('address = "gw', 'ports = PORTS\naddress = "gw')


def test_machines_behind_gateways_arrive_and_take_the_place_of_the_machine_itself() -> None:
    settings = config.parse(GATEWAY + 'os = "windows"\ntags = { team = "erp" }', "here")
    machine = GatewayMachine("win-1", "10.0.0.5", OperatingSystem.WINDOWS, {"team": "erp"})
    assert settings.gateways == (Gateway("edge", "gw.example.org", machines=(machine,)),)
    assert settings.hosts == ()
    assert config.parse('[[host]]\nname = "here"\n' + GATEWAY, "here").hosts == (Host("here"),)


def test_without_a_word_the_machine_itself_is_listed_and_everything_has_its_default() -> None:
    settings = config.parse("", "this-machine")
    assert settings.hosts == (Host("this-machine"),)
    assert settings.server.trusted_proxies == ()
    assert settings.access.history == timedelta(days=30)
    assert settings.access.longest_access == timedelta(hours=24)
    assert settings.store.url is None
    assert settings.installation.subscription is None


def test_the_file_of_the_first_start_changes_nothing() -> None:
    assert config.parse(first_text(), "here") == config.parse("", "here")


def test_the_file_of_the_first_start_shows_every_setting_in_a_way_that_is_understood() -> None:
    """What people see when they take each ``# `` away."""
    shown = "\n".join(line.removeprefix("# ") for line in first_text().splitlines() if not line.startswith("##"))
    tables = tomllib.loads(shown)
    assert set(tables) == {section.key for section in sections_of(Config)}
    # One receiver is told in one way.
    del tables["notify"][0]["apprise_file"]
    loaded = load(Config, tables)
    assert loaded.gateways[0].machines[0].name == "win-1"


def test_the_file_of_the_first_start_shows_the_defaults_that_hold() -> None:
    for section in sections_of(Config):
        shown = [f"{each.key} = {each.shown}" for each in settings_of(section.kind) if each.default]
        needed = [f"{each.key} = {each.shown}" for each in settings_of(section.kind) if each.required]
        below = '\n[[gateway.machine]]\nname = "m"\naddress = "192.0.2.1"' if section.kind is Gateway else ""
        choice = {"issuer": ['client_id = "a"'], "notify": ['apprise_file = "/a"']}.get(section.key, [])
        head = f"[[{section.key}]]" if section.many else f"[{section.key}]"
        without, told = ("\n".join([head, *needed, *choice, *more]) + below for more in ([], shown))
        assert config.parse(told, "here") == config.parse(without, "here")


def test_words_of_settings_fit_the_file_as_well_as_the_page() -> None:
    text = first_text()
    assert not re.search(r"\]\(|\(how to\)", text), "links stand in the file"
    assert max(map(len, text.splitlines())) <= 121


def test_everything_that_can_be_chosen_arrives() -> None:
    text = """
        [installation]
        subscription = "11111111-2222-3333-4444-555555555555"
        resource_group = "fleet"
        [server]
        trusted_proxies = ["10.0.0.0/8", "::1"]
        allowed_hosts = ["jit.example.org"]
        max_body = 100000
        certificate_file = "/etc/jit.pem"
        certificate_key_file = "/etc/jit.key"
        [access]
        history_days = 7
        longest_access = "8h"
        [record]
        retention_days = 400
        heads_file = "/mnt/heads.jsonl"
        heads_webhook = "https://example.org/heads"
        heads_syslog = "udp://[2001:db8::1]:514"
        [store]
        url = "sqlite:////data/jitgate.db"
        [[host]]
        name = "web-1"
        namespace = "blue"
        always_allow = ["192.0.2.10", "2001:db8::/48"]
        addresses = ["203.0.113.5"]
        tags = { team = "web" }
        [[host]]
        name = "web-2"
    """
    settings = config.parse(text, "here")
    assert settings.installation.resource_group == "fleet"
    assert settings.server.trusted_proxies == ("10.0.0.0/8", "::1/128")
    assert settings.server.allowed_hosts == ("jit.example.org",)
    assert settings.server.certificate_file == Path("/etc/jit.pem")
    assert settings.server.certificate_key_file == Path("/etc/jit.key")
    assert settings.access.history == timedelta(days=7)
    assert settings.access.longest_access == timedelta(hours=8)
    assert settings.record.retention == timedelta(days=400)
    assert settings.record.heads_file == Path("/mnt/heads.jsonl")
    assert settings.record.heads_webhook == "https://example.org/heads"
    assert settings.record.heads_syslog == SyslogAddress("udp", "2001:db8::1", 514)
    assert settings.hosts == (
        Host("web-1", "blue", (Prefix("192.0.2.10/32"), Prefix("2001:db8::/48")), ("203.0.113.5",), {"team": "web"}),
        Host("web-2"),
    )


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("colour = 1", "colour"),
        ("[server]\nmax_bdy = 1", "server.max_bdy"),
        ("[server]\nmax_body = 1", "server.max_body"),
        ("[server]\nmax_body = true", "server.max_body"),
        ('[server]\nmax_body = "big"', "server.max_body"),
        ('[server]\ntrusted_proxies = "10.0.0.0/8"', "server.trusted_proxies"),
        ('[server]\ntrusted_proxies = ["10.0.0.0/8", "all"]', "server.trusted_proxies[1]"),
        ("[server]\nallowed_hosts = [7]", "server.allowed_hosts[0]"),
        ('[server]\ncertificate_file = "jit.pem"', "server.certificate_file"),
        ('[server]\ncertificate_file = "/jit.pem"', "server.certificate_key_file"),
        ('[server]\ncertificate_key_file = "/jit.key"', "server.certificate_file"),
        ("[access]\nhistory_days = 0", "access.history_days"),
        ('[access]\nlongest_access = "2025y"', "access.longest_access"),
        ('[access]\nlongest_access = "31d"', "access.longest_access"),
        ('[installation]\nsubscription = "mine"', "installation.subscription"),
        ('[installation]\nresource_group = "a/b"', "installation.resource_group"),
        ("[store]\nurl = 5", "store.url"),
        ('[log]\nformat = "xml"', "log.format"),
        ('[metrics]\ntoken_file = "token"', "metrics.token_file"),
        ("server = 1", "server"),
        ('[host]\nname = "a"', "host"),
        ("[[host]]\nnamespace = 'a'", "host[0].name"),
        ('[[host]]\nname = "a/b"', "host[0].name"),
        ('[[host]]\nname = "a"\nnamespace = "../x"', "host[0].namespace"),
        ('[[host]]\nname = "a"\n[[host]]\nname = "A"\nnamespace = "n"', "host[1].name"),
        ('[[host]]\nname = "a"\nnamespace = "n"\n[[host]]\nname = "b"\nnamespace = "n"', "host[1].namespace"),
        ('[[host]]\nname = "a"\n[[host]]\nname = "b"', "host[1].namespace"),
        ('[[host]]\nname = "a"\nalways_allow = ["10.0.0.1", "x"]', "host[0].always_allow[1]"),
        ('[[host]]\nname = "a"\naddresses = ["10.0.0.0/24"]', "host[0].addresses[0]"),
        ('[[host]]\nname = "a"\ntags = ["x"]', "host[0].tags"),
        ('[[host]]\nname = "a"\nport = 22', "host[0].port"),
        ('[[gateway]]\naddress = "a"', "gateway[0].name"),
        ('[[gateway]]\nname = "g"', "gateway[0].address"),
        ('[[gateway]]\nname = "g"\naddress = "-x"', "gateway[0].address"),
        ('[[gateway]]\nname = "g"\naddress = "a"', "gateway[0].machine"),
        ('[[gateway]]\nname = "../g"\naddress = "a"', "gateway[0].name"),
        (BEHIND.replace("PORTS", '"22-40000"'), "gateway[0].ports"),
        (BEHIND.replace("PORTS", '"50000-40000"'), "gateway[0].ports"),
        (BEHIND.replace("PORTS", "40000"), "gateway[0].ports"),
        (GATEWAY.replace('"10.0.0.5"', '"win-1.example"'), "gateway[0].machine[0].address"),
        (GATEWAY + 'os = "dos"', "gateway[0].machine[0].os"),
        (GATEWAY + '[[gateway.machine]]\nname = "WIN-1"\naddress = "10.0.0.6"', "gateway[0].machine[1].name"),
        (GATEWAY + GATEWAY, "gateway[1].name"),
        ('[[host]]\nname = "win-1"\n' + GATEWAY, "gateway[0].machine[0].name"),
    ],
)
def test_what_is_not_understood_is_refused_by_name_with_what_would_do(text: str, setting: str) -> None:
    with pytest.raises(Invalid) as refused:
        config.parse(text, "here")
    assert refused.value.reason.field == setting
    assert refused.value.reason.allowed


def test_a_file_that_is_no_toml_is_refused_with_the_line(tmp_path: Path) -> None:
    (tmp_path / "jitgate.toml").write_text("[server\n")
    with pytest.raises(Invalid, match="line 1"):
        config.read(tmp_path / "jitgate.toml", "here")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "jitgate.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(Invalid, match="UTF-8"):
        config.read(tmp_path / "jitgate.toml", "here")


@pytest.mark.parametrize(
    "setting",
    [
        "retention_days = 0",
        'heads_file = "heads.jsonl"',
        'heads_webhook = "http://example.org/"',
        'heads_webhook = "https://"',
        'heads_webhook = "https://user:secret@example.org/"',
        'heads_webhook = "file:///etc/passwd"',
        'heads_syslog = "192.0.2.1:514"',
        'heads_syslog = "tcp://192.0.2.1:70000"',
    ],
)
def test_heads_go_nowhere_but_where_it_is_meant(setting: str) -> None:
    with pytest.raises(Invalid) as refused:
        config.parse(f"[record]\n{setting}\n", "here")
    assert refused.value.reason.field == f"record.{setting.partition(' ')[0]}"


@pytest.mark.parametrize(
    "lines",
    [
        'name = "a"',
        'name = "a"\nurl = "https://example.org"',
        'name = "a"\nurl = "http://example.org"\nsecret_file = "/s"',
        'name = "a"\nsecret_file = "/s"\napprise_file = "/a"',
        'name = "a"\napprise_file = "relative"',
        'name = "a"\napprise_file = "/a"\nevents = ["everything"]',
        'name = "a"\napprise_file = "/a"\n[[notify]]\nname = "A"\napprise_file = "/b"',
    ],
)
def test_a_receiver_of_notifications_that_could_not_be_told_is_refused(lines: str) -> None:
    with pytest.raises(Invalid, match="notify"):
        config.parse(f"[[notify]]\n{lines}", "here")


def test_receivers_of_notifications_arrive() -> None:
    text = """
        [server]
        url = "https://jit.example.org/"
        [access]
        remind_before = "0m"
        [[notify]]
        name = "hook"
        url = "https://example.org/hook"
        secret_file = "/etc/s"
        events = ["breakGlass"]
    """
    found = config.parse(text, "here")
    assert (found.server.url, found.access.remind_before) == ("https://jit.example.org", timedelta(0))
    [hook] = found.notify
    assert (hook.name, hook.url, hook.secret_file) == ("hook", "https://example.org/hook", Path("/etc/s"))
    assert hook.events == {Topic.BREAK_GLASS}
