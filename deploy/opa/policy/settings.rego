# What an installation may choose (settings.json), with the default of each, and what is wrong with it.
# A misspelt setting is never ignored: whatever stands in `faults` denies every call, with its name in the reasons.
package tiltmeter.access

import data.tiltmeter.settings as chosen

defaults := {
	# Where an instance of Tiltmeter answers, http://HOST:PORT; empty: risk and heartbeat are pushed into `data`.
	"url": "",
	# Environment variable of OPA that holds the bearer token.
	"token_variable": "TILTMETER_TOKEN",
	# A level counts as fresh for so long after the latest heartbeat. Seconds.
	"stale_after_secs": 900,
	# Beyond that: keep the last level, ask for a confirmation, or deny. High denies in any case.
	"on_stale": "step_up",
	# Nothing was ever told of the agent, which is normal for a quiet one: allow, step_up or deny.
	"on_unknown": "allow",
	# Part of what was known of the agent was forgotten: allow, step_up or deny.
	"on_degraded": "allow",
	# What the agent does cannot be seen: allow, step_up or deny.
	"on_blind": "step_up",
	# Nobody answers, so that not even a last level is known: step_up or deny.
	"on_unavailable": "step_up",
	# Tools that ask for a confirmation at level medium; `*` stands for any text.
	"step_up_tools": ["*"],
}

settings := object.union(defaults, chosen) if is_object(chosen)

settings := defaults if not is_object(chosen)

choices := {
	"on_stale": {"keep", "step_up", "deny"},
	"on_unknown": {"allow", "step_up", "deny"},
	"on_degraded": {"allow", "step_up", "deny"},
	"on_blind": {"allow", "step_up", "deny"},
	"on_unavailable": {"step_up", "deny"},
}

faults contains sprintf("settings: unknown key %q", [key]) if {
	some key, _ in settings
	not key in object.keys(defaults)
}

faults contains sprintf("settings: %s = %v: give one of %v", [key, settings[key], allowed]) if {
	some key, allowed in choices
	not settings[key] in allowed
}

faults contains sprintf("settings: stale_after_secs = %v: give seconds, more than 0", [value]) if {
	value := settings.stale_after_secs
	not positive(value)
}

faults contains sprintf("settings: step_up_tools = %v: give a list of patterns", [value]) if {
	value := settings.step_up_tools
	not texts(value)
}

faults contains sprintf("settings: %s = %v: give text", [key, settings[key]]) if {
	some key in ["url", "token_variable"]
	not is_string(settings[key])
}

positive(value) if {
	is_number(value)
	value > 0
}

texts(value) if {
	is_array(value)
	every text in value {
		is_string(text)
	}
}
