#!/usr/bin/env python3
"""Keeps alerts and levels in Elasticsearch or OpenSearch: one document an alert, one an agent, each as it was told last.

    bulk.py --brokers kafka-1:9092 --url https://elasticsearch.example:9200 --api-key-file key
    bulk.py --help

Reads the topics that `[[sinks]] format = "ecs"` writes, in a group of its own, and only what was committed. A document has the
alert's id, or the key of its risk record, and as version the time of what it says (`external_gte`): what is sent again after
a crash or a lost answer replaces itself, and what comes late replaces nothing newer. Positions are committed once everything
before them was taken. What the index is too busy for is sent again without end, in front of what follows; a document that it
refuses for good is named in the log, with its id, and left out. Needs the package confluent-kafka; bulk_test.py runs it
against a real Kafka and a double of the bulk interface.
"""

import argparse
import datetime
import hashlib
import http.client
import json
import logging
import random
import ssl
import time
import urllib.error
import urllib.request

# Taken from Kafka and sent at once.
BATCH, BATCH_BYTES, POLL_SECONDS = 500, 5 << 20, 1.0
ANSWER_SECONDS = 60
BACK_OFF_SECONDS = (0.5, 30.0)
# An id is no longer; keys of longer names are hashed.
LONGEST_ID_BYTES = 512
CONFLICT = 409

log = logging.getLogger("bulk")


def milliseconds(text):
    """Of RFC 3339, since 1970."""
    return round(datetime.datetime.fromisoformat(text).timestamp() * 1000)


def action(index, key, value, written_ms):
    """The lines of a record: what is to be done with which document, and the document; None where it is of no use.

    index: where documents of its topic go; key, value: of the record, value None deletes; written_ms: when it was written.
    """
    name = key if len(key) <= LONGEST_ID_BYTES else hashlib.sha256(key).hexdigest().encode()
    about = {"_index": index, "_id": name.decode(errors="replace"), "version_type": "external_gte"}
    if value is None:
        return [{"delete": about | {"version": written_ms}}]
    try:
        document = json.loads(value)
        about["version"] = milliseconds(document["@timestamp"])
        if document["event"]["kind"] == "alert":
            about["_id"] = document["event"]["id"]
    except (KeyError, TypeError, ValueError):
        return None
    return [{"index": about}, value.decode()]


class Index:
    """An address that takes bulk requests."""

    def __init__(self, url, authorization=None, trust=None):
        """authorization: returns the header of that name, anew for each request; trust: what vouches for its certificate."""
        self.url, self.authorization, self.trust = url.rstrip("/"), authorization, trust

    def tell(self, actions):
        """Sends actions and returns those that are to be sent again. OSError where nobody knows what became of any."""
        body = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for lines in actions for line in lines)
        headers = {"content-type": "application/x-ndjson"}
        if self.authorization:
            headers["authorization"] = self.authorization()
        request = urllib.request.Request(f"{self.url}/_bulk", body.encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS, context=self.trust) as answer:
                items = json.load(answer)["items"]
        except (http.client.HTTPException, KeyError, TypeError, ValueError) as error:
            # Such as the page of a proxy, or half an answer.
            raise OSError(f"no answer of a bulk interface: {type(error).__name__}: {error}") from error
        if len(items) != len(actions):
            raise OSError(f"{len(items)} answers to {len(actions)} documents")
        again = []
        for lines, item in zip(actions, items):
            told, = item.values()
            status = told.get("status", 0)
            if status == 429 or status >= 500:
                again.append(lines)
            # A newer one is there; nothing was there to delete.
            elif not 200 <= status < 300 and status != CONFLICT and not (status == 404 and "delete" in lines[0]):
                log.error("%s is left out: status %s, %s", told.get("_id"), status, json.dumps(told.get("error"))[:500])
        return again

    def tell_all(self, actions):
        """Sends actions until all are taken."""
        wait = BACK_OFF_SECONDS[0]
        while actions:
            try:
                left = self.tell(actions)
                why = "busy"
            except OSError as error:
                left, why = actions, error
            if not left:
                return
            log.warning("%d of %d documents are sent again: %s", len(left), len(actions), why)
            time.sleep(wait * random.uniform(0.5, 1.5))
            wait = BACK_OFF_SECONDS[0] if len(left) < len(actions) else min(wait * 2, BACK_OFF_SECONDS[1])
            actions = left


def parts(actions):
    """Actions in requests of a size that is taken."""
    part, size = [], 0
    for lines in actions:
        more = sum(len(line) for line in lines)
        if part and size + more > BATCH_BYTES:
            yield part
            part, size = [], 0
        part.append(lines)
        size += more
    if part:
        yield part


def run(arguments, index, stops=lambda: False):
    """Moves records until it is told to end."""
    # Here, so that `--help` needs no client.
    from confluent_kafka import Consumer, KafkaException

    places = {arguments.alerts: arguments.alerts_index, arguments.risk: arguments.risk_index}
    consumer = Consumer(
        {
            "bootstrap.servers": arguments.brokers,
            "group.id": arguments.group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            # A request may be tried for long while the index is away.
            "max.poll.interval.ms": 86_400_000,
        }
        | dict(pair.split("=", 1) for pair in arguments.property)
    )
    consumer.subscribe(list(places))
    try:
        while not stops():
            actions, taken = [], 0
            for message in consumer.consume(BATCH, POLL_SECONDS):
                if message.error():
                    if message.error().fatal():
                        raise KafkaException(message.error())
                    log.warning("Kafka: %s", message.error().str())
                    continue
                taken += 1
                lines = action(places[message.topic()], message.key() or b"", message.value(), message.timestamp()[1])
                if lines:
                    actions.append(lines)
                else:
                    log.error("%s/%s/%s is left out: no ECS document of Tiltmeter", message.topic(), message.partition(),
                              message.offset())
            for part in parts(actions):
                index.tell_all(part)
            if taken:
                consumer.commit(asynchronous=False)
    finally:
        consumer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brokers", default="localhost:9092")
    parser.add_argument("--url", required=True, help="where Elasticsearch or OpenSearch answers")
    parser.add_argument("--api-key-file", help="file with an API key, read anew for each request")
    parser.add_argument("--basic-file", help="file with the words after `Basic `, in place of an API key")
    parser.add_argument("--ca-file", help="certificates that vouch for it, in place of the system's")
    parser.add_argument("--alerts", default="agent-alerts.ecs", help="topic of alerts")
    parser.add_argument("--risk", default="agent-risk.ecs", help="topic of levels")
    parser.add_argument("--alerts-index", default="tiltmeter-alerts")
    parser.add_argument("--risk-index", default="tiltmeter-risk")
    parser.add_argument("--group", default="tiltmeter-elasticsearch")
    parser.add_argument("--property", action="append", default=[], metavar="NAME=VALUE",
                        help="of librdkafka, such as security.protocol=SSL")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    file = arguments.api_key_file or arguments.basic_file

    def authorization():
        with open(file, encoding="utf-8") as secret:
            return f"{'ApiKey' if arguments.api_key_file else 'Basic'} {secret.read().strip()}"

    trust = ssl.create_default_context(cafile=arguments.ca_file) if arguments.url.startswith("https:") else None
    run(arguments, Index(arguments.url, authorization if file else None, trust))


if __name__ == "__main__":
    main()
