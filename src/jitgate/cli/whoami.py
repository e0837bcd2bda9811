"""`jitgate whoami`."""

from jitgate.cli.session import TABLE, DataDirOption, OutputOption, session


def whoami(output: OutputOption = TABLE, data_dir: DataDirOption = None) -> None:
    """Show who you are to the server, from where, and what you may do."""
    with session(output, data_dir) as s:
        found = s.server.get("/whoami")
        if s.screen.data(found):
            return
        s.screen.say(f"{found['name']} at {s.server.place.url} (jitgate {found['version']})")
        s.screen.say(f"you come from {found['address'] or 'an address that the server cannot tell'}")
        s.screen.table(("ROLE", "SCOPE"), [(each["role"], each["scope"]) for each in found["roles"]], empty="No role.")
