# May this agent make this call? `data.tiltmeter.access.decision` is
# {"decision": "allow" | "step_up" | "deny", "reasons": [...], "message", "state"}.
# step_up: let a person confirm this one call, then let it pass.
# Each thing that is known asks for a decision of its own; the strictest is taken, so that nothing releases what
# another thing forbids: `high` denies, however old it is.
package tiltmeter.access

state := data.tiltmeter.state.now

# Laxest first.
decisions := ["allow", "step_up", "deny"]

strictness := {name: rank | some rank, name in decisions}

# A value here is what is asked for, a key is why.
asked["level_high"] := "deny" if state.level == "high"

asked["level_medium"] := "step_up" if {
	state.level == "medium"
	some pattern in settings.step_up_tools
	glob.match(pattern, null, input.tool_call.tool)
}

# A level that this policy does not know was made for a newer one: a person looks.
asked["level_unrecognised"] := "step_up" if {
	state.kind == "known"
	not state.level in {"none", "low", "medium", "high"}
}

asked["stale"] := settings.on_stale if {
	state.fresh == false
	settings.on_stale != "keep"
}

asked["agent_unknown"] := settings.on_unknown if state.kind == "unknown"

asked["monitoring_degraded"] := settings.on_degraded if state.monitoring == "degraded"

asked["monitoring_blind"] := settings.on_blind if state.monitoring == "blind"

asked["monitoring_unrecognised"] := settings.on_blind if {
	state.kind == "known"
	not state.monitoring in {"ok", "degraded", "blind"}
}

asked["unavailable"] := settings.on_unavailable if state.kind == "unavailable"

asked["input_incomplete"] := "deny" if not complete

asked[fault] := "deny" if some fault in faults

complete if {
	is_string(input.agent.id)
	input.agent.id != ""
	is_string(input.tool_call.tool)
	tenant_is_text
}

tenant_is_text if not input.agent.tenant

tenant_is_text if is_string(input.agent.tenant)

worst := max({0} | {strictness[wanted] | some wanted in asked})

reasons := sort([why | some why, wanted in asked; wanted != "allow"])

# METADATA
# entrypoint: true
decision := {
	"decision": decisions[worst],
	"reasons": reasons,
	"message": message,
	"state": state,
}

default message := "no objection"

message := concat("", [
	sprintf("agent %q, tool %q: %s", [input.agent.id, input.tool_call.tool, concat(", ", reasons)]),
	told_alerts,
]) if {
	complete
	worst > 0
}

message := concat(", ", reasons) if not complete

told_alerts := sprintf("; open alerts: %s", [concat(", ", state.open_alerts)]) if count(state.open_alerts) > 0

default told_alerts := ""
