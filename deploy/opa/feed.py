#!/usr/bin/env python3
"""Pushes the risk of every agent from Kafka into Open Policy Agent: data.tiltmeter_feed = {risk, heartbeat}.

`risk` holds the latest risk update of each agent under its key (AGENT, or TENANT/AGENT). `heartbeat` is when every
partition of the audit topic was last known to be watched: the oldest of their latest heartbeats, by the broker's clock. A new
one counts once the risk topic was read as far as it went when that heartbeat was read, behind open transactions too: whoever
dies in one hides what others commit behind it, and a level may have risen there.
Nothing is pushed before the risk topic was read to its end, so that an agent at level high is
never taken for one of whom nothing is known. If this process ends, the heartbeat in OPA grows old, which is what the
policy looks at. Needs the package confluent-kafka.
"""

import argparse
import http.client
import json
import logging
import time
import urllib.request

# Not below data.tiltmeter: with every write OPA copies what lies beside its rules, in search of conflicts.
FEED = "/v1/data/tiltmeter_feed"
# What the policy looks at; the rest of an update would only fill OPA's memory.
FIELDS = ("seq", "level", "monitoring", "open_alerts")
POLL_SECONDS = 0.2
BATCH = 500
# Everything about a million agents takes OPA some seconds.
ANSWER_SECONDS = 60
# Whoever restarts OPA empties it: so often we look.
LOOK_SECONDS = 2.0
# Brokers that do not say where the risk topic ends are asked again after so long; an answer may take so long.
ASK_SECONDS, ENDS_SECONDS = 1.0, 10.0
# A heartbeat that waits for longer than transactions are usually open is told of, so often.
SAY_SECONDS = 60.0
BACK_OFF_SECONDS = (0.5, 30.0)


class Feed:
    """What OPA is to know, and what of it was not pushed yet."""

    def __init__(self):
        self.risk = {}
        self.beats = {}
        # The heartbeat up to which nothing is missing; milliseconds since 1970.
        self.certain = None
        self.changed = {}
        self.beat_changed = False

    def risk_update(self, key, value):
        """Takes a record of the risk topic; one with a smaller `seq` than what is known is a repetition."""
        if value is None:
            if self.risk.pop(key, None) is not None:
                self.changed[key] = None
            return
        update = json.loads(value)
        if not str(update.get("schema", "")).startswith("tiltmeter.agent-risk.v1"):
            raise ValueError(f"schema {update.get('schema')!r} is not tiltmeter.agent-risk.v1")
        known = self.risk.get(key)
        if known is None or update["seq"] >= known["seq"]:
            self.risk[key] = self.changed[key] = {field: update[field] for field in FIELDS}

    def status(self, value, time_ms):
        """Takes a record of the status topic, written at this time of the broker."""
        record = json.loads(value)
        if record.get("schema") != "tiltmeter.heartbeat.v1":
            return
        for beat in record["partitions"]:
            if not beat["restoring"]:
                number = beat["partition"]
                self.beats[number] = max(time_ms, self.beats.get(number, 0))

    def heard(self):
        """When every partition was last heard of, whoever has it: an instance that is gone leaves nothing behind. Milliseconds
        since 1970, none before the first heartbeat."""
        return min(self.beats.values(), default=None)

    def believe(self, certain):
        """Up to this heartbeat nothing is missing."""
        if certain != self.certain:
            self.certain, self.beat_changed = certain, True

    def heartbeat(self):
        """RFC 3339, or none while nothing is certain."""
        if self.certain is None:
            return None
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(self.certain / 1000)) + f".{self.certain % 1000:03d}Z"

    def whole(self):
        """Everything, as a document."""
        heartbeat = self.heartbeat()
        return {"risk": self.risk} | ({"heartbeat": heartbeat} if heartbeat else {})

    def patch(self):
        """What changed, as a JSON Patch; OPA applies all of it or nothing."""
        operations = []
        for key, update in self.changed.items():
            path = "/risk/" + key.replace("~", "~0").replace("/", "~1")
            removed = {"op": "remove", "path": path}
            operations.append(removed if update is None else {"op": "add", "path": path, "value": update})
        if self.beat_changed and self.heartbeat():
            operations.append({"op": "add", "path": "/heartbeat", "value": self.heartbeat()})
        return operations

    def pushed(self):
        """Everything is in OPA."""
        self.changed.clear()
        self.beat_changed = False


class Certainty:
    """Which heartbeat counts: one that was there before the risk topic ended where it has been read by now."""

    def __init__(self, ask, pause=ASK_SECONDS):
        """`ask()` begins to find out where each partition of the risk topic ends, open transactions included; what it returns
        is called until it returns that ({partition: offset}), and raises where nobody knows."""
        self.ask, self.pause = ask, pause
        self.certain = None
        self.asked = self.answer = self.ends = None
        self.next = self.say = 0.0

    def look(self, heard, stands):
        """`heard`: of the heartbeats read until now; `stands`: the offset before which each partition of the risk topic was
        read. Returns the heartbeat that counts."""
        if heard is None:
            return None
        if self.answer is None and heard != self.certain and time.monotonic() >= self.next:
            self.asked, self.answer, self.ends = heard, self.ask(), None
            self.say = time.monotonic() + SAY_SECONDS
        if self.answer is not None and self.ends is None:
            try:
                self.ends = self.answer()
            except Exception as error:  # of whichever client
                logging.warning("where the risk topic ends is not known: %s; asked again", error)
                self.answer, self.next = None, time.monotonic() + self.pause
        if self.ends is not None:
            behind = [number for number, end in sorted(self.ends.items()) if stands.get(number, 0) < end]
            if not behind:
                self.certain, self.answer, self.ends = self.asked, None, None
            elif time.monotonic() >= self.say:
                self.say = time.monotonic() + SAY_SECONDS
                logging.warning(
                    "the heartbeat waits: partitions %s of the risk topic cannot be read to where they ended; a transaction may "
                    "be open there", behind
                )
        # A partition that was not heard of before may have been silent for longer.
        return None if self.certain is None else min(self.certain, heard)


class Opa:
    """One OPA. Whatever goes wrong is tried again until it goes right."""

    def __init__(self, url, token):
        self.url, self.token = url.rstrip("/") + FEED, token
        self.knows_us = False
        self.looked = 0.0

    def forgot(self):
        """Whether OPA has to get everything again. Asks it now and then."""
        if self.knows_us and time.monotonic() - self.looked >= LOOK_SECONDS:
            self.looked = time.monotonic()
            try:
                self.knows_us = "result" in json.loads(self.send("GET", None, "application/json", "/heartbeat"))
            except (OSError, ValueError):
                self.knows_us = False
        return not self.knows_us

    def push(self, feed):
        wait = BACK_OFF_SECONDS[0]
        while True:
            try:
                if self.knows_us:
                    operations = feed.patch()
                    if operations:
                        self.send("PATCH", operations, "application/json-patch+json")
                else:
                    self.send("PUT", feed.whole(), "application/json")
                    self.knows_us = True
                feed.pushed()
                return
            except OSError as error:
                # What is not there cannot be changed: OPA was emptied, and gets everything again.
                emptied, self.knows_us = self.knows_us and getattr(error, "code", None) == 404, False
                if emptied:
                    continue
                logging.warning("%s: %s; tried again in %.1f s", self.url, error, wait)
                time.sleep(wait)
                wait = min(2 * wait, BACK_OFF_SECONDS[1])

    def send(self, method, body, kind, below=""):
        request = urllib.request.Request(
            self.url + below, body and json.dumps(body).encode(), {"content-type": kind}, method=method
        )
        if self.token:
            request.add_header("authorization", f"Bearer {self.token}")
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
                return answer.read()
        except http.client.HTTPException as error:
            # Whoever answers and breaks off is gone, like whoever does not answer.
            raise OSError(f"{type(error).__name__}: {error}") from error


def read(arguments):
    """Every record of both topics, from the beginning; yields (topic, key, value, time_ms) for each, and after each batch
    (whole, stands, ask): whether the end of every partition of the risk topic was met, and what `Certainty` wants to know."""
    # Here, so that the tests need no client.
    from confluent_kafka import (
        OFFSET_BEGINNING,
        TIMESTAMP_LOG_APPEND_TIME,
        Consumer,
        IsolationLevel,
        KafkaError,
        KafkaException,
        TopicPartition,
    )
    from confluent_kafka.admin import AdminClient, OffsetSpec

    # Waiting mends none of these.
    for_a_person = {KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC}
    ours = dict(pair.split("=", 1) for pair in arguments.property)
    consumer = Consumer(
        {
            "bootstrap.servers": arguments.brokers,
            # A group is asked for and never joined: every feed reads everything.
            "group.id": "tiltmeter-opa-feed",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
        | ours
    )
    # The consumer itself would say where open transactions begin.
    admin = AdminClient({"bootstrap.servers": arguments.brokers} | ours)
    topics = consumer.list_topics(timeout=30).topics
    places = []
    for topic in (arguments.risk, arguments.status):
        if topic not in topics or topics[topic].error:
            raise SystemExit(
                f"topic {topic} is not there: run `tiltmeter topics --create`, or name it with --risk and --status"
            )
        places += [TopicPartition(topic, number, OFFSET_BEGINNING) for number in topics[topic].partitions]
    unread = {place.partition for place in places if place.topic == arguments.risk}
    stands = {}

    def ask():
        wanted = {TopicPartition(arguments.risk, number): OffsetSpec.latest() for number in topics[arguments.risk].partitions}
        answers = admin.list_offsets(
            wanted, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=ENDS_SECONDS
        )

        def answer():
            if not all(answer.done() for answer in answers.values()):
                return None
            return {place.partition: answer.result().offset for place, answer in answers.items()}

        return answer

    consumer.assign(places)
    while True:
        for message in consumer.consume(BATCH, POLL_SECONDS):
            if not message.error():
                if message.topic() == arguments.risk:
                    stands[message.partition()] = message.offset() + 1
                kind, time_ms = message.timestamp()
                # A time that a producer says cannot make an old heartbeat young.
                time_ms = time_ms if kind == TIMESTAMP_LOG_APPEND_TIME else 0
                yield message.topic(), (message.key() or b"").decode(errors="replace"), message.value(), time_ms
            elif message.error().code() == KafkaError._PARTITION_EOF:
                if message.topic() == arguments.risk:
                    unread.discard(message.partition())
                    # Behind the marks of transactions, too, which are no records.
                    stands[message.partition()] = message.offset()
            elif message.error().fatal() or message.error().code() in for_a_person:
                raise KafkaException(message.error())
            else:
                # Brokers that went are looked for again; meanwhile the heartbeat grows old.
                logging.warning("Kafka: %s", message.error().str())
        yield not unread, stands, ask


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brokers", default="localhost:9092")
    parser.add_argument("--opa", default="http://127.0.0.1:8181", help="where OPA answers")
    parser.add_argument("--opa-token-file", help="file with the bearer token for OPA")
    parser.add_argument("--risk", default="agent-risk")
    parser.add_argument("--status", default="tiltmeter-status")
    parser.add_argument(
        "--property",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="for librdkafka: security.protocol=SASL_SSL",
    )
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    token = None
    if arguments.opa_token_file:
        with open(arguments.opa_token_file, encoding="utf-8") as file:
            token = file.read().strip()
    feed, opa, certainty, said = Feed(), Opa(arguments.opa, token), None, False
    for step in read(arguments):
        if len(step) == 4:
            topic, key, value, time_ms = step
            try:
                feed.risk_update(key, value) if topic == arguments.risk else feed.status(value, time_ms)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                logging.warning("a record of %s with key %r is left out: %s", topic, key, error)
            continue
        whole, stands, ask = step
        certainty = certainty or Certainty(ask)
        feed.believe(certainty.look(feed.heard(), stands))
        if whole:
            if feed.changed or feed.beat_changed or opa.forgot():
                opa.push(feed)
            if not said:
                said = True
                logging.info("%s knows %d agents; heartbeat %s", arguments.opa, len(feed.risk), feed.heartbeat())


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
