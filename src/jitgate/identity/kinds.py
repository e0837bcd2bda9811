"""The kinds of credentials. All are rows of one table; a secret is kept as a hash only.

========  ==========================================================  =====================  =====================
kind      what it is                                                  sent as                ends
========  ==========================================================  =====================  =====================
token     a personal token                                            bearer                 when its holder said
owner     the token that the first start has made                     bearer                 with its principal
secret    a service principal's client secret                         form field             when its maker said
session   a person in a browser                                       cookie                 by time, and when idle
link      a sign-in link, good for one session                        form field, once       after minutes; an
                                                                                             administrator's, days
code      an authorization code for the command line                  form field, once       after a minute
device    a device code, nobody's until a person agrees to it         form field, once       after minutes
join      a join token: lets hosts become members             bearer, to join only   when its maker said
account   whom a trusted issuer means by a subject; has no secret     (the issuer's tokens)  when revoked
========  ==========================================================  =====================  =====================
"""

TOKEN = "token"  # noqa: S105 - names of kinds, here and below
OWNER = "owner"
SECRET = "secret"  # noqa: S105
SESSION = "session"
LINK = "link"
CODE = "code"
DEVICE = "device"
JOIN = "join"
ACCOUNT = "account"

BEARER = frozenset({TOKEN, OWNER})
"""What counts in an Authorization header by itself."""

PASSING = frozenset({SESSION, LINK, CODE, DEVICE})
"""Kinds that are made by the hour, and forgotten some time after they ended."""
