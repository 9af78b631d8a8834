#!/usr/bin/env python3
"""Tells Microsoft Entra the risk of agents: a webhook of Tiltmeter in, calls of Microsoft Graph out.

    entra.py --config entra.json            # says what it would do, and calls nothing
    entra.py --config entra.json --act      # does it

high        -> riskyAgents/confirmCompromised, the only call of Graph that raises an agent's risk
below high  -> riskyAgents/dismiss (confirmSafe where a person took the level away and the configuration says so), of those
               agents only that this program confirmed itself and nobody touched since: what a person confirmed in Entra is
               theirs to take back, so Entra is asked before anything is confirmed or taken back
any level   -> a custom security attribute with the level, where one is configured: the gentler way, for policies that
               filter by it, and the only one for medium

A webhook is answered with 204 once Graph has taken everything that follows from it, or once an agent above the bound of an
hour is noted in the state file: what stands behind it on its partition, such as a release, does not wait. With 422 where the
message itself is of no use, and with 503, so that it is sent again, whatever else is in the way: also answers that are not
Graph's, such as the page of a proxy where somebody should log in.
Python's standard library only. README.md says what it needs in Entra; entra_test.py runs it against a double.
"""

import argparse
import base64
import datetime
import hashlib
import hmac
import http.client
import http.server
import json
import logging
import os
import re
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

ANSWER_SECONDS = 8  # less than the ten that a webhook waits
LARGEST_BODY_BYTES = 1 << 20
# A request that is older is somebody else's, who kept it.
TOLERANCE_SECONDS = 300
# A token is renewed so long before it ends.
RENEW_SECONDS = 300
# Entra notes a confirmation later than it takes it, and clocks differ. What changed later than this after ours is another's.
SETTLES_SECONDS = 300
# most_an_hour: of so many seconds. Whether there is room for agents that are held is looked at so often.
HOUR_SECONDS, HELD_SECONDS = 3600, 30
OBJECT_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")
LEVELS = ("none", "low", "medium", "high")
KEYS = {"tenant", "client_id", "client_secret_file", "webhook_secret_file", "state_file", "listen", "graph", "login",
        "attribute_set", "attribute", "most_an_hour", "on_verdict"}

log = logging.getLogger("entra")


class Later(Exception):
    """It may be better soon: the webhook is to be sent again."""


class Graph:
    """Calls with a token of the application (OAuth 2.0, client credentials)."""

    def __init__(self, config, clock=time.time):
        self.config, self.clock = config, clock
        self.token, self.until = None, 0.0

    def bearer(self):
        if self.token is None or self.clock() > self.until:
            # Read anew, so that a new secret needs no restart.
            secret = read_secret(self.config["client_secret_file"])
            form = urllib.parse.urlencode({
                "grant_type": "client_credentials", "client_id": self.config["client_id"], "client_secret": secret,
                "scope": f"{self.config['graph']}/.default",
            })
            url = f"{self.config['login']}/{self.config['tenant']}/oauth2/v2.0/token"
            status, body = send("POST", url, form.encode(), {"Content-Type": "application/x-www-form-urlencoded"})
            answer = json_object(body)
            if status != 200 or not isinstance(answer.get("access_token"), str):
                raise Later(f"no token: the login answers {status}" + ("" if answer else ", and no JSON"))
            try:
                lasts = int(answer.get("expires_in"))
            except (TypeError, ValueError):
                lasts = 0
            self.token, self.until = answer["access_token"], self.clock() + lasts - RENEW_SECONDS
        return self.token

    def call(self, method, path, value):
        """Whether Graph has taken it; False where it knows no such agent."""
        status, answer = self.ask(method, path, json.dumps(value).encode())
        # Graph says 204 to each of these calls. Another 2xx is a stranger's, such as a page where somebody should log in.
        if status == 204:
            return True
        if status == 404 and "error" in answer:
            return False
        raise Later(f"{method} {path.split('?')[0]} answers {status}")

    def risk(self, agent):
        """What Entra has of an agent's risk: its state, and when it changed (seconds since 1970). None where there is none."""
        status, answer = self.ask("GET", f"/beta/identityProtection/riskyAgents/{agent}", None)
        if status == 404 and "error" in answer:
            return None
        if status != 200 or not isinstance(answer.get("riskState"), str):
            raise Later(f"GET riskyAgents/{agent} answers {status}" + ("" if answer else ", and no JSON"))
        try:
            # Whole seconds: it has seven digits behind them.
            moment = datetime.datetime.fromisoformat(answer["riskLastModifiedDateTime"][:19])
        except (KeyError, TypeError, ValueError) as error:
            raise Later(f"GET riskyAgents/{agent} does not say when the risk changed") from error
        return answer["riskState"], moment.replace(tzinfo=datetime.timezone.utc).timestamp()

    def ask(self, method, path, body):
        """Status, and what was answered as JSON, empty where it is none."""
        for again in (True, False):
            headers = {"Authorization": f"Bearer {self.bearer()}", "Content-Type": "application/json"}
            status, answer = send(method, self.config["graph"] + path, body, headers)
            if status != 401 or not again:
                break
            self.token = None  # revoked before its time
        return status, json_object(answer)


def json_object(body):
    """An object in JSON; an empty one where it is something else."""
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


class Straight(urllib.request.HTTPRedirectHandler):
    """Goes nowhere else: neither Graph nor its login sends anybody on, and a token is for who was named."""

    def redirect_request(self, *_):
        return None


OPENER = urllib.request.build_opener(Straight)


def send(method, url, body, headers):
    request = urllib.request.Request(url, body, headers, method=method)
    try:
        with OPENER.open(request, timeout=ANSWER_SECONDS) as answer:
            return answer.status, answer.read(LARGEST_BODY_BYTES)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(LARGEST_BODY_BYTES)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise Later(f"{urllib.parse.urlsplit(url).hostname} cannot be reached: {error}") from error


class Connector:
    """What follows from risk updates. One at a time."""

    def __init__(self, config, graph, act, clock=time.time):
        self.config, self.graph, self.act, self.clock = config, graph, act, clock
        self.lock = threading.Lock()
        # Agents that we confirmed compromised, when, and whether Graph is known to have taken it; the last update of each agent;
        # when we asked for each last, within an hour; whom we would have confirmed but for the bound, and since when.
        self.state = {"confirmed": {}, "seq": {}, "attribute": {}, "asked": {}, "held": {}}
        try:
            with open(config["state_file"], encoding="utf-8") as file:
                self.state.update(json.load(file))
        except FileNotFoundError:
            pass
        if isinstance(self.state["confirmed"], list):  # written before there were times
            self.state["confirmed"] = {agent: {"at": clock(), "taken": True} for agent in self.state["confirmed"]}

    def take(self, update):
        """Does what follows from a risk update; says what. Raises Later where it has to come again, ValueError where it is of
        no use."""
        read = read_update(update)
        if isinstance(read, str):
            return read
        agent, level, seq = read
        with self.lock:
            if seq < self.state["seq"].get(agent, 0):
                return f"{agent}: an update that is older than the last: nothing to do"
            done = []
            self.attribute(agent, level, done)
            if level == "high":
                self.confirm(agent, done)
            else:
                if self.state["held"].pop(agent, None) is not None:
                    done.append("it was held, and is not confirmed any more")
                if agent in self.state["confirmed"]:
                    self.release(agent, update.get("cause"), done)
            self.state["seq"][agent] = seq
            self.save()
        return f"{agent} {level}: {', '.join(done) or 'nothing to do'}"

    def retry(self):
        """Confirms those who are held, the first first, as far as there is room again."""
        for agent in list(self.state["held"]):
            # Whoever is told something meanwhile does not wait for all of them.
            with self.lock:
                if agent not in self.state["held"]:
                    continue
                if not self.has_room(agent):
                    return
                done = []
                try:
                    self.confirm(agent, done)
                except (Later, OSError) as why:
                    log.error("%s; %s stays held", why, agent)
                    # Behind the others, whom it may not concern.
                    self.state["held"][agent] = self.state["held"].pop(agent)
                    self.save()
                    return
            log.info("%s, which was held: %s", agent, ", ".join(done) or "nothing to do")

    def has_room(self, agent):
        now = self.clock()
        self.state["asked"] = {one: at for one, at in self.state["asked"].items() if abs(now - at) < HOUR_SECONDS}
        return len(self.state["asked"].keys() - {agent}) < self.config["most_an_hour"]

    def confirm(self, agent, done):
        ours = self.state["confirmed"].get(agent)
        if ours and ours["taken"]:
            self.state["held"].pop(agent, None)
            return
        now = self.clock()
        risk = self.graph.risk(agent) if self.act else None
        if risk and risk[0] == "confirmedCompromised":
            if ours and risk[1] >= ours["at"] - SETTLES_SECONDS:
                ours["taken"] = True  # Graph took it, and we were not told
            else:
                self.state["confirmed"].pop(agent, None)
                done.append("somebody confirmed it compromised in Entra: theirs to take back")
            self.state["held"].pop(agent, None)
            self.save()
            return
        if not self.has_room(agent):
            # A storm is more likely our fault than the agents'.
            self.state["held"].setdefault(agent, now)
            self.save()
            done.append("held")
            log.error("%s is not confirmed compromised: %d were within an hour, and most_an_hour says that a person should look "
                      "first; it is held, with %d others, until there is room or its level falls",
                      agent, len(self.state["asked"]), len(self.state["held"]) - 1)
            return
        # Noted before: whatever happens to us or to the answer, it is known that it may be ours, and it counts.
        if self.act:
            self.state["confirmed"][agent] = {"at": now, "taken": False}
            self.state["asked"][agent] = now
            self.save()
        if self.ask("POST", "/beta/identityProtection/riskyAgents/confirmCompromised", {"agentIds": [agent]}, done):
            self.state["confirmed"][agent]["taken"] = True
        else:
            self.state["confirmed"].pop(agent, None)
            self.state["asked"].pop(agent, None)
        self.state["held"].pop(agent, None)
        self.save()

    def release(self, agent, cause, done):
        action = self.config["on_verdict"] if cause == "verdict" else "dismiss"
        ours, risk = self.state["confirmed"][agent], self.graph.risk(agent) if self.act else None
        if risk is None or risk[0] != "confirmedCompromised":
            done.append("it is not confirmed compromised in Entra any more")
        elif risk[1] > ours["at"] + SETTLES_SECONDS:
            done.append("its risk was changed in Entra after we confirmed it: theirs to take back")
        else:
            self.ask("POST", f"/beta/identityProtection/riskyAgents/{action}", {"agentIds": [agent]}, done)
        self.state["confirmed"].pop(agent)
        self.save()

    def attribute(self, agent, level, done):
        set_name, name = self.config.get("attribute_set"), self.config.get("attribute")
        if not (set_name and name) or self.state["attribute"].get(agent, "none") == level:
            return
        value = {"customSecurityAttributes": {set_name: {
            "@odata.type": "#Microsoft.DirectoryServices.CustomSecurityAttributeValue", name: level,
        }}}
        if self.ask("PATCH", f"/v1.0/servicePrincipals/{agent}", value, done):
            self.state["attribute"][agent] = level
            self.save()

    def ask(self, method, path, value, done):
        if not self.act:
            done.append(f"would {method} {path} {json.dumps(value)}")
            return False
        known = self.graph.call(method, path, value)
        done.append(f"{method} {path}" + ("" if known else ": Entra knows no such agent"))
        return known

    def save(self):
        if not self.act:
            return
        folder = os.path.dirname(os.path.abspath(self.config["state_file"]))
        with tempfile.NamedTemporaryFile("w", dir=folder, delete=False, encoding="utf-8") as file:
            json.dump(self.state, file)
        os.replace(file.name, self.config["state_file"])


def read_update(update):
    """Agent, level and number of a risk update; a sentence where there is nothing to do. Raises ValueError."""
    if not isinstance(update, dict):
        raise ValueError("the body is no JSON object")
    if "schema" not in update:
        raise ValueError("the body says no schema")
    if update["schema"] != "tiltmeter.agent-risk.v1":
        return "not a risk update: nothing to do"
    agent, level, seq = (update.get(name) for name in ("agent_id", "level", "seq"))
    if not isinstance(agent, str) or not isinstance(seq, int):
        raise ValueError("agent_id is no text, or seq no number")
    if level not in LEVELS:
        raise ValueError(f"level {level!r} is none of {', '.join(LEVELS)}")
    if not OBJECT_ID.match(agent):
        return f"{shown(agent)} is no object id of Entra: nothing to do"
    return agent, level, seq


def is_signed(secret, headers, body, now):
    """Whether a request is Tiltmeter's: Standard Webhooks 1.0.0."""
    ident, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not at.isdigit() or abs(now - int(at)) > TOLERANCE_SECONDS:
        return False
    key = base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()
    expected = base64.b64encode(hmac.new(key, f"{ident}.{at}.".encode() + body, hashlib.sha256).digest()).decode()
    given = headers.get("webhook-signature", "").split()
    return any(hmac.compare_digest(one.encode(), f"v1,{expected}".encode()) for one in given)


def read_secret(path):
    with open(path, encoding="utf-8") as file:
        return file.read().rstrip("\r\n")


def shown(text):
    return json.dumps(str(text)[:100])


class Handler(http.server.BaseHTTPRequestHandler):
    """`POST /`: one message of the webhook."""

    timeout = 10

    def do_POST(self):
        try:
            length = int(self.headers.get("Content-Length", "-1"))
            if not 0 <= length <= LARGEST_BODY_BYTES:
                return self.answer(413)
            body = self.rfile.read(length)
            secret = read_secret(self.server.connector.config["webhook_secret_file"])
            if not is_signed(secret, self.headers, body, time.time()):
                log.warning("a request without our signature, or an old one")
                return self.answer(401)
            update = json.loads(body)
        except OSError as why:
            log.error("%s; it is sent again", why)
            return self.answer(503)
        except ValueError as why:
            log.error("a message that cannot be used: %s", shown(why))
            return self.answer(422)
        try:
            log.info("%s", self.server.connector.take(update))
            return self.answer(204)
        except ValueError as why:
            log.error("a message that cannot be used: %s", shown(why))
            return self.answer(422)
        except (Later, OSError) as why:
            log.error("%s; it is sent again", why)
            return self.answer(503)

    def answer(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def read_config(path):
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    wrong = [f"{key} is unknown" for key in sorted(set(config) - KEYS)]
    wrong += [f"{key} is missing" for key in ("tenant", "client_id", "client_secret_file", "webhook_secret_file", "state_file")
              if key not in config]
    config.setdefault("graph", "https://graph.microsoft.com")
    config.setdefault("login", "https://login.microsoftonline.com")
    config.setdefault("listen", "127.0.0.1:9465")
    config.setdefault("most_an_hour", 5)
    if config.setdefault("on_verdict", "dismiss") not in ("dismiss", "confirmSafe"):
        wrong.append("on_verdict is neither dismiss nor confirmSafe")
    if ("attribute" in config) != ("attribute_set" in config):
        wrong.append("attribute and attribute_set go together")
    if wrong:
        raise SystemExit(f"entra.py: {path} cannot be used; mend this: {'; '.join(wrong)}")
    return config


def serve(config, act):
    host, _, port = config["listen"].rpartition(":")
    server = http.server.ThreadingHTTPServer((host, int(port)), Handler)
    server.connector = Connector(config, Graph(config), act)
    return server


def keep_trying(connector):
    while True:
        time.sleep(HELD_SECONDS)
        try:
            connector.retry()
        except Exception:  # whatever it is, those who are held are not to be forgotten for it
            log.exception("those who are held were not looked at")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--config", required=True, help="JSON file, see README.md")
    parser.add_argument("--act", action="store_true", help="call Graph; without it, it is only said what would be called")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    server = serve(read_config(arguments.config), arguments.act)
    log.info("listens at %s:%s; %s", *server.server_address[:2], "acts" if arguments.act else "only says what it would do")
    threading.Thread(target=keep_trying, args=(server.connector,), daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    main()
