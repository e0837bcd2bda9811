"""A server that thousands of agents poll holds as many connections."""

import subprocess
import sys

_SCRIPT = """
import resource
from jitgate.ops.serve import raise_descriptor_limit
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (64, most))
raise_descriptor_limit()
assert resource.getrlimit(resource.RLIMIT_NOFILE) == (most, most)
"""


def test_a_server_may_open_as_many_files_as_the_machine_allows() -> None:
    subprocess.run([sys.executable, "-c", _SCRIPT], check=True, timeout=60)
