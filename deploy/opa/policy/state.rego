# What is known of the agent now: `data.tiltmeter.state.now`. One of
# {"kind": "known", "level", "monitoring", "seq", "open_alerts", "fresh"}, {"kind": "unknown", "fresh"} and
# {"kind": "unavailable"}. Asks the HTTP interface where a `url` is set, and reads pushed data otherwise.
# Must not know what follows from it.
package tiltmeter.state

import data.tiltmeter.access.settings

# An id as Tiltmeter keys it: AGENT alone (behind a slash where it holds one), or TENANT/AGENT with % and / of the tenant escaped.
key := sprintf("%s/%s", [escaped, input.agent.id]) if {
	input.agent.tenant
	escaped := replace(replace(input.agent.tenant, "%", "%25"), "/", "%2F")
}

key := input.agent.id if {
	not input.agent.tenant
	not contains(input.agent.id, "/")
}

key := concat("/", ["", input.agent.id]) if {
	not input.agent.tenant
	contains(input.agent.id, "/")
}

default now := {"kind": "unavailable"}

# Pushed: data.tiltmeter_feed.risk holds the latest risk update of each agent, data.tiltmeter_feed.heartbeat when we were last seen
# to be watching. Without a heartbeat nobody ever fed us, and that there is no record of an agent says nothing.
now := object.union(told(record), {"kind": "known", "fresh": fresh(until)}) if {
	settings.url == ""
	until := pushed_until
	record := data.tiltmeter_feed.risk[key]
}

now := {"kind": "unknown", "fresh": fresh(until)} if {
	settings.url == ""
	until := pushed_until
	not data.tiltmeter_feed.risk[key]
}

# A record without any heartbeat: its level still counts, and it is stale.
now := object.union(told(record), {"kind": "known", "fresh": false}) if {
	settings.url == ""
	not pushed_until
	record := data.tiltmeter_feed.risk[key]
}

pushed_until := time.parse_rfc3339_ns(data.tiltmeter_feed.heartbeat) + stale_after_ns

# Asked: the instance says when it was last certain that it had read everything.
now := object.union(told(answer.body), {"kind": "known", "fresh": answered_fresh(answer.body)}) if {
	settings.url != ""
	answer.status_code == 200
	answer.body.level
}

now := {"kind": "unknown", "fresh": answered_fresh(answer.body)} if {
	settings.url != ""
	answer.status_code == 404
	answer.body.level == "unknown"
}

answer := http.send({
	"method": "GET",
	"url": sprintf("%s/v1/agents/%s/risk%s", [trim_suffix(settings.url, "/"), encoded(input.agent.id), query]),
	"headers": headers,
	"timeout": "500ms",
	"raise_error": false,
	"force_json_decode": true,
	# Not as long as the answer may be kept: a level that rises is to be seen at once.
	"force_cache": true,
	"force_cache_duration_seconds": 1,
})

query := sprintf("?tenant=%s", [encoded(input.agent.tenant)]) if input.agent.tenant

query := "" if not input.agent.tenant

headers := {"authorization": sprintf("Bearer %s", [token])} if token

headers := {} if not token

token := opa.runtime().env[settings.token_variable]

# In a path a plus is a plus, and a space is not.
encoded(text) := replace(urlquery.encode(text), "+", "%20")

told(record) := {
	"level": record.level,
	"monitoring": object.get(record, "monitoring", "ok"),
	"seq": object.get(record, "seq", 0),
	"open_alerts": object.get(record, "open_alerts", []),
}

answered_fresh(body) := fresh(time.parse_rfc3339_ns(body.fresh_until) + stale_after_ns)

answered_fresh(body) := false if not body.fresh_until

stale_after_ns := settings.stale_after_secs * 1000000000

# Until then, and not far ahead of the time: a heartbeat from the future would be fresh for ever.
fresh(until) if {
	until > time.now_ns()
	until < (time.now_ns() + stale_after_ns) + 300000000000
}

fresh(until) := false if until <= time.now_ns()

fresh(until) := false if until >= (time.now_ns() + stale_after_ns) + 300000000000
