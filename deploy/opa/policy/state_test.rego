package tiltmeter.state_test

import data.tiltmeter.access
import data.tiltmeter.state

call := {"agent": {"id": "mail helper/7"}, "tool_call": {"tool": "send_email"}}

# 2026-01-22T19:00:00Z
evening := 1769108400000000000

asked := {"url": "http://127.0.0.1:9464/"}

body(level, fresh_until) := {"level": level, "monitoring": "ok", "seq": 3, "open_alerts": [], "fresh_until": fresh_until}

# Answers as the HTTP interface does, and only to the request that it expects.
answers(request) := {"status_code": 200, "body": body("medium", "2026-01-22T19:00:09Z")} if expected(request)

stale(request) := {"status_code": 200, "body": body("high", "2026-01-22T18:44:59Z")} if expected(request)

undated(request) := {"status_code": 200, "body": {"level": "none"}} if expected(request)

stranger(request) := {"status_code": 404, "body": {"level": "unknown", "fresh_until": "2026-01-22T19:00:09Z"}} if {
	expected(request)
}

wrong_path(_) := {"status_code": 404, "body": {"title": "not found"}}

restoring(request) := {"status_code": 503, "body": {"title": "not read to the end"}} if expected(request)

refused(_) := {"status_code": 0, "error": {"message": "connection refused"}}

expected(request) if {
	request.url == "http://127.0.0.1:9464/v1/agents/mail%20helper%2F7/risk"
	request.headers.authorization == "Bearer s3cret"
	request.raise_error == false
}

environment := {"env": {"TILTMETER_TOKEN": "s3cret"}}

test_an_answer_is_known_and_fresh if {
	found := state.now with input as call
		with data.tiltmeter.settings as asked
		with opa.runtime as environment
		with time.now_ns as evening
		with http.send as answers
	found == {"kind": "known", "level": "medium", "monitoring": "ok", "seq": 3, "open_alerts": [], "fresh": true}
}

test_an_answer_past_its_time_is_stale_and_high_denies if {
	decision := access.decision with input as call
		with data.tiltmeter.settings as object.union(asked, {"on_stale": "keep"})
		with opa.runtime as environment
		with time.now_ns as evening
		with http.send as stale
	decision.state.fresh == false
	decision.decision == "deny"
}

test_an_answer_without_a_time_is_stale if {
	found := state.now with input as call
		with data.tiltmeter.settings as asked
		with opa.runtime as environment
		with time.now_ns as evening
		with http.send as undated
	found.fresh == false
}

test_a_404_that_names_the_level_is_an_unknown_agent if {
	found := state.now with input as call
		with data.tiltmeter.settings as asked
		with opa.runtime as environment
		with time.now_ns as evening
		with http.send as stranger
	found == {"kind": "unknown", "fresh": true}
}

test_any_other_404_is_no_answer if {
	found := state.now with input as call
		with data.tiltmeter.settings as asked
		with opa.runtime as environment
		with time.now_ns as evening
		with http.send as wrong_path
	found == {"kind": "unavailable"}
}

test_an_instance_that_still_reads_is_no_answer if {
	found := state.now with input as call
		with data.tiltmeter.settings as asked
		with opa.runtime as environment
		with time.now_ns as evening
		with http.send as restoring
	found == {"kind": "unavailable"}
}

test_nobody_there_asks_for_a_person if {
	decision := access.decision with input as call
		with data.tiltmeter.settings as asked
		with opa.runtime as environment
		with time.now_ns as evening
		with http.send as refused
	decision.decision == "step_up"
	decision.reasons == ["unavailable"]
}

test_pushed_data_is_not_looked_at_where_an_instance_is_asked if {
	found := state.now with input as call
		with data.tiltmeter.settings as asked
		with data.tiltmeter_feed.risk as {"mail helper/7": {"level": "none"}}
		with data.tiltmeter_feed.heartbeat as "2026-01-22T18:59:59Z"
		with opa.runtime as environment
		with time.now_ns as evening
		with http.send as refused
	found.kind == "unavailable"
}

of_tenant(request) := {"status_code": 200, "body": body("low", "2026-01-22T19:00:09Z")} if {
	request.url == "http://127.0.0.1:9464/v1/agents/a/risk?tenant=acme%20%26%20sons"
	request.headers == {}
}

test_a_tenant_is_named_and_without_a_token_none_is_sent if {
	found := state.now with input as {"agent": {"id": "a", "tenant": "acme & sons"}, "tool_call": {"tool": "x"}}
		with data.tiltmeter.settings as asked
		with opa.runtime as {"env": {}}
		with time.now_ns as evening
		with http.send as of_tenant
	found.level == "low"
}

ahead(_) := {"status_code": 200, "body": body("none", "2026-01-22T19:06:00Z")}

test_an_answer_from_the_future_is_not_fresh if {
	found := state.now with input as call
		with data.tiltmeter.settings as asked
		with opa.runtime as environment
		with time.now_ns as evening
		with http.send as ahead
	found.fresh == false
}

minutes_old(_) := {"status_code": 200, "body": body("medium", "2026-01-22T18:46:00Z")}

test_an_answer_that_was_certain_fourteen_minutes_ago_is_fresh if {
	found := state.now with input as call
		with data.tiltmeter.settings as asked
		with opa.runtime as environment
		with time.now_ns as evening
		with http.send as minutes_old
	found.fresh == true
}
