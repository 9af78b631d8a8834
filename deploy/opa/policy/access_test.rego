package tiltmeter.access_test

import data.tiltmeter.access

# 2026-01-22T19:00:00Z
evening := 1769108400000000000

minute := 60000000000

call := {"agent": {"id": "mail-helper-7"}, "tool_call": {"tool": "send_email"}}

record(level, monitoring) := {"level": level, "monitoring": monitoring, "seq": 3, "open_alerts": ["2dcf8d"]}

heartbeat := "2026-01-22T18:59:30Z"

# Decision on a call `minutes` after the heartbeat, with what was told of the agent and these settings.
decided(risk, minutes, settings) := decision if {
	time_ns := (evening - 30000000000) + (minutes * minute)
	decision := access.decision with input as call
		with data.tiltmeter_feed.risk as risk
		with data.tiltmeter_feed.heartbeat as heartbeat
		with data.tiltmeter.settings as settings
		with time.now_ns as time_ns
}

at(level) := {"mail-helper-7": record(level, "ok")}

seen(monitoring) := {"mail-helper-7": record("none", monitoring)}

test_none_and_low_pass if {
	every level in ["none", "low"] {
		decision := decided(at(level), 1, {})
		decision.decision == "allow"
		decision.reasons == []
	}
}

test_medium_asks_for_a_confirmation if {
	decision := decided(at("medium"), 1, {})
	decision.decision == "step_up"
	decision.reasons == ["level_medium"]
	contains(decision.message, "2dcf8d")
}

test_medium_lets_tools_pass_that_no_pattern_names if {
	decided(at("medium"), 1, {"step_up_tools": ["pay_*", "delete_*"]}).decision == "allow"
	decided(at("medium"), 1, {"step_up_tools": ["pay_*", "send_*"]}).decision == "step_up"
}

test_high_denies_whatever_the_tool if {
	decision := decided(at("high"), 1, {"step_up_tools": []})
	decision.decision == "deny"
	decision.reasons == ["level_high"]
}

test_a_level_holds_until_the_heartbeat_is_fifteen_minutes_old if {
	decided(at("none"), 14.99, {}).decision == "allow"
	decided(at("none"), 15, {}).decision == "step_up"
	decided(at("none"), 15, {}).reasons == ["stale"]
	decided(at("medium"), 14.99, {}).reasons == ["level_medium"]
	decided(at("medium"), 15, {}).reasons == ["level_medium", "stale"]
}

test_stale_keeps_asks_or_denies_as_chosen if {
	decided(at("none"), 600, {"on_stale": "keep"}).decision == "allow"
	decided(at("none"), 600, {"on_stale": "keep"}).reasons == []
	decided(at("medium"), 600, {"on_stale": "keep"}).decision == "step_up"
	decided(at("none"), 600, {"on_stale": "step_up"}).decision == "step_up"
	decided(at("none"), 600, {"on_stale": "deny"}).decision == "deny"
	decided(at("none"), 20, {"on_stale": "deny", "stale_after_secs": 3600}).decision == "allow"
}

test_high_is_never_released_by_staleness if {
	every choice in ["keep", "step_up", "deny"] {
		every minutes in [1, 15, 100000] {
			decided(at("high"), minutes, {"on_stale": choice}).decision == "deny"
		}
	}
}

test_a_heartbeat_from_the_future_is_not_fresh if {
	decided(at("none"), -4, {}).decision == "allow"
	decided(at("none"), -6, {}).decision == "step_up"
}

test_without_a_heartbeat_nobody_fed_us if {
	decision := access.decision with input as call with data.tiltmeter_feed.risk as {} with data.tiltmeter.settings as {}
	decision.reasons == ["unavailable"]
	decision.decision == "step_up"
	denied := access.decision with input as call
		with data.tiltmeter_feed.risk as {}
		with data.tiltmeter.settings as {"on_unavailable": "deny"}
	denied.decision == "deny"
}

test_a_record_without_a_heartbeat_is_stale_and_counts if {
	decision := access.decision with input as call
		with data.tiltmeter_feed.risk as at("high")
		with data.tiltmeter.settings as {"on_stale": "keep"}
	decision.decision == "deny"
	stale := access.decision with input as call
		with data.tiltmeter_feed.risk as at("none")
		with data.tiltmeter.settings as {}
	stale.reasons == ["stale"]
}

test_an_unknown_agent_is_a_quiet_one_unless_chosen_otherwise if {
	decided({}, 1, {}).decision == "allow"
	decided({}, 1, {"on_unknown": "step_up"}).decision == "step_up"
	decided({}, 1, {"on_unknown": "deny"}).decision == "deny"
	decided({}, 1, {"on_unknown": "deny"}).reasons == ["agent_unknown"]
	decided({"other": record("high", "ok")}, 1, {}).decision == "allow"
	decided({}, 20, {}).reasons == ["stale"]
}

test_monitoring_states if {
	decided(seen("degraded"), 1, {}).decision == "allow"
	decided(seen("degraded"), 1, {"on_degraded": "deny"}).reasons == ["monitoring_degraded"]
	decided(seen("blind"), 1, {}).decision == "step_up"
	decided(seen("blind"), 1, {}).reasons == ["monitoring_blind"]
	decided(seen("blind"), 1, {"on_blind": "allow"}).decision == "allow"
	decided(seen("asleep"), 1, {}).reasons == ["monitoring_unrecognised"]
	decided({"mail-helper-7": record("high", "blind")}, 1, {"on_blind": "allow"}).decision == "deny"
}

test_each_monitoring_state_can_lead_to_each_decision if {
	every choice in ["allow", "step_up", "deny"] {
		decided(seen("blind"), 1, {"on_blind": choice}).decision == choice
		decided(seen("degraded"), 1, {"on_degraded": choice}).decision == choice
		decided({}, 1, {"on_unknown": choice}).decision == choice
	}
	every choice in ["step_up", "deny"] {
		decided(at("low"), 1, {"on_unavailable": choice}).decision == "allow"
	}
}

test_a_level_of_a_newer_version_asks_for_a_person if {
	decided(at("severe"), 1, {}).reasons == ["level_unrecognised"]
	decided(at("severe"), 1, {}).decision == "step_up"
}

test_no_two_agents_share_a_key if {
	every told in [
		{"agent": {"id": "b/c", "tenant": "a"}, "key": "a/b/c"},
		{"agent": {"id": "c", "tenant": "a/b"}, "key": "a%2Fb/c"},
		{"agent": {"id": "a/b/c"}, "key": "/a/b/c"},
	] {
		decision := access.decision with input as {"agent": told.agent, "tool_call": {"tool": "x"}}
			with data.tiltmeter_feed.risk as {told.key: record("high", "ok")}
			with data.tiltmeter_feed.heartbeat as heartbeat
			with data.tiltmeter.settings as {}
			with time.now_ns as evening
		decision.decision == "deny"
	}
}

test_a_tenant_s_agent_is_another_agent if {
	decision := access.decision with input as {"agent": {"id": "mail-helper-7", "tenant": "acme"}, "tool_call": {"tool": "x"}}
		with data.tiltmeter_feed.risk as {"acme/mail-helper-7": record("high", "ok"), "mail-helper-7": record("none", "ok")}
		with data.tiltmeter_feed.heartbeat as heartbeat
		with data.tiltmeter.settings as {}
		with time.now_ns as evening
	decision.decision == "deny"
}

test_an_incomplete_input_is_denied if {
	every given in [{}, {"agent": {"id": ""}, "tool_call": {"tool": "x"}}, {"agent": {"id": "a"}}, {"agent": {"id": 7}, "tool_call": {"tool": "x"}}, {"agent": {"id": "a", "tenant": 7}, "tool_call": {"tool": "x"}}] {
		decision := access.decision with input as given
			with data.tiltmeter_feed.heartbeat as heartbeat
			with data.tiltmeter_feed.risk as {}
			with data.tiltmeter.settings as {}
			with time.now_ns as evening
		decision.decision == "deny"
		"input_incomplete" in decision.reasons
	}
}

test_a_misspelt_setting_denies_and_is_named if {
	every chosen in [
		{"on_stale": "kep"},
		{"on_unavailable": "keep"},
		{"onstale": "keep"},
		{"stale_after_secs": "900"},
		{"stale_after_secs": 0},
		{"step_up_tools": "*"},
		{"url": 7},
	] {
		decision := decided(at("none"), 1, chosen)
		decision.decision == "deny"
		some key, _ in chosen
		contains(decision.message, key)
	}
}

test_without_settings_the_defaults_hold if {
	decision := access.decision with input as call
		with data.tiltmeter_feed.risk as at("medium")
		with data.tiltmeter_feed.heartbeat as heartbeat
		with data.tiltmeter.settings as null
		with time.now_ns as evening
	decision.reasons == ["level_medium"]
}

test_the_settings_that_ship_are_the_defaults if {
	data.tiltmeter.settings == access.defaults
}
