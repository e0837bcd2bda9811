"""What can go wrong: for each kind a function that makes it so, and returns what makes it good again."""

import random
import signal
from collections.abc import Callable, Mapping

from tests.chaos.parts import Remote, Replica
from tests.chaos.scene import Scene
from tests.chaos.story import Break
from tests.crash.story import AT_THE_START
from tests.netns import HOST4

from jitgate.connectors.hosts import boot
from jitgate.testing.azure.calls import Call, Fault

Heal = Callable[[], object]
_CLOUD: Mapping[str, tuple[Fault, ...]] = {
    "fails": (Fault.REFUSE, Fault.DROP),
    "throttles": (Fault.THROTTLE, Fault.BUSY),
    "loses answers": (Fault.LOSE,),
    "anything": tuple(fault for fault in Fault if fault is not Fault.STICK),
}


def begin(scene: Scene, told: Break) -> Heal:
    """Have it go wrong."""
    return _KINDS[told.kind](scene, told)


def kill(scene: Scene, told: Break) -> Heal:
    """``kill -9``. Who has a supervisor is started again by it, everybody else when this is over."""
    if told.target == "all of first":
        scene.replicas[0].kill_all()
        return scene.replicas[0].recover
    target = _process(scene, told.target)
    if isinstance(target, Remote):
        target.kill()
        return target.start
    target.signal(signal.SIGKILL, _NAMES[told.target])
    return _nothing


def pause(scene: Scene, told: Break) -> Heal:
    """The process stands still; with four seconds, past its leases."""
    target = _process(scene, told.target)
    if isinstance(target, Remote):
        target.signal(signal.SIGSTOP)
        return lambda: target.signal(signal.SIGCONT)
    target.signal(signal.SIGSTOP, _NAMES[told.target])
    return lambda: target.signal(signal.SIGCONT, _NAMES[told.target])


def failpoint(scene: Scene, told: Break) -> Heal:
    """Whoever reaches a failpoint so many times dies there. For one that only a start reaches, the agent is killed."""
    target = _process(scene, told.target)
    name, _, hits = told.how.partition(":")
    target.strings.arm(name, int(hits))
    if name in AT_THE_START:
        _start_agent_again(target, name)

    def over() -> bool:
        died = target.strings.disarm()
        if isinstance(target, Remote) and not target.runs:
            target.start()
        return died

    return over


def cut(scene: Scene, told: Break) -> Heal:
    """Nothing that a machine sends reaches the servers; what is under way is neither ended nor told."""
    place = _process(scene, told.target).namespace  # type: ignore[union-attr]
    place.ip(f"route add blackhole {HOST4}/32")
    return lambda: place.ip(f"route del blackhole {HOST4}/32")


def clock(scene: Scene, told: Break) -> Heal:
    """A machine's wall clock is stepped, and back again."""
    strings = _process(scene, told.target).strings
    strings.set_clock(float(told.how))
    return lambda: strings.set_clock(0.0)


def flush(scene: Scene, told: Break) -> Heal:
    """Another program on the machine removes all rules. It can, only where nobody holds them, and then all is open
    until an agent does: so nobody tries while one is dead, or still starting."""
    if scene.is_held(told.target):
        scene.places[told.target].nft("flush ruleset")
    return _nothing


def cloud(scene: Scene, told: Break) -> Heal:
    """Most calls of the cloud's interface go wrong."""
    chance, faults = random.Random(told.seconds), _CLOUD[told.how]

    def choose(_: Call) -> Fault | None:
        return chance.choice(faults) if chance.random() < 0.7 else None

    scene.arm.calls.fail_when(choose)
    return scene.arm.calls.heal


def disk(scene: Scene, _: Break) -> Heal:
    """Nothing more fits on the disk that the database is on."""
    scene.disk.fill()

    def clear() -> None:
        scene.disk.clear()
        if scene.cluster is not None:
            scene.cluster.ensure()

    return clear


def restart(scene: Scene, _: Break) -> Heal:
    """PostgreSQL ends as by a power cut."""
    assert scene.cluster is not None
    scene.cluster.stop()
    return scene.cluster.ensure


def _start_agent_again(target: Replica | Remote, reaching: str) -> None:
    if reaching == "hosts.boot.written":  # It is, where it does not yet say what it should.
        for file in target.directory.rglob(boot.FILE):
            file.unlink()
    if isinstance(target, Replica):
        target.signal(signal.SIGKILL, "agent")  # Its supervisor starts it.
        return
    target.kill()
    target.start()


def _process(scene: Scene, target: str) -> Replica | Remote:
    remote = {"agent": scene.agent, "gateway": scene.gateway}.get(target)
    return remote or scene.replicas[target == "second"]


def _nothing() -> None:
    """It mends itself."""


_NAMES = {"first": "server", "second": "server", "beside": "agent"}
_KINDS: Mapping[str, Callable[[Scene, Break], Heal]] = {
    each.__name__: each for each in (kill, pause, failpoint, cut, clock, flush, cloud, disk, restart)
}
