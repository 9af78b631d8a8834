"""Processes that a run needs: a broker, instances of the service, a Prometheus. All of them end with the run.

Knows ports, folders and settings. Must not know what is sent, nor what is asked.
"""

import os
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PARTITIONS = 4
TOPICS = ("audit", "alerts", "risk", "dead_letters", "control", "status", "journal", "checkpoints", "baseline_parts", "baselines")
PATIENCE_SECS = 90
# Each event of the source becomes an audit event by this.
MAPPING = """schema = "tiltmeter.source-mapping.v1"
[fields]
time = "at"
event_id = "id"
agent_id = "who"
agent_type = { constant = "foreign" }
action = "did"
"""


class Missing(Exception):
    """Something that a run needs is not at hand."""


def free_ports(count):
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def waited_for(what, is_there):
    until = time.monotonic() + PATIENCE_SECS
    while time.monotonic() < until:
        if is_there():
            return
        time.sleep(0.25)
    raise RuntimeError(f"{what}: not there after {PATIENCE_SECS} s")


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


class Stage:
    """Everything that runs. Paths lie in one folder."""

    def __init__(self, folder, tiltmeter):
        self.folder, self.tiltmeter, self.running = folder, tiltmeter, {}

    def start(self, name, command):
        """A process with a log of its own, which a later one of the same name goes on with."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder)

    def kill(self, name):
        """Ends one as a power cut would."""
        process = self.running.pop(name)
        process.kill()
        process.wait()

    def end(self):
        for process in self.running.values():
            process.send_signal(signal.SIGTERM)
        for process in self.running.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def dead(self):
        """Names of those that ended by themselves."""
        return [name for name, process in self.running.items() if process.poll() is not None]

    def broker(self):
        """A Kafka of one node, from what scripts/kafka/fetch copied. Gives its address."""
        found = sorted((ROOT / "target/kafka").glob("*/kafka-server-*.jar"))
        if not found:
            raise Missing("Kafka: run scripts/kafka/fetch, or name a broker with --brokers")
        client, controller = free_ports(2)
        settings = self.folder / "kafka.properties"
        settings.write_text(
            f"process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{controller}\n"
            f"listeners=PLAINTEXT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}\n"
            f"advertised.listeners=PLAINTEXT://127.0.0.1:{client}\ncontroller.listener.names=CONTROLLER\n"
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n"
            f"log.dirs={self.folder / 'kafka'}\nauto.create.topics.enable=false\noffsets.topic.replication.factor=1\n"
            "transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n"
            "group.initial.rebalance.delay.ms=0\nlog.cleaner.dedupe.buffer.size=16777216\n",
            encoding="utf-8",
        )
        java = ["java", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{found[0].parent}/*"]
        identity = "panels0000000000000000"
        subprocess.run([*java, "kafka.tools.StorageTool", "format", "-t", identity, "-c", settings], check=True,
                       stdout=subprocess.DEVNULL)
        self.start("broker", [*java, "kafka.Kafka", settings])
        waited_for("the broker", lambda: _listens(client))
        return f"127.0.0.1:{client}"

    def settings(self, group, instance, brokers, *, before="", kafka="", after=""):
        """A configuration file of an instance."""
        topics = "".join(f'{name} = "{group}-{name}"\n' for name in TOPICS)
        path = self.folder / f"{instance}.toml"
        path.write_text(
            f'[levels]\nobserve_first_days = 0\n{before}\n[kafka]\nbrokers = "{brokers}"\ngroup = "{group}"\n'
            f'instance = "{instance}"\nsession_timeout_ms = 10000\ntransaction_timeout_ms = 8000\n{kafka}\n'
            f"[kafka.topics]\n{topics}\n{after}",
            encoding="utf-8",
        )
        return path

    def topics(self, settings):
        subprocess.run([self.tiltmeter, "topics", "--create", "--partitions", str(PARTITIONS), "-c", settings], check=True,
                       stdout=subprocess.DEVNULL)

    def instance(self, name, port):
        self.start(name, [self.tiltmeter, "run", "--listen", f"127.0.0.1:{port}", "--log", "text", "-c", self.folder / f"{name}.toml"])

    def prometheus(self, targets):
        """Scrapes every five seconds, by jobs. Gives its address."""
        (port,) = free_ports(1)
        jobs = "".join(f"  - job_name: {job}\n    static_configs: [{{ targets: {ports} }}]\n" for job, ports in targets.items())
        rules = ROOT / "deploy/prometheus"
        path = self.folder / "prometheus.yml"
        path.write_text(
            "global: { scrape_interval: 5s, evaluation_interval: 15s }\n"
            f"rule_files: [{rules / 'recording.yml'}, {rules / 'alerts.yml'}]\nscrape_configs:\n{jobs}",
            encoding="utf-8",
        )
        self.start("prometheus", ["prometheus", f"--config.file={path}", f"--web.listen-address=127.0.0.1:{port}",
                                  f"--storage.tsdb.path={self.folder / 'prometheus'}", "--log.level=warn"])
        waited_for("Prometheus", lambda: answers(f"http://127.0.0.1:{port}/-/ready"))
        return f"http://127.0.0.1:{port}"


def _listens(port):
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


def tool(name):
    """Where a program is."""
    for folder in os.environ["PATH"].split(os.pathsep):
        if os.access(Path(folder) / name, os.X_OK):
            return
    raise Missing(name)
