"""What is sent during a run, and what happens to the instances meanwhile.

Two deployments. In `fleet`, days of a simulated fleet under attack are told as fast as the run is long: units close, versions
are made, alerts open, people give verdicts. In `stream`, events come as they happen: too many of them for a while, broken ones,
ones told twice, ones that have to be translated; and one of two instances is killed and comes back.
"""

import datetime
import json
import subprocess
import threading
import time
import urllib.error
import urllib.request

from .stage import MAPPING, PARTITIONS, waited_for

DAYS, AGENTS = 6, 120
# Of the stream. Events a second, and what share of the run is what.
RATE, BURST = 120, 3
IS_BURST = (0.30, 0.36)
IS_GONE = (0.22, 0.38)
IS_BROKEN = (0.55, 0.85)
TICK_SECS = 0.25
# Rules that hold by what an event says, so that what follows does not hang on chance.
RULES = '[[rules]]\nname = "planted"\nlevel = "medium"\nwhen.action = "planted"\n'
# Keys of saved slices that are damaged: the first ten of 64, both copies.
SAVED = b"slice|0"
# More alerts of one type in a minute than are told one by one.
STORM = 40


def instant(time_text):
    return int(datetime.datetime.fromisoformat(time_text).timestamp() * 1000)


def now():
    return datetime.datetime.now(datetime.UTC)


def told(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def within(share, span):
    return span[0] <= share < span[1]


class Load:
    """Sends until the run is over."""

    def __init__(self, stage, brokers, secs, ports):
        # Here, so that asking what the options are needs no package.
        from confluent_kafka import Producer

        self.stage, self.brokers, self.secs, self.ports = stage, brokers, secs, ports
        self.new_producer = lambda: Producer(
            {"bootstrap.servers": brokers, "partitioner": "murmur2_random", "linger.ms": 20}
        )
        self.faults = []

    def prepare(self):
        """Settings, topics, instances."""
        stage, brokers = self.stage, self.brokers
        (stage.folder / "foreign.toml").write_text(MAPPING, encoding="utf-8")
        fleet = stage.settings("fleet", "fleet-1", brokers, kafka='record_time = "producer"', after=RULES)
        source = '[[sources]]\ntopic = "stream-foreign"\nsource = "foreign.toml"\n[[sinks]]\nformat = "ocsf"\n'
        for name in ("stream-1", "stream-2"):
            stream = stage.settings("stream", name, brokers, before="[agents]\nmax = 60", after=source + RULES)
        self.make_source()
        for settings in (fleet, stream):
            stage.topics(settings)
        for name in self.ports:
            stage.instance(name, self.ports[name])
        for port in self.ports.values():
            waited_for("instances", lambda port=port: self.status(port, "/readyz") == 200)
        told_by = [stage.tiltmeter, "simulate", "--agents", str(AGENTS), "--days", str(DAYS), "--attack-share", "0.01"]
        made = subprocess.run(told_by, check=True, capture_output=True, text=True).stdout.splitlines()
        self.events = [json.loads(line) for line in made]

    def make_source(self):
        from confluent_kafka.admin import AdminClient, NewTopic

        admin = AdminClient({"bootstrap.servers": self.brokers})
        admin.create_topics([NewTopic("stream-foreign", 2, 1)])["stream-foreign"].result()

    def begin(self):
        self.began = time.monotonic()
        parts = (self.replay, self.stream, self.people, self.faults_of_instances)
        self.threads = [threading.Thread(target=self.kept(part), daemon=True) for part in parts]
        for thread in self.threads:
            thread.start()

    def join(self):
        for thread in self.threads:
            thread.join()

    def kept(self, part):
        def run():
            try:
                part()
            except Exception as fault:  # told at the end: a thread has nobody else to tell
                self.faults.append(f"{part.__name__}: {fault!r}")

        return run

    def share(self):
        """How much of the run is over, 0 to 1."""
        return (time.monotonic() - self.began) / self.secs

    def wait_until(self, share):
        time.sleep(max(0.0, (share - self.share()) * self.secs))

    def replay(self):
        """The days of the fleet, in the time of the run."""
        producer, first, last = self.new_producer(), instant(self.events[0]["time"]), instant(self.events[-1]["time"])
        for event in self.events:
            at = instant(event["time"])
            due = (at - first) / (last - first)
            while self.share() < due:
                producer.poll(0.02)
            value = json.dumps(event).encode()
            producer.produce("fleet-audit", value, key=event["agent_id"].encode(), timestamp=at)
            producer.poll(0)
        producer.flush()

    def stream(self):
        """Events as they happen."""
        producer, number = self.new_producer(), 0
        self.control(producer)
        while (share := self.share()) < 1:
            rate = RATE * (BURST if within(share, IS_BURST) else 1)
            bad_one_in = 3 if within(share, IS_BROKEN) else 300
            for _ in range(int(rate * TICK_SECS)):
                number += 1
                event = dict(self.events[number % len(self.events)], time=told(now()), event_id=f"e{number - (number % 50 == 0)}")
                value = json.dumps(event).encode()
                if number % bad_one_in == 0:
                    value = value[:40]
                producer.produce("stream-audit", value, key=event["agent_id"].encode())
            self.translated(producer, number)
            if number % 10 == 0:
                for kind in ("plain", "maintained", "suppressed"):
                    self.planted(producer, f"{kind}-{number}", kind)
            producer.poll(TICK_SECS)
        producer.flush()

    def planted(self, producer, agent, kind):
        event = {"time": told(now()), "agent_id": agent, "agent_type": kind, "action": "planted"}
        producer.produce("stream-audit", json.dumps(event).encode(), key=agent.encode())

    def translated(self, producer, number):
        event = {"at": told(now()), "id": f"f{number}", "who": f"foreign-{number % 7}", "did": "look"}
        if number % 4 == 0:
            del event["did"]
        producer.produce("stream-foreign", json.dumps(event).encode())

    def control(self, producer):
        """What is kept quiet: maintenance, a suppression."""
        from_, until = told(now()), told(now() + datetime.timedelta(hours=2))
        common = {"time": from_, "by": "panels", "until": until, "reason": "a trial"}
        records = (
            dict(common, id="m", kind="maintenance", agent_id="maintained-*", **{"from": from_}),
            dict(common, id="s", kind="suppression", agent_type="suppressed", owner="panels", family="rules"),
        )
        for record in records:
            producer.produce("stream-control", json.dumps(record).encode(), key=f"{record['kind']}|{record['id']}".encode())
        producer.flush()

    def people(self):
        """Who asks over HTTP, gives verdicts, and plants a storm."""
        asked_for = ("/v1/agents", "/readyz", "/v1/agents/nobody/risk")
        verdicts = [(0.4, "confirm_compromised"), (0.5, "confirm_safe"), (0.6, "dismiss"), (0.7, "confirm_compromised")]
        storm, producer = 0.45, self.new_producer()
        while self.share() < 1:
            for path in asked_for:
                self.status(self.ports["fleet-1"], path)
                self.status(self.ports["stream-1"], path)
            if verdicts and self.share() > verdicts[0][0]:
                self.judge(verdicts.pop(0)[1])
            if storm and self.share() > storm:
                storm = None
                for number in range(STORM * 4):
                    self.planted(producer, f"storm-{number}", "storm")
                producer.flush()
            time.sleep(2)

    def judge(self, verdict):
        for name in ("fleet-1", "stream-1"):
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[name]}/v1/agents?limit=1", timeout=20) as answer:
                riskiest = json.load(answer)["agents"][0]["agent_id"]
            body = json.dumps({"agent_id": riskiest, "verdict": verdict, "by": "panels", "reason": "a trial"}).encode()
            status = self.status(self.ports[name], "/v1/verdicts", body)
            if status != 200 and status != 201 and status != 202:
                raise RuntimeError(f"a verdict on {riskiest} was answered with {status}")

    def faults_of_instances(self):
        self.wait_until(IS_GONE[0])
        self.stage.kill("stream-2")
        self.damage()
        self.wait_until(IS_GONE[1])
        self.stage.instance("stream-2", self.ports["stream-2"])

    def damage(self):
        """Damages a part of what was saved, before the other instance takes it over."""
        from confluent_kafka import Consumer, TopicPartition

        reader = Consumer({"bootstrap.servers": self.brokers, "group.id": "damage", "enable.partition.eof": True})
        reader.assign([TopicPartition("stream-checkpoints", number, 0) for number in range(PARTITIONS)])
        keys, ended = set(), 0
        while ended < PARTITIONS:
            record = reader.poll(10)
            if record is None:
                raise RuntimeError("nothing was saved")
            if record.error():
                ended += 1
            elif record.value():
                keys.add((record.partition(), record.key()))
        reader.close()
        producer = self.new_producer()
        for partition, key in keys:
            if key.startswith(SAVED):
                producer.produce("stream-checkpoints", b"damaged", key=key, partition=partition)
        producer.flush()

    def status(self, port, path, body=None):
        """Of an answer; 0 without one."""
        asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(asked, timeout=20) as answer:
                return answer.status
        except urllib.error.HTTPError as refused:
            return refused.code
        except OSError:
            return 0
