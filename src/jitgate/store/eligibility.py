"""Whether who has asked could still ask, as of now."""

from jitgate.core import eligibility
from jitgate.core.access import Grant
from jitgate.store import machines, policies, principals
from jitgate.store.database import Tx


def why_not(tx: Tx, grant: Grant) -> str:
    """Why a grant's principal could not ask for it any more; "" if they could."""
    machine = machines.present(tx, [grant.machine]).get(grant.machine)
    covering = policies.covering(tx, [machine.key]) if machine else []
    return eligibility.why_not(grant, principals.load(tx, grant.principal), machine, [policy for _, policy in covering])
