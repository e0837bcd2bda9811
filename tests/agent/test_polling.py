"""The agent's end of the link to a server elsewhere: what it believes, and what it makes of time."""

import itertools
import json
import shutil
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jitgate.agent import channel, membership, polling
from jitgate.agent.membership import Membership
from jitgate.agent.polling import PollingLink
from jitgate.clock import ManualClock
from jitgate.connectors.base import Capabilities, ConnectorError, Report
from jitgate.connectors.hosts import messages, polls, wire
from jitgate.connectors.hosts.messages import Apply, Happened, HostFacts, Hosts, Kind, Request
from jitgate.connectors.hosts.polls import Poll, Reply, Said
from jitgate.core.desired import Desired
from jitgate.trust import keyset, signatures
from jitgate.trust.keyset import Keyring, as_json
from jitgate.trust.signatures import Forged, SigningKey
from jitgate.web.agents.routes import lacks_keys

HOST, SCOPE = "11111111-1111-1111-1111-111111111111", "fleet/jitgate/web-1"
NOW = datetime(2030, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
FACTS = Hosts(0, (HostFacts("web-1", HOST),))
NOTHING: Said[Request] = Said()


class Server:
    """The other side, played by the test: it answers each poll with what `answer` makes of it."""

    def __init__(self, directory: Path, clock: ManualClock) -> None:
        self.directory = directory
        self.ring: Keyring = keyset.ensure(directory, "")
        self.clock = clock
        self.polled: list[Poll] = []
        self.answer: Callable[[Poll], Reply] = self.reply
        self.signer: SigningKey | None = None
        self.session, self.say = "S", NOTHING

    def reply(self, poll: Poll) -> Reply:
        heard = poll.said.last if poll.session == self.session else 0
        said = self.say if poll.session == self.session else NOTHING
        return Reply(poll.host, self.session, poll.nonce, heard, 1000.0, said)

    def exchange(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] = {}) -> channel.Answer:
        if (method, path) == ("GET", polls.KEYS_PATH):
            told = {**as_json(self.ring.signed), "handedOver": list(map(as_json, self.ring.handed_over))}
            return channel.Answer(200, {}, json.dumps(told).encode())
        assert (method, path) == ("POST", "/agents/v1/poll")
        poll = polls.decode_poll(body)
        signature = headers["Authorization"].split(" ")[2]
        signatures.verify(self.key.public, polls.POLL, body, signature)
        self.polled.append(poll)
        answer = polls.encode_reply(self.answer(poll))
        signed = (self.signer or self.ring.controller(NOW)).sign(polls.REPLY, answer)
        return channel.Answer(200, {"jitgate-signature": signed}, answer)

    key: SigningKey


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW, 500.0)


@pytest.fixture
def server(tmp_path: Path, clock: ManualClock) -> Server:
    (tmp_path / "server").mkdir()
    return Server(tmp_path / "server", clock)


@pytest.fixture
def link(server: Server, tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> PollingLink:
    (tmp_path / "host").mkdir()
    member = Membership("https://server", HOST, "web-1", SCOPE, server.ring.root, server.ring.signed)
    membership.write(tmp_path / "host", member)
    server.key = signatures.ensure(tmp_path / "host" / membership.KEY)
    made = PollingLink(tmp_path / "host", member, server.key, clock)
    monkeypatch.setattr(channel.Channel, "exchange", lambda _self, *a: server.exchange(*a))
    # What is refused is tried again, for ever; here, once will do.
    monkeypatch.setattr(PollingLink, "_pause", _raise)
    monkeypatch.setattr(PollingLink, "_wait_until_answered", lambda _self: None)
    return made


def _raise(_self: PollingLink, _failures: int, error: Exception) -> None:
    raise error


def first(link: PollingLink) -> Request:
    return next(iter(link.requests()))


def an_order(worked_out: float = 1000.0) -> Apply:
    return Apply(7, Desired(SCOPE, 1, NOW, frozenset(), {}, {}), worked_out)


# --- what is believed ---------------------------------------------------------------------------------


def test_what_the_server_has_signed_for_this_poll_is_done(link: PollingLink, server: Server) -> None:
    server.say = Said(1, (an_order(),))
    assert first(link) == an_order(500.0)


@pytest.mark.parametrize(
    "forge",
    [
        pytest.param(lambda reply: replace(reply, nonce="another"), id="a reply to another poll, replayed"),
        pytest.param(lambda reply: replace(reply, host="another"), id="a reply to another host"),
    ],
)
def test_a_reply_to_something_else_is_refused(
    link: PollingLink, server: Server, forge: Callable[[Reply], Reply]
) -> None:
    server.say = Said(1, (an_order(),))
    server.answer = lambda poll: forge(server.reply(poll))
    with pytest.raises(Forged, match="another poll"):
        first(link)


def test_a_reply_signed_by_another_key_is_refused(link: PollingLink, server: Server) -> None:
    server.signer = signatures.make()
    with pytest.raises(Forged, match="not signed by the server"):
        first(link)


def test_keys_that_the_pinned_root_has_not_signed_are_refused(
    link: PollingLink, server: Server, tmp_path: Path
) -> None:
    (tmp_path / "thief").mkdir()
    thief = keyset.ensure(tmp_path / "thief", "")
    server.signer = thief.controller(NOW)
    server.answer = lambda poll: replace(server.reply(poll), keys=thief.signed)
    with pytest.raises(Forged):
        first(link)
    assert membership.read(tmp_path / "host").keys == server.ring.signed


def test_keys_are_rotated_by_the_root_and_never_back(link: PollingLink, server: Server, tmp_path: Path) -> None:
    former = server.ring
    keyset.follow_controller(server.directory, NOW, NOW)
    keyset.retire_controller(server.directory, NOW)
    server.ring = keyset.ensure(server.directory, "")
    assert server.ring.controller(NOW).public != former.controller(NOW).public
    server.say = Said(1, (an_order(),))
    server.answer = lambda poll: replace(server.reply(poll), keys=server.ring.signed if poll.epoch < 3 else None)
    assert isinstance(first(link), Apply)
    assert membership.read(tmp_path / "host").keyset.epoch == 3
    server.signer = former.controller(NOW)
    server.answer = lambda poll: replace(server.reply(poll), keys=former.signed)
    with pytest.raises(Forged, match="earlier key set"):
        first(link)


def told(server: Server, link: PollingLink) -> None:
    """Have the host be told the keys of now, with its next poll."""
    server.ring = keyset.read(server.directory)
    server.say = Said(1, (an_order(),))
    server.session += "I"
    server.answer = lambda poll: replace(
        server.reply(poll), keys=server.ring.signed if poll.epoch < server.ring.epoch else None
    )
    assert isinstance(first(link), Apply)


def test_a_next_controller_is_believed_before_it_signs(link: PollingLink, server: Server) -> None:
    former = server.ring.controller(NOW)
    keyset.follow_controller(server.directory, NOW + HOUR, NOW)
    told(server, link)
    assert server.ring.controller(NOW).public == former.public
    server.signer = server.ring.controller(NOW + HOUR)
    assert server.signer.public != former.public
    told(server, link)


def test_a_replica_notices_either_of_the_files_that_are_copied_to_it(server: Server, tmp_path: Path) -> None:
    copied = tmp_path / "other"
    shutil.copytree(server.directory, copied)
    seconds = itertools.count()
    held = keyset.OnFile(copied, lambda: next(seconds))
    keyset.follow_controller(server.directory, NOW, NOW)
    wanted = keyset.read(server.directory)
    for name in (keyset.KEYS, keyset.CONTROLLER):
        assert held.now().controller(NOW).public != wanted.controller(NOW).public
        shutil.copy2(server.directory / name, copied)
    assert held.now().controller(NOW).public == wanted.controller(NOW).public


def test_keys_on_file_are_looked_at_now_and_then_and_stay_when_their_file_is_damaged(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    now = 0.0
    held = keyset.OnFile(server.directory, lambda: now)
    first = held.now()
    keyset.follow_controller(server.directory, NOW, NOW)
    assert held.now() is first, "a moment ago they were the same"
    now += keyset.OnFile.LOOKS_EVERY_SECONDS
    second = held.now()
    assert second.epoch == first.epoch + 1
    (server.directory / keyset.KEYS).write_bytes(b"{")
    now += keyset.OnFile.LOOKS_EVERY_SECONDS
    assert held.now() is second
    assert "stay as they were" in caplog.text


def test_another_root_follows_once_the_former_has_named_it(link: PollingLink, server: Server, tmp_path: Path) -> None:
    former = server.ring.root
    keyset.follow_root(server.directory, NOW)
    told(server, link)
    assert membership.read(tmp_path / "host").root == former
    shutil.copytree(server.directory, tmp_path / "stolen")
    assert keyset.retire_root(server.directory) == 1
    told(server, link)
    after = membership.read(tmp_path / "host")
    assert after.root == server.ring.root != former
    for _ in range(3):
        keyset.follow_controller(tmp_path / "stolen", NOW, NOW)
    thief = keyset.read(tmp_path / "stolen")
    assert (thief.root, thief.epoch) == (former, 5)
    server.answer = lambda poll: replace(server.reply(poll), keys=thief.signed)
    with pytest.raises(Forged):
        first(link)
    assert membership.read(tmp_path / "host") == after


def test_a_host_that_was_away_finds_the_way_from_root_to_root(
    link: PollingLink, server: Server, tmp_path: Path
) -> None:
    for _ in range(2):
        keyset.follow_root(server.directory, NOW)
        keyset.retire_root(server.directory)
    told(server, link)
    assert membership.read(tmp_path / "host").root == server.ring.root


def test_a_way_that_does_not_begin_at_the_pinned_root_leads_nowhere(
    link: PollingLink, server: Server, tmp_path: Path
) -> None:
    (tmp_path / "thief").mkdir()
    keyset.ensure(tmp_path / "thief", "")
    keyset.follow_root(tmp_path / "thief", NOW)
    keyset.retire_root(tmp_path / "thief")
    before = membership.read(tmp_path / "host")
    server.ring = keyset.read(tmp_path / "thief")
    server.answer = lambda poll: replace(server.reply(poll), keys=server.ring.signed)
    with pytest.raises(Forged, match="no root key has signed which this host believes"):
        first(link)
    assert membership.read(tmp_path / "host") == before


def test_an_earlier_version_is_told_nothing_that_its_root_has_not_signed(server: Server) -> None:
    """It has pinned one root for good, and believes nothing of a reply that brings keys by another."""
    pinned, known = server.ring.root, server.ring.epoch
    earlier = Poll(HOST, "", 1, "", 0, known, Said(), version=1)
    keyset.follow_root(server.directory, NOW)
    ring = keyset.read(server.directory)
    assert lacks_keys(earlier, ring)
    assert ring.signed.opened(pinned).controllers == server.ring.signed.opened(pinned).controllers
    keyset.retire_root(server.directory)
    ring = keyset.read(server.directory)
    assert not lacks_keys(earlier, ring)
    assert lacks_keys(replace(earlier, version=polls.VERSION), ring)
    assert ring.controller(NOW).public in server.ring.signed.opened(pinned).controllers


def test_a_rotation_without_the_root_key_is_refused_and_says_what_to_do(server: Server) -> None:
    (server.directory / keyset.ROOT).unlink()
    with pytest.raises(Exception, match=r"link-root\.key is needed .* bring it back"):
        keyset.follow_controller(server.directory, NOW, NOW)


def test_a_damaged_membership_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConnectorError, match="has not joined"):
        membership.read(tmp_path)
    (tmp_path / membership.FILE).write_text("{}")
    with pytest.raises(ConnectorError, match="damaged"):
        membership.read(tmp_path)


# --- time ---------------------------------------------------------------------------------------------


def test_a_reply_that_is_held_up_lengthens_nothing(link: PollingLink, server: Server, clock: ManualClock) -> None:
    """What is left is counted from when the poll was sent, however long the reply takes."""

    def held_up(poll: Poll) -> Reply:
        if poll.session:
            clock.advance(timedelta(minutes=10))
        return server.reply(poll)

    server.say, server.answer = Said(1, (an_order(worked_out=1003.0),)), held_up
    request = first(link)
    assert isinstance(request, Apply)
    assert request.worked_out == 503.0, "three seconds after the poll was sent, and ten minutes ago"
    assert clock.elapsed() == 1100.0


def test_what_was_worked_out_before_the_poll_came_counts_from_then(link: PollingLink, server: Server) -> None:
    server.say = Said(1, (an_order(worked_out=995.0),))
    request = first(link)
    assert isinstance(request, Apply)
    assert request.worked_out == 495.0


# --- links that break ---------------------------------------------------------------------------------


def test_what_was_said_is_said_again_until_the_server_has_it(link: PollingLink, server: Server) -> None:
    repaired = Happened(Kind.REPAIRED, SCOPE, "a flush", NOW)
    link.say(repaired)

    def lost(poll: Poll) -> Reply:
        if len(server.polled) == 2:
            raise ConnectionResetError
        return server.reply(poll)

    server.answer = lost
    turns = link.requests()
    with pytest.raises(ConnectionResetError):
        next(turns)
    server.say = Said(1, (an_order(),))
    first(link)
    told = [poll.said.messages for poll in server.polled]
    assert told == [(), (repaired,), (repaired,)], "not in no session, once lost, once heard"
    server.answer = server.reply
    server.say = Said(1, (an_order(), an_order()))
    first(link)
    assert server.polled[-1].said.messages == ()


def test_what_is_sent_twice_is_done_once(link: PollingLink, server: Server) -> None:
    server.say = Said(1, (an_order(),))
    turns = link.requests()
    assert isinstance(next(turns), Apply)
    server.say = Said(1, (an_order(), replace(an_order(), number=8)))
    following = next(turns)
    assert isinstance(following, Apply)
    assert following.number == 8


def test_a_new_server_is_told_everything_but_answers_to_the_former(link: PollingLink, server: Server) -> None:
    begun = threading.Event()
    link.on_session(begun.set)
    server.say = Said(1, (an_order(),))
    first(link)
    assert begun.is_set()
    begun.clear()
    happened = Happened(Kind.REPAIRED, SCOPE, "a flush", NOW)
    link.say(messages.Failed(7, "an answer to the former server"))
    link.say(happened)
    server.session, server.say = "T", Said(1, (replace(an_order(), number=1),))
    first(link)
    assert begun.is_set()
    assert server.polled[-1].turn == 1
    assert server.polled[-1].said.messages == (happened,)


# --- versions -----------------------------------------------------------------------------------------


def newer(body: bytes, *, among: bool = True) -> bytes:
    """The same as a later version may say it: more fields, and a kind of message that nobody knows yet."""
    value = json.loads(body)
    value |= {"version": 99, "colour": "green"}
    for each in value["said"]:
        each["mood"] = "fine"
    if among:
        value["said"].insert(0, {"say": "sing", "song": 1})
    return json.dumps(value).encode()


def test_a_server_that_is_newer_is_understood(server: Server) -> None:
    reply = Reply(HOST, "S", "N", 3, 1000.0, Said(1, (an_order(),)))
    read = polls.decode_reply(newer(polls.encode_reply(reply)))
    assert read.said.after(0) == [an_order()]
    assert read.said.last == 2, "what is not understood is counted all the same"


def test_an_agent_that_is_newer_is_understood() -> None:
    poll = Poll(HOST, "S", 4, "N", 2, 1, Said(5, (FACTS,)))
    read = polls.decode_poll(newer(polls.encode_poll(poll)))
    assert read.said.after(4) == [FACTS]
    assert (read.version, read.said.last) == (99, 6)


def test_an_agent_that_is_older_signs_no_proof() -> None:
    told = json.loads(messages.encode(messages.Applied(1, _report()))[4:])
    del told["report"]["proof"]
    read = messages.answer_of(told)
    assert isinstance(read, messages.Applied)
    assert read.report.proof is None


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"said": 7}', b"\xff", b"[" * 100_000])
def test_what_is_no_poll_is_malformed(body: bytes) -> None:
    for decode in (polls.decode_poll, polls.decode_reply):
        with pytest.raises(wire.Malformed):
            decode(body)


def _report() -> Report:
    return Report(SCOPE, 1, {}, frozenset(), {}, Capabilities(ends_sessions=True, own_deadline=True))


def test_what_waits_to_be_said_keeps_nobody_from_a_server_that_forgot_the_session(
    link: PollingLink, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.say = Said(1, (an_order(),))
    first(link)
    for _ in range(900):
        link.say(Happened(Kind.REPAIRED, SCOPE, "x" * 200, NOW))
    server.session = "another"
    takes, exchange = 64 << 10, server.exchange

    def limited(method: str, path: str, body: bytes, headers: dict[str, str]) -> channel.Answer:
        if headers["Jitgate-Session"] != server.session and len(body) > takes:
            return channel.Answer(413, {}, b"{}")
        return exchange(method, path, body, headers)

    monkeypatch.setattr(server, "exchange", limited)
    monkeypatch.setattr(PollingLink, "_pause", lambda *_: None)
    answers: list[Request] = []
    reading = threading.Thread(target=lambda: answers.append(first(link)), daemon=True)
    reading.start()
    reading.join(60)
    assert answers
    assert len(server.polled[-1].said.messages) == 900


# --- several replicas -----------------------------------------------------------------------------------


def test_a_session_that_another_replica_holds_is_looked_for_and_found(
    link: PollingLink, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = iter("abbbaa")  # What the balancer leads to; the session is with a.
    misdirect(server, monkeypatch, lambda poll: poll.session == "S" and next(reached) == "b")
    server.say = Said(1, (an_order(),))
    requests = link.requests()
    assert isinstance(next(requests), Apply)
    server.say = Said(2, (an_order(), an_order()))
    assert isinstance(next(requests), Apply)
    assert [poll.session for poll in server.polled if poll.session] == ["S", "S"]


def test_a_session_whose_replica_is_gone_ends_and_whoever_is_reached_begins_another(
    link: PollingLink, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.say = Said(1, (an_order(),))
    requests = link.requests()
    assert isinstance(next(requests), Apply)
    server.session = "T"
    misdirect(server, monkeypatch, lambda poll: poll.session == "S")
    monkeypatch.setattr(polling, "_LOOKING_PAUSE", 0.001)
    assert isinstance(next(requests), Apply)
    assert [poll.session for poll in server.polled][-2:] == ["", "T"]


def misdirect(server: Server, monkeypatch: pytest.MonkeyPatch, is_anothers: Callable[[Poll], bool]) -> None:
    """Have a replica that does not hold the session answer some polls."""
    whole = server.exchange

    def exchange(_channel: object, method: str, path: str, body: bytes, headers: dict[str, str]) -> channel.Answer:
        if is_anothers(polls.decode_poll(body)):
            return channel.Answer(421, {}, b"{}")
        return whole(method, path, body, headers)

    monkeypatch.setattr(channel.Channel, "exchange", exchange)
