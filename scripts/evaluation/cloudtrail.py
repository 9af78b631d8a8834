"""A red-team exercise in AWS CloudTrail: records without their labels, scores of principals, ranks.

Knows the exercise's labels and keeps them away from the binary. Must not know tables.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import subprocess
import tomllib
from collections import Counter
from pathlib import Path
from typing import Iterable, Mapping, NamedTuple, Sequence

from .runner import RunFailed

MARK = "stratus-red-team"
"""Begins the user agent of every attack call, and leaks into names."""

Scores = Mapping[str, tuple[float, float]]
"""Principal: (score, p). The score counts, p decides between equal ones; where there are no scores, all are 0."""


class Record(NamedTuple):
    """One record."""

    principal: str
    """The agent that the mapping makes of it, without the mark."""
    span: str | None
    """Id of the attack's run; None for normal calls."""
    line: str
    """The record without the user agent, and without the mark in any field."""


class Truth(NamedTuple):
    """What is known of the exercise."""

    calls: Counter[str]
    """Records by principal."""
    attacks: Counter[str]
    """Attack calls by principal; 0 for those with none."""
    spans: dict[str, Counter[str]]
    """Attacked span: attack calls by principal."""


class Span(NamedTuple):
    """One attacked span."""

    id: str
    """The first eight characters of the run's id."""
    calls: int
    rank: float
    """Median over the keys of the best rank among its principals."""


class Told(NamedTuple):
    """What `detect` said."""

    alerts: int
    dead_letters: int
    scores: dict[str, float]
    """Highest risk score of each principal that had one."""


def principal_paths(mapping: Path) -> list[str]:
    """Where the mapping looks for the agent."""
    with open(mapping, "rb") as file:
        return tomllib.load(file)["fields"]["agent_id"]


def principal(record: dict, paths: Sequence[str]) -> str:
    """The first of the paths with a value, as the mapping reads them."""
    for path in paths:
        value: object = record
        for name in path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if isinstance(value, str) and value.strip():
            return value
    raise ValueError(f"a record has no principal: {json.dumps(record)[:200]}")


def masked(text: str, paths: Sequence[str]) -> Record:
    """One line of the exercise, without what gives it away."""
    record = json.loads(text)
    agent = record.get("userAgent") or ""
    span = agent.removeprefix(f"{MARK}_") if agent.startswith(f"{MARK}_") else None
    record["userAgent"] = ""
    line = json.dumps(record, separators=(",", ":"), ensure_ascii=False).replace(MARK, "x")
    return Record(principal(json.loads(line), paths), span, line)


def read(path: Path, paths: Sequence[str]) -> list[Record]:
    """All records, in their order."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [masked(line, paths) for line in lines if line.strip()]


def write(path: Path, records: Iterable[Record]) -> None:
    """The records as the binary sees them."""
    path.write_text("".join(record.line + "\n" for record in records), encoding="utf-8")


def truth(records: Iterable[Record]) -> Truth:
    """What the labels say."""
    calls: Counter[str] = Counter()
    attacks: Counter[str] = Counter()
    spans: dict[str, Counter[str]] = {}
    for record in records:
        calls[record.principal] += 1
        attacks[record.principal] += record.span is not None
        if record.span is not None:
            spans.setdefault(record.span, Counter())[record.principal] += 1
    return Truth(calls, attacks, spans)


def configuration(folder: Path, number: int) -> Path:
    """The default configuration with a key of its own."""
    key = folder / f"identity-{number}.key"
    key.write_text(hashlib.sha256(f"cloudtrail {number}".encode()).hexdigest()[:32], encoding="utf-8")
    config = folder / f"config-{number}.toml"
    config.write_text(f'[agents]\nidentity_key_file = "{key.name}"\n', encoding="utf-8")
    return config


def scores(binary: Path, stream: Path, config: Path, told: Told) -> dict[str, tuple[float, float]]:
    """Highest risk score of each principal, and least p over its hours and sessions; the stream is learned while it is
    judged, from nothing."""
    least: dict[str, float] = {}
    nothing = stream.with_name("nothing.ndjson")
    nothing.write_text("", encoding="utf-8")
    for unit in ("hour", "session"):
        rows = stream.with_name(f"{unit}.ndjson")
        _run([binary, "evaluate", "--source", "cloudtrail", "--baseline", nothing, "--test", stream, "--continue", "--unit",
              unit, "--per-unit", rows, "--config", config, "--json"])
        for line in rows.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            least[row["agent_id"]] = min(least.get(row["agent_id"], 1.0), row["p"])
    return {agent: (told.scores.get(agent, 0.0), p) for agent, p in least.items()}


def detected(binary: Path, stream: Path, config: Path) -> Told:
    """What the product says of the stream as it is."""
    dead = stream.with_name("dead.ndjson")
    done = _run([binary, "detect", "--source", "cloudtrail", "--config", config, "--dead-letters", dead, stream])
    alerts: set[str] = set()
    highest: dict[str, float] = {}
    for message in map(json.loads, done.splitlines()):
        if "alert_id" in message:
            alerts.add(message["alert_id"])
        elif "score" in message:
            highest[message["agent_id"]] = max(highest.get(message["agent_id"], 0.0), message["score"])
    return Told(len(alerts), len(dead.read_text(encoding="utf-8").splitlines()), highest)


def ranks(scores: Scores) -> dict[str, float]:
    """Rank of each principal: 1 is the highest score, and among equal scores the least p; equals share their mean rank."""
    ordered = sorted(scores, key=lambda agent: (-scores[agent][0], scores[agent][1]))
    ranked: dict[str, float] = {}
    at = 0
    while at < len(ordered):
        tied = [agent for agent in ordered[at:] if scores[agent] == scores[ordered[at]]]
        for agent in tied:
            ranked[agent] = at + (len(tied) + 1) / 2
        at += len(tied)
    return ranked


def labels(calls: Mapping[str, int]) -> dict[str, str]:
    """A kind and a number for each principal, most records first: names of people and accounts stay in the data."""
    marks = ((":role/", "role"), (":user/", "user"), (".amazonaws.com", "service"))
    numbers: Counter[str] = Counter()
    named: dict[str, str] = {}
    for agent in sorted(calls, key=lambda agent: (-calls[agent], agent)):
        kind = next((kind for mark, kind in marks if mark in agent), "other")
        numbers[kind] += 1
        named[agent] = f"{kind} {numbers[kind]}"
    return named


def auc(ranks: Mapping[str, float], attacked: set[str]) -> float:
    """Share of pairs of an attacked and another principal in which the attacked one ranks first; equals count half."""
    wins = pairs = 0.0
    for high in attacked & ranks.keys():
        for low in ranks.keys() - attacked:
            pairs += 1
            wins += 1 if ranks[high] < ranks[low] else 0.5 if ranks[high] == ranks[low] else 0
    return wins / pairs if pairs else float("nan")


def spans(known: Truth, rankings: Sequence[Mapping[str, float]]) -> list[Span]:
    """Every attacked span with the rank of its principal, largest first."""
    found = []
    for id, by in known.spans.items():
        best = sorted(min(ranking[agent] for agent in by) for ranking in rankings)
        middle = (best[(len(best) - 1) // 2] + best[len(best) // 2]) / 2
        found.append(Span(re.sub(r"[^0-9A-Za-z-]", "", id)[:8], sum(by.values()), middle))
    return sorted(found, key=lambda span: (-span.calls, span.id))


def _run(command: Sequence[object]) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RunFailed(f"tiltmeter {command[1]} ended with {done.returncode}: {done.stderr.strip()[-800:]}")
    return done.stdout
