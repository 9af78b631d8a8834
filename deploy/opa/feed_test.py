"""What OPA is told, without Kafka and without OPA."""

import json
import unittest

from feed import Feed


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
        self.assertNotIn("heartbeat", feed.whole())
        feed.status(heartbeat((0, False), (1, False)), 1769108400000)
        feed.status(heartbeat((0, False), (1, True)), 1769108430000)
        self.assertEqual(feed.whole()["heartbeat"], "2026-01-22T19:00:00.000Z")
        feed.status(heartbeat((1, False)), 1769108461001)
        self.assertEqual(feed.patch(), [{"op": "add", "path": "/heartbeat", "value": "2026-01-22T19:00:30.000Z"}])

    def test_what_is_no_risk_update_is_refused(self):
        feed = Feed()
        for value in ["{}", "[]", "not JSON", '{"schema": "tiltmeter.agent-risk.v2"}']:
            with self.assertRaises((ValueError, KeyError, TypeError, AttributeError)):
                feed.risk_update("a", value)
        self.assertEqual(feed.patch(), [])


if __name__ == "__main__":
    unittest.main()
