"""The connector against a double of Graph and its login, made from their pages."""

import base64
import hashlib
import hmac
import http.server
import json
import logging
import os
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request

import entra

AGENT, OTHER = "29f270bb-4d23-4f68-8a57-dc73dc0d4caf", "11111111-2222-3333-4444-555555555555"
RISKY = "/beta/identityProtection/riskyAgents/"


class Double(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.answer()

    do_PATCH = do_POST

    def do_GET(self):
        double, agent = self.server, self.path.rsplit("/", 1)[1]
        double.looked.append(agent)
        if double.page:
            return self.reply(200, None, b"<html>Please log in</html>")
        risk = double.risk.get(agent)
        if risk is None:
            return self.reply(404, {"error": {"code": "Request_ResourceNotFound"}})
        moment = time.strftime("%Y-%m-%dT%H:%M:%S.1234567Z", time.gmtime(risk[1]))
        self.reply(200, {"id": agent, "riskState": risk[0], "riskLastModifiedDateTime": moment})

    def answer(self):
        double = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if double.page in ("everywhere", "sends on"):
            return self.reply(302 if double.page == "sends on" else 200, None, b"<html>Please log in</html>")
        if self.path == "/tenant/oauth2/v2.0/token":
            form = dict(part.split("=") for part in body.decode().split("&"))
            assert form["grant_type"] == "client_credentials" and form["client_secret"] == "s3cret", form
            double.tokens += 1
            return self.reply(200, {"token_type": "Bearer", "expires_in": 3599, "access_token": f"token-{double.tokens}"})
        double.calls.append((self.command, self.path, json.loads(body)))
        if self.headers["Authorization"] != f"Bearer token-{double.tokens}" or double.answers[:1] == [401]:
            double.answers = double.answers[1:]
            return self.reply(401, {"error": {"code": "InvalidAuthenticationToken"}})
        status = double.answers.pop(0) if double.answers else 204
        if status == 204 and self.path.startswith(RISKY):
            state = {"confirmCompromised": "confirmedCompromised"}.get(self.path.rsplit("/", 1)[1], "dismissed")
            for agent in json.loads(body)["agentIds"]:
                double.risk[agent] = (state, time.time())
        if double.loses:  # taken, and nobody is told
            double.loses = False
            return self.reply(500, {"error": {}})
        return self.reply(status, None if status == 204 else {"error": {}})

    def reply(self, status, value, body=b""):
        body = body if value is None else json.dumps(value).encode()
        self.send_response(status)
        if status == 302:
            self.send_header("Location", f"http://127.0.0.1:{self.server.server_address[1]}/login/page")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def started(server):
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}"


class Connected(unittest.TestCase):
    def setUp(self):
        logging.disable(logging.CRITICAL)
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.double = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Double)
        self.double.calls, self.double.answers, self.double.tokens = [], [], 0
        self.double.looked, self.double.risk, self.double.page, self.double.loses = [], {}, None, False
        self.addCleanup(self.double.server_close)
        self.addCleanup(self.double.shutdown)
        url = started(self.double)
        self.config = {"tenant": "tenant", "client_id": "client", "graph": url, "login": url, "listen": "127.0.0.1:0"}
        for name, text in (("client_secret", "s3cret\n"), ("webhook_secret", "of the webhook\n")):
            self.config[f"{name}_file"] = self.path(name)
            with open(self.path(name), "w", encoding="utf-8") as file:
                file.write(text)
        self.config["state_file"] = self.path("state")
        self.more = {}
        self.seq = 0

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def start(self, act=True):
        with open(self.path("config"), "w", encoding="utf-8") as file:
            json.dump(self.config | self.more, file)
        server = entra.serve(entra.read_config(self.path("config")), act)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.url, self.connector = started(server), server.connector

    def tell(self, level, agent=AGENT, cause="finding", seq=None, secret="of the webhook", ago=0, raw=None):
        if seq is None:
            self.seq += 1
            seq = self.seq
        update = {"schema": "tiltmeter.agent-risk.v1", "agent_id": agent, "level": level, "seq": seq, "cause": cause}
        body = raw or json.dumps(update).encode()
        at = str(int(time.time()) - ago)
        sign = hmac.new(secret.encode(), f"id.{at}.".encode() + body, hashlib.sha256).digest()
        headers = {"webhook-id": "id", "webhook-timestamp": at, "webhook-signature": "v1," + base64.b64encode(sign).decode()}
        try:
            with urllib.request.urlopen(urllib.request.Request(self.url, body, headers), timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def called(self):
        return [(method, path, value.get("agentIds")) for method, path, value in self.double.calls]

    def test_high_is_confirmed_once_and_taken_back_when_it_falls(self):
        self.start()
        for level in ("low", "medium", "high", "high", "medium", "low", "none"):
            self.assertEqual(self.tell(level), 204)
        self.assertEqual(self.called(), [("POST", RISKY + "confirmCompromised", [AGENT]), ("POST", RISKY + "dismiss", [AGENT])])
        self.assertEqual(self.double.tokens, 1, "a token serves many calls")

    def test_a_verdict_is_confirmed_safe_only_where_that_is_configured(self):
        self.more = {"on_verdict": "confirmSafe"}
        self.start()
        self.tell("high"), self.tell("none", cause="verdict"), self.tell("high"), self.tell("medium", cause="decay")
        self.assertEqual([path for _, path, _ in self.called()],
                         [RISKY + name for name in ("confirmCompromised", "confirmSafe", "confirmCompromised", "dismiss")])

    def test_without_act_nothing_is_called(self):
        self.more = {"attribute_set": "Risk", "attribute": "level"}
        self.start(act=False)
        for level in ("medium", "high", "none"):
            self.assertEqual(self.tell(level), 204)
        self.assertEqual((self.double.calls, self.double.looked, self.double.tokens), ([], [], 0))
        self.assertFalse(os.path.exists(self.path("state")))

    def test_what_somebody_else_confirmed_is_not_taken_back_and_what_we_did_is_even_after_a_restart(self):
        self.start()
        self.assertEqual(self.tell("none", cause="verdict"), 204)
        self.assertEqual(self.called(), [])
        self.tell("high")
        self.start()
        self.assertEqual(self.tell("low", cause="decay"), 204)
        self.assertEqual(self.called()[-1], ("POST", RISKY + "dismiss", [AGENT]))

    def test_whom_a_person_confirmed_is_left_to_that_person_before_and_after_us(self):
        self.start()
        self.double.risk[AGENT] = ("confirmedCompromised", time.time() - 60)
        for level in ("high", "none"):
            self.assertEqual(self.tell(level), 204)
        self.assertEqual(self.called(), [], "confirmed by hand before us")
        self.tell("high", agent=OTHER)
        self.double.risk[OTHER] = ("confirmedCompromised", time.time() + entra.SETTLES_SECONDS + 60)
        self.assertEqual(self.tell("none", agent=OTHER), 204)
        self.assertEqual(self.called(), [("POST", RISKY + "confirmCompromised", [OTHER])], "confirmed by hand after us")
        self.assertEqual(self.double.risk[OTHER][0], "confirmedCompromised")

    def test_what_a_person_took_away_in_entra_is_not_dismissed_again(self):
        self.start()
        self.tell("high")
        self.double.risk[AGENT] = ("confirmedSafe", time.time())
        self.assertEqual(self.tell("none"), 204)
        self.assertEqual(self.called(), [("POST", RISKY + "confirmCompromised", [AGENT])])

    def test_what_was_taken_without_an_answer_is_ours_even_after_a_restart(self):
        self.start()
        self.double.loses = True
        self.assertEqual(self.tell("high", seq=1), 503)
        self.start()
        self.assertEqual(self.tell("high", seq=1), 204)
        self.assertEqual(self.tell("none", seq=2), 204)
        self.assertEqual([path for _, path, _ in self.called()], [RISKY + "confirmCompromised", RISKY + "dismiss"])

    def test_a_page_where_somebody_should_log_in_is_no_answer_and_loses_no_message(self):
        self.start()
        for page in ("everywhere", "sends on"):
            self.double.page = page
            self.assertEqual(self.tell("high", seq=1), 503, "the login")
        self.double.page = None
        self.assertEqual(self.tell("medium", seq=1), 204)
        self.double.page = "of risk"
        self.assertEqual(self.tell("high", seq=2), 503)
        self.double.page = None
        for status in (200, 302, 400, 422):
            self.double.answers = [status]
            self.assertEqual(self.tell("high", seq=2), 503, status)
        self.assertEqual(self.tell("high", seq=2), 204)
        self.assertEqual(self.double.risk[AGENT][0], "confirmedCompromised")

    def test_medium_is_an_attribute(self):
        self.more = {"attribute_set": "Risk", "attribute": "level"}
        self.start()
        for level in ("none", "medium", "medium", "none"):
            self.tell(level)
        values = [value["customSecurityAttributes"]["Risk"]["level"] for _, _, value in self.double.calls]
        self.assertEqual(values, ["medium", "none"])
        method, path, value = self.double.calls[0]
        self.assertEqual((method, path), ("PATCH", f"/v1.0/servicePrincipals/{AGENT}"))
        kind = value["customSecurityAttributes"]["Risk"]["@odata.type"]
        self.assertEqual(kind, "#Microsoft.DirectoryServices.CustomSecurityAttributeValue")

    def test_trouble_is_sent_again_and_a_revoked_token_is_renewed(self):
        self.start()
        for answers, status in (([429], 503), ([503], 503), ([403], 503), ([401], 204)):
            self.double.answers = answers
            self.assertEqual(self.tell("high", seq=1), status, answers)
        self.assertEqual(self.double.tokens, 2)
        self.double.answers = [404]
        self.assertEqual(self.tell("high", agent=OTHER), 204, "one that Entra does not know")
        self.assertEqual(self.tell("none", agent=OTHER), 204)
        self.assertEqual(self.called()[-1], ("POST", RISKY + "confirmCompromised", [OTHER]))

    def test_a_graph_that_is_gone_is_trouble(self):
        self.more = {"graph": "http://127.0.0.1:1", "login": "http://127.0.0.1:1"}
        self.start()
        self.assertEqual(self.tell("high"), 503)

    def storm(self):
        """Two agents that are confirmed, and two above the bound."""
        self.more = {"most_an_hour": 2}
        self.start()
        agents = [AGENT[:-1] + digit for digit in "0123"]
        self.assertEqual([self.tell("high", agent=agent) for agent in agents], [204] * 4)
        self.assertEqual(self.called(), [("POST", RISKY + "confirmCompromised", [agent]) for agent in agents[:2]])
        self.double.calls.clear()
        return agents

    def after(self, seconds):
        self.connector.clock = lambda: time.time() + seconds

    def test_a_storm_stops_at_the_bound_and_goes_on_after_an_hour(self):
        agents = self.storm()
        self.connector.retry()
        self.after(entra.HOUR_SECONDS - 60)
        self.connector.retry()
        self.assertEqual(self.tell("high", agent=agents[2]), 204, "told again")
        self.assertEqual(self.called(), [])
        self.after(entra.HOUR_SECONDS + 60)
        self.connector.retry()
        self.connector.retry()
        self.assertEqual(self.called(), [("POST", RISKY + "confirmCompromised", [agent]) for agent in agents[2:]])

    def test_a_release_does_not_wait_behind_those_who_are_held(self):
        agents = self.storm()
        self.assertEqual(self.tell("none", agent=agents[0], cause="verdict"), 204)
        self.assertEqual(self.called(), [("POST", RISKY + "dismiss", [agents[0]])])
        self.double.calls.clear()
        self.assertEqual(self.tell("none", agent=agents[2], cause="verdict"), 204, "released before it was confirmed")
        self.after(entra.HOUR_SECONDS + 60)
        self.connector.retry()
        self.assertEqual(self.called(), [("POST", RISKY + "confirmCompromised", [agents[3]])])

    def test_who_is_held_and_who_counts_is_known_after_a_restart(self):
        agents = self.storm()
        self.start()
        self.assertEqual(self.tell("high", agent=OTHER), 204)
        self.connector.retry()
        self.assertEqual(self.called(), [], "a restart makes no room")
        self.start()
        self.after(entra.HOUR_SECONDS + 60)
        self.connector.retry()
        self.assertEqual([who for _, _, [who] in self.called()], agents[2:], "two an hour, the first first")
        self.after(2 * entra.HOUR_SECONDS + 120)
        self.connector.retry()
        self.assertEqual(self.called()[-1], ("POST", RISKY + "confirmCompromised", [OTHER]))

    def test_whom_graph_does_not_take_stays_held_behind_the_others_and_counts_once(self):
        agents = self.storm()
        self.after(entra.HOUR_SECONDS + 60)
        for _ in range(3):
            self.double.answers = [503]
            self.connector.retry()
        self.assertEqual([who for _, _, [who] in self.called()], [agents[2], agents[3], agents[2]])
        self.double.risk[agents[3]] = ("confirmedCompromised", time.time())
        self.connector.retry()
        self.assertEqual([who for _, _, [who] in self.called()][3:], [agents[2]], "the other is a person's by now")
        self.connector.retry()
        self.assertEqual(len(self.called()), 4)
        self.assertEqual(self.connector.state["held"], {})

    def test_a_call_without_an_answer_counts(self):
        self.more = {"most_an_hour": 1}
        self.start()
        self.double.loses = True
        self.assertEqual(self.tell("high"), 503)
        self.assertEqual(self.tell("high", agent=OTHER), 204)
        self.assertEqual(self.called(), [("POST", RISKY + "confirmCompromised", [AGENT])])

    def test_what_is_not_ours_old_or_unfit_calls_nothing(self):
        self.start()
        self.assertEqual(self.tell("high", secret="of another"), 401)
        self.assertEqual(self.tell("high", ago=3600), 401)
        self.assertEqual(self.tell("grave"), 422)
        for raw in (b"{", b"[]", b'{"schema":"tiltmeter.agent-risk.v1"}', b"3"):
            self.assertEqual(self.tell("high", raw=raw), 422, raw)
        self.assertEqual(self.tell("high", agent="mail/helper\n7"), 204, "not an agent of Entra")
        self.assertEqual(self.tell("high", raw=b'{"schema":"tiltmeter.agent-alert.v1"}'), 204)
        self.assertEqual(self.called(), [])
        self.tell("high", seq=10), self.tell("none", seq=9)
        self.assertEqual(len(self.called()), 1, "an update that came late")

    def test_what_is_wrong_with_a_configuration_is_told_at_once(self):
        with open(self.path("config"), "w", encoding="utf-8") as file:
            json.dump({"tenant": "t", "clientid": "x", "attribute": "a", "on_verdict": "forgive"}, file)
        with self.assertRaises(SystemExit) as told:
            entra.read_config(self.path("config"))
        for part in ("clientid is unknown", "client_id is missing", "attribute and attribute_set", "on_verdict"):
            self.assertIn(part, str(told.exception))


if __name__ == "__main__":
    unittest.main()
