"""bulk.py on a real Kafka, with a double of the bulk interface that fails in the ways that make a sender send again. Needs the
package confluent-kafka, and for the first test a Kafka of which TILTMETER_TEST_KAFKA=HOST:PORT knows; it says what it leaves
out.

    TILTMETER_TEST_KAFKA=127.0.0.1:9092 python3 -m unittest -v bulk_test
"""

import argparse
import http.server
import importlib.util
import json
import os
import threading
import time
import unittest
import uuid
import zlib

import bulk

PATIENCE_SECONDS = 60
AGENTS = 20
STATES = ["opened", "updated", "closed"]


class Documents:
    """What a bulk interface makes of requests: documents by id, each with its version. Of the requests one is taken and never
    answered, one is refused whole; every seventh document is refused once, as one too many."""

    def __init__(self):
        self.documents, self.versions, self.requests, self.conflicts, self.refused = {}, {}, 0, 0, set()
        self.lock = threading.Lock()

    def bulk(self, body):
        """Status and answer; none: the connection ends without one."""
        with self.lock:
            self.requests += 1
            if self.requests in (1, 4):
                return 503, {"error": "busy", "status": 503}
            lines, items = iter(body.decode().splitlines()), []
            for line in lines:
                (operation, about), = json.loads(line).items()
                value = next(lines) if operation == "index" else None
                items.append({operation: {"_id": about["_id"], "status": self.take(about, value)}})
            return None if self.requests in (2, 5) else (200, {"errors": True, "items": items})

    def take(self, about, value):
        name, version = (about["_index"], about["_id"]), about["version"]
        if zlib.crc32(f"{name} {version}".encode()) % 7 == 3 and (name, version) not in self.refused:
            self.refused.add((name, version))
            return 429
        if value and "\"unfit\"" in value:
            return 400
        if version < self.versions.get(name, 0):
            self.conflicts += 1
            return 409
        self.versions[name] = version
        if value is None:
            return 200 if self.documents.pop(name, None) else 404
        self.documents[name] = json.loads(value)
        return 200


class Desk(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        told = self.server.index.bulk(self.rfile.read(int(self.headers["content-length"])))
        if told is None:
            self.close_connection = True
            return
        status, value = told
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def alert(agent, state):
    return {"@timestamp": f"2026-01-22T19:02:1{STATES.index(state)}.250Z",
            "event": {"id": f"{agent:032x}", "kind": "alert", "action": f"alert-{state}"},
            "message": "`a<b>` \"quoted\" \\ % \n \u202e é"}


def level(agent, second):
    return {"@timestamp": f"2026-01-22T19:03:{second:02}.000Z", "event": {"kind": "state"}, "entity": {"id": agent}}


def left_out():
    """What is not at hand; none if all is."""
    if not importlib.util.find_spec("confluent_kafka"):
        return "no confluent-kafka"
    return None if "TILTMETER_TEST_KAFKA" in os.environ else "no Kafka (TILTMETER_TEST_KAFKA=HOST:PORT)"


class Bulk(unittest.TestCase):
    def setUp(self):
        bulk.BACK_OFF_SECONDS, bulk.BATCH = (0.05, 0.2), 20
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Desk)
        self.server.index = self.documents = Documents()
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.index = bulk.Index(f"http://127.0.0.1:{self.server.server_port}")

    def tearDown(self):
        self.server.shutdown()
        self.server.server_close()

    @unittest.skipIf(left_out(), f"left out: {left_out()}")
    def test_what_is_sent_again_replaces_itself_and_nothing_newer(self):
        from confluent_kafka import Producer

        run = uuid.uuid4()
        arguments = argparse.Namespace(
            brokers=os.environ["TILTMETER_TEST_KAFKA"], alerts=f"alerts-{run}", risk=f"risk-{run}", alerts_index="a",
            risk_index="r", group=f"bulk-{run}", property=[])
        told = [(arguments.alerts, f"agent-{agent}", alert(agent, state)) for state in STATES for agent in range(AGENTS)]
        told += [(arguments.risk, f"acme/agent-{agent}", level(agent, second)) for second in range(5) for agent in range(AGENTS)]
        told += [(arguments.risk, "acme/agent-0", None), (arguments.risk, "x" * 600, level(99, 1))]
        told += [(arguments.alerts, "agent-1", {"message": "what is this?"}),
                 (arguments.alerts, "agent-1", alert(1000, "opened") | {"message": "unfit"})]
        producer = Producer({"bootstrap.servers": arguments.brokers})
        for topic, key, value in told:
            producer.produce(topic, key=key, value=None if value is None else json.dumps(value))
        producer.flush(PATIENCE_SECONDS)
        expected = {("a", f"{agent:032x}"): alert(agent, STATES[-1]) for agent in range(AGENTS)}
        expected |= {("r", f"acme/agent-{agent}"): level(agent, 4) for agent in range(1, AGENTS)}
        until = time.monotonic() + PATIENCE_SECONDS

        def is_over():
            there = dict(self.documents.documents)
            hashed = sum(len(name) == 64 for _, name in there)
            is_there = hashed == 1 and expected.items() <= there.items() and ("r", "acme/agent-0") not in there
            return is_there or time.monotonic() > until

        with self.assertLogs("bulk", "WARNING") as log:
            bulk.run(arguments, self.index, is_over)
        long = {name: value for name, value in self.documents.documents.items() if len(name[1]) == 64}
        self.assertEqual(list(long.values()), [level(99, 1)])
        self.assertEqual(self.documents.documents, expected | long)
        said = "\n".join(log.output)
        self.assertIn("is left out: no ECS document", said)
        self.assertIn(f"{1000:032x} is left out: status 400", said)
        before = self.documents.requests
        self.assertGreater(before, 5)
        self.assertGreater(len(self.documents.refused), 1)
        print(f"{len(told)} records, {before} requests, {len(self.documents.refused)} documents refused once: "
              f"{len(expected) + 1} documents, each as it was told last", flush=True)

        # Everything again, as after the positions were lost: nothing changes.
        again = argparse.Namespace(**vars(arguments) | {"group": f"again-{run}"})
        ends = time.monotonic() + 15
        bulk.run(again, self.index, lambda: time.monotonic() > ends or self.documents.conflicts >= AGENTS)
        self.assertGreaterEqual(self.documents.conflicts, AGENTS)
        self.assertTrue(expected.items() <= self.documents.documents.items())

    def test_an_answer_that_is_no_answer_leaves_nothing_out(self):
        answers = [(200, {"items": []}), (200, []), (502, {}), None, (200, {"items": [{"index": {"status": 200}}]})]
        self.documents.bulk = lambda _: answers.pop(0)
        with self.assertLogs("bulk", "WARNING") as log:
            self.index.tell_all([bulk.action("a", b"k", json.dumps(alert(1, "opened")).encode(), 0)])
        self.assertEqual((len(log.output), answers), (4, []))

    def test_requests_are_no_larger_than_is_taken(self):
        lines = [[{"index": {}}, "x" * (bulk.BATCH_BYTES // 2)] for _ in range(5)]
        self.assertEqual([len(part) for part in bulk.parts(lines)], [1, 1, 1, 1, 1])
        self.assertEqual([len(part) for part in bulk.parts([[{"delete": {}}]] * 9)], [9])


if __name__ == "__main__":
    unittest.main()
