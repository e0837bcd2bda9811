"""The file that is written at first start: every setting with its default, as a comment."""

FIRST_TEXT = """\
# The settings of this jitgate installation. Read at start; a line that begins with # shows a default.

[installation]
# Machines outside the clouds are known under this subscription and resource group. Do not change them later:
# policies name machines by them. Without it: the subscription that was made up at first start.
# subscription = "00000000-0000-0000-0000-000000000000"
# resource_group = "jitgate"

[server]
# Proxies in front of jitgate, by address or prefix: only their word about a caller's address is taken.
# trusted_proxies = []
# Names that clients may call the server by, besides localhost, this machine's name and the listening address.
# allowed_hosts = []
# The largest request, in bytes.
# max_body = 524288
# Where people reach this server, for the links in notifications.
# url = "https://jit.example.org"

[access]
# How many days ended requests stay listed.
# history_days = 30
# The longest access that a policy may allow, 5m to 30d.
# longest_access = "24h"
# How long before its end the owner of a grant is reminded. "0m": not at all.
# remind_before = "10m"

[record]
# How many days events stay on record. Without it: for ever. Their signed heads always stay.
# retention_days = 400
# Where the signed heads of the record are sent as well: a file on another machine's disk, a receiver of HTTP posts,
# a syslog server. Kept there, they show what was cut off or rewritten here.
# heads_file = "/mnt/worm/jitgate-heads.jsonl"
# heads_webhook = "https://example.org/jitgate-heads"
# heads_syslog = "tcp://192.0.2.10:601"

[store]
# Where the records are: the file jitgate.db beside this one, unless a URL is given.
# url = "postgresql+psycopg://…"

[sign_in]
# How long people stay signed in, in all and without doing anything; and how long a `jitgate login` is good.
# session_hours = 12
# idle_minutes = 60
# command_line_hours = 12

# Whose signed tokens are believed: OpenID Connect providers such as Entra ID, Keycloak, Okta or Google.
#
# [[issuer]]
# name = "keycloak"
# url = "https://keycloak.example/realms/ops"    # as its tokens say it, to the letter
# audience = "jitgate-api"          # programs: their tokens are for this audience
# client_id = "jitgate"             # people: sign in there, as this client
# client_secret_file = "/etc/jitgate/keycloak.secret"
# groups_claim = "groups"

# Who is told what happens: signed webhooks, or whatever Apprise knows (Slack, Teams, e-mail). Any number of them.
#
# [[notify]]
# name = "on-call"
# url = "https://example.org/hooks/jitgate"
# secret_file = "/etc/jitgate/on-call.secret"     # whsec_ and 24 to 64 bytes in base64
# events = ["approval.needed", "breakGlass"]      # without it: everything
#
# [[notify]]
# name = "team"
# apprise_file = "/etc/jitgate/team.apprise"      # Apprise's addresses, one a line; takes jitgate[notify]

# The machines whose firewall this jitgate holds: the machine that it runs on, unless others or gateways are listed.
# Being listed changes nothing on a machine; `jitgate enable NAME` protects it.
#
# [[host]]
# name = "web-1"
# namespace = "web-1"               # a network namespace of this machine (ip netns list); without it: all of it
# always_allow = ["192.0.2.10"]     # sources that are never shut out
# addresses = ["203.0.113.5"]       # where people connect to; without it: what the machine has
# tags = { team = "web" }

# Gateways: TCP ports of this machine that lead to machines which cannot run an agent, while somebody has a grant.
#
# [[gateway]]
# name = "edge"
# address = "203.0.113.5"           # where people connect to: an address, or a name
# listen = []                       # addresses of this machine to listen on; without it: all
# ports = "40000-40999"             # one for each protected port
# probe_from = ["10.0.0.9"]         # addresses of this machine that the machines behind must not admit
# most_connections = 4096
# most_per_source = 256
#
# [[gateway.machine]]
# name = "win-1"
# address = "10.0.0.5"              # where the gateway finds it
# os = "windows"
# tags = { team = "erp" }
"""
