"""What OPA is told, without Kafka and without OPA."""

import http.server
import json
import logging
import threading
import unittest

import feed as program
from feed import Certainty, Feed, Opa


def update(seq, level):
    known = {"schema": "tiltmeter.agent-risk.v1", "agent_id": "a", "seq": seq, "level": level, "score": 3.5}
    return json.dumps(known | {"monitoring": "ok", "open_alerts": []})


def heartbeat(*partitions):
    beats = [{"partition": number, "restoring": restoring} for number, restoring in partitions]
    return json.dumps({"schema": "tiltmeter.heartbeat.v1", "partitions": beats})


class FeedTest(unittest.TestCase):
    def test_the_largest_number_counts(self):
        feed = Feed()
        for seq, level in [(1, "low"), (3, "high"), (2, "none")]:
            feed.risk_update("acme/a", update(seq, level))
        told = {"seq": 3, "level": "high", "monitoring": "ok", "open_alerts": []}
        self.assertEqual(feed.whole(), {"risk": {"acme/a": told}})

    def test_a_key_with_a_slash_is_one_key(self):
        feed = Feed()
        feed.risk_update("acme/~a", update(1, "low"))
        self.assertEqual([operation["path"] for operation in feed.patch()], ["/risk/acme~1~0a"])

    def test_a_record_without_a_value_takes_the_agent_away(self):
        feed = Feed()
        feed.risk_update("a", update(1, "low"))
        feed.pushed()
        feed.risk_update("a", None)
        feed.risk_update("b", None)
        self.assertEqual(feed.patch(), [{"op": "remove", "path": "/risk/a"}])
        self.assertEqual(feed.whole()["risk"], {})

    def test_the_partition_unheard_of_for_longest_says_how_old_the_heartbeat_is(self):
        feed = Feed()
        self.assertIsNone(feed.heard())
        feed.status(heartbeat((0, False), (1, False)), 1769108400000)
        feed.status(heartbeat((0, False), (1, True)), 1769108430000)
        self.assertEqual(feed.heard(), 1769108400000)
        feed.status(heartbeat((1, False)), 1769108461001)
        self.assertEqual(feed.heard(), 1769108430000)

    def test_an_instance_that_was_scaled_away_for_good_leaves_no_old_heartbeat_behind(self):
        feed = Feed()
        feed.status(heartbeat((0, False)), 1000)
        feed.status(heartbeat((1, False)), 2000)
        self.assertEqual(feed.heard(), 1000)
        feed.status(heartbeat((0, False), (1, False)), 3000)
        self.assertEqual(feed.heard(), 3000, "whoever stays has all partitions now")

    def test_only_a_heartbeat_that_is_certain_is_pushed(self):
        feed = Feed()
        feed.status(heartbeat((0, False)), 1769108400000)
        self.assertEqual((feed.whole(), feed.patch()), ({"risk": {}}, []))
        feed.believe(1769108400000)
        self.assertEqual(feed.whole()["heartbeat"], "2026-01-22T19:00:00.000Z")
        feed.pushed()
        feed.believe(1769108400000)
        self.assertEqual(feed.patch(), [])
        feed.believe(1769108430001)
        self.assertEqual(feed.patch(), [{"op": "add", "path": "/heartbeat", "value": "2026-01-22T19:00:30.001Z"}])

    def test_what_is_no_risk_update_is_refused(self):
        feed = Feed()
        for value in ["{}", "[]", "not JSON", '{"schema": "tiltmeter.agent-risk.v2"}']:
            with self.assertRaises((ValueError, KeyError, TypeError, AttributeError)):
                feed.risk_update("a", value)
        self.assertEqual(feed.patch(), [])


class CertaintyTest(unittest.TestCase):
    def setUp(self):
        logging.disable(logging.CRITICAL)
        self.addCleanup(logging.disable, logging.NOTSET)
        self.ends, self.asked = {}, 0
        self.certainty = Certainty(self.ask, pause=0)

    def ask(self):
        """What is answered is what the topic was when it was asked."""
        self.asked += 1
        ends = self.ends

        def answer():
            if isinstance(ends, Exception):
                raise ends
            return ends

        return answer

    def test_what_is_hidden_by_an_open_transaction_keeps_the_heartbeat_old(self):
        self.ends = {0: 5, 1: 7}
        self.assertEqual(self.certainty.look(1000, {0: 5, 1: 7}), 1000)
        # A level that another instance commits at 9 lies behind a transaction that nobody ends.
        self.ends = {0: 5, 1: 10}
        for heard in (2000, 3000, 4000):
            self.assertEqual(self.certainty.look(heard, {0: 5, 1: 7}), 1000)
        # The broker gives it up: what was heard when it was asked counts, and then what was heard since.
        self.assertEqual(self.certainty.look(5000, {0: 5, 1: 10}), 2000)
        self.assertEqual(self.certainty.look(5000, {0: 5, 1: 10}), 5000)

    def test_a_heartbeat_that_waits_for_long_is_told_of_with_what_it_waits_for(self):
        logging.disable(logging.NOTSET)
        self.ends = {0: 5, 1: 7, 2: 9}
        with self.assertNoLogs():
            self.certainty.look(1000, {0: 5, 1: 6})
        self.certainty.say = 0.0
        with self.assertLogs() as told:
            self.certainty.look(1000, {0: 5, 1: 6})
        self.assertIn("partitions [1, 2] of the risk topic", told.output[0])
        with self.assertNoLogs():
            self.certainty.look(1000, {0: 5, 1: 6})

    def test_a_topic_that_grows_all_the_time_holds_nothing_up(self):
        for moment in range(1, 6):
            # Always three records behind its end, and moving.
            self.ends = {0: 10 * moment + 3}
            self.certainty.look(1000 * moment, {0: 10 * moment})
            self.assertEqual(self.certainty.look(1000 * moment + 1, {0: 10 * moment + 5}), 1000 * moment)

    def test_a_partition_of_which_nothing_was_read_is_not_at_its_end_unless_it_is_empty(self):
        self.ends = {0: 5, 1: 1}
        self.assertIsNone(self.certainty.look(1000, {0: 5}))
        self.assertEqual(self.certainty.look(1000, {0: 5, 1: 1}), 1000)
        self.ends = {0: 5, 1: 1, 2: 0}
        self.assertEqual(self.certainty.look(2000, {0: 5, 1: 1}), 2000)

    def test_a_broker_that_does_not_say_where_the_topic_ends_is_asked_again(self):
        self.ends = RuntimeError("leader not available")
        self.assertIsNone(self.certainty.look(1000, {0: 5}))
        self.ends = None
        self.assertIsNone(self.certainty.look(1000, {0: 5}), "no answer yet")
        self.assertEqual(self.asked, 2)
        self.assertIsNone(self.certainty.look(2000, {0: 5}))
        self.assertEqual(self.asked, 2, "one question at a time")

    def test_nothing_is_asked_while_no_heartbeat_comes(self):
        self.assertIsNone(self.certainty.look(None, {}))
        self.ends = {0: 0}
        for _ in range(3):
            self.assertEqual(self.certainty.look(1000, {}), 1000)
        self.assertEqual(self.asked, 1)

    def test_a_partition_that_turns_out_to_be_silent_for_longer_makes_the_heartbeat_old_at_once(self):
        self.ends = {0: 5}
        self.certainty.look(2000, {0: 5})
        self.assertEqual(self.certainty.look(1000, {0: 3}), 1000)


class Breaking(http.server.BaseHTTPRequestHandler):
    """Breaks off in the middle of its first answers, as one does that is killed."""

    def do_PUT(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append(self.command)
        how = self.server.breaks.pop(0) if self.server.breaks else None
        if how == "in the body":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        elif how == "in the head":
            self.wfile.write(b"garbage\r\n\r\n")
        elif how != "before":
            self.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{"result":"x"}')
        self.close_connection = True

    do_GET = do_PATCH = do_PUT

    def log_message(self, *_):
        pass


class OpaTest(unittest.TestCase):
    def setUp(self):
        logging.disable(logging.CRITICAL)
        self.addCleanup(logging.disable, logging.NOTSET)
        pauses = program.BACK_OFF_SECONDS, program.LOOK_SECONDS
        self.addCleanup(lambda: (setattr(program, "BACK_OFF_SECONDS", pauses[0]), setattr(program, "LOOK_SECONDS", pauses[1])))
        program.BACK_OFF_SECONDS, program.LOOK_SECONDS = (0.001, 0.001), 0.0
        self.peer = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Breaking)
        self.peer.asked, self.peer.breaks = [], []
        self.addCleanup(self.peer.server_close)
        self.addCleanup(self.peer.shutdown)
        threading.Thread(target=self.peer.serve_forever, daemon=True).start()
        self.opa = Opa(f"http://127.0.0.1:{self.peer.server_address[1]}", None)

    def test_an_opa_that_breaks_off_its_answer_gets_everything_again(self):
        feed = Feed()
        feed.risk_update("a", update(1, "high"))
        self.peer.breaks = ["in the body", "in the head", "before"]
        self.opa.push(feed)
        self.assertEqual(self.peer.asked, ["PUT"] * 4)
        feed.risk_update("a", update(2, "none"))
        self.peer.breaks = ["in the body"]
        self.opa.push(feed)
        self.assertEqual(self.peer.asked[4:], ["PATCH", "PUT"], "nobody knows what it kept of the change")
        self.assertEqual(feed.patch(), [])

    def test_an_opa_that_breaks_off_when_it_is_asked_what_it_knows_has_forgotten(self):
        self.opa.push(Feed())
        self.assertFalse(self.opa.forgot())
        for how in ("in the body", "in the head", "before"):
            self.opa.knows_us, self.peer.breaks = True, [how]
            self.assertTrue(self.opa.forgot(), how)


if __name__ == "__main__":
    unittest.main()
