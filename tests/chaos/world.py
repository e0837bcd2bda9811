"""The names and addresses of a scene: what a story may speak of."""

MACHINES = ("web-1", "db-1", "win-1", "vm-1")
HOSTS = ("web-1", "db-1")
PORTS = (22, 2222)
"""Each of every machine. The second one opens only when somebody else agrees."""
APPROVED = 2222
NUMBERS = {"carol": 3, "dave": 4}
CLIENTS = tuple(NUMBERS)
ADDRESSES = {"web-1": "10.71.1.2", "db-1": "10.71.2.2", "edge": "10.71.5.2", "win-1": "10.71.6.2", "vm-1": "10.71.7.2"}
AROUND = "10.71.5.9"
"""An address of the gateway's machine that the machine behind it admits no more than anybody else."""
ADDRESSES6 = {"web-1": "fd71:1::2", "db-1": "fd71:2::2"}


def sources(machine: str) -> tuple[str, ...]:
    """Whose addresses a port of a machine can be asked for: those from which it is knocked at."""
    fours = tuple(f"10.71.{number}.2" for number in NUMBERS.values())
    return (*fours, *(f"fd71:{number}::2" for number in NUMBERS.values())) if machine in HOSTS else fours


def client(source: str) -> str:
    """Who has an address."""
    number = int(source.split(":" if ":" in source else ".")[1 if ":" in source else 2])
    return next(name for name, each in NUMBERS.items() if each == number)
