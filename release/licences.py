"""The page of licences, and which are accepted."""

from release.parts import OWN, Part, parts

ACCEPTED = {
    *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "PSF-2.0"),
    "MPL-2.0",  # Of a file: what is changed in it stays open. Nothing is.
    "LGPL-3.0-only",  # Of a library that is loaded as it is, and can be replaced.
}
HEAD = """# Licences

Made from what the packages say of themselves: `make reference` renews this page, and a test fails when it is old, or
when a package tells no licence or one that is not accepted.

jitgate is under the [Apache License 2.0](../../LICENSE). The packages of jitgate hold its own files, and of others only
the portal's scripts, each beside its licence. All else is fetched by whoever installs it: with all extras this, without
them less.

| package | version | licence |
|---|---|---|
"""


def page() -> str:
    """The page, as Markdown."""
    rows = (f"| {part.name} | {part.version} | {part.licence} |\n" for part in parts() if part.name not in OWN)
    return HEAD + "".join(rows)


def refused(part: Part) -> str:
    """Why a part cannot be shipped or asked for; "" if it can. Of a choice, one has to do; of several, all."""
    if not part.licence:
        return f"{part.name} {part.version} tells no licence"
    choices = (set(choice.strip("() ").split(" AND ")) for choice in part.licence.split(" OR "))
    if any(choice <= ACCEPTED for choice in choices):
        return ""
    return f"{part.name} {part.version} is under {part.licence}, which is not among those accepted"
