"""The streams that are learned and judged: who is left out, in which order, with what mixed in.

Knows the labelled event files of `agentdyn` and the protocol's splits.
Must not know scores. Nothing that a detector may not see (labels, exposure, tasks) enters a learned stream.
"""

from __future__ import annotations

import gzip
import json
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Iterable, NamedTuple

HIDDEN = ("label", "exposed", "task", "injection", "time_basis")
"""Fields that exist for the evaluation alone."""

PARITIES = ("even", "odd")


class Session(NamedTuple):
    """One run of a model on a task."""

    id: str
    model: str
    parity: str
    label: str
    task: str
    """Agent type and task."""
    start: int
    """Milliseconds since 1970."""
    events: list[dict]
    exposed: bool
    """Whether an injection was ever in view."""


class Judging(NamedTuple):
    """What one run of the binary learns and judges."""

    model: str
    """The model left out of learning and judged."""
    parity: str | None
    """None: all tasks on both sides. Else the judged tasks; those of the other parity are learned."""
    order: int
    """0: as recorded; else the seed that deals the start times of the learned sessions anew."""
    variant: str = "clean"
    """clean, dirty (attempts among what is learned), mimicry (attacks disguised) or attempts (in place of attacks)."""


class Corpus:
    """All sessions of a folder of `MODEL.PARITY.ndjson.gz` files."""

    def __init__(self, sessions: list[Session]):
        self.sessions = sessions
        self.models = sorted({session.model for session in sessions})

    @classmethod
    def read(cls, folder: Path) -> Corpus:
        """Reads every file of the folder; raises FileNotFoundError where there is none."""
        sessions: list[Session] = []
        for path in corpus_files(folder):
            model, parity = path.name.removesuffix(".ndjson.gz").rsplit(".", 1)
            with gzip.open(path, "rt", encoding="utf-8") as lines:
                sessions.extend(_sessions(map(json.loads, lines), model, parity))
        return cls(sorted(sessions, key=lambda session: session.id))

    def tasks(self, parity: str | None) -> list[str]:
        """The tasks that are judged: all of them, or those of one parity."""
        return sorted({s.task for s in self.sessions if parity in (None, s.parity) and s.label != "attempt"})

    def learned(self, judging: Judging, share_of_attempts: float = 0.1) -> list[Session]:
        """The sessions of the learning side, in the order and at the times at which they are learned."""
        others = [s for s in self.sessions if s.model != judging.model and s.parity != judging.parity]
        normals = [s for s in others if s.label == "normal"]
        if judging.order:
            normals = dealt_anew(normals, judging.order)
        if judging.variant == "dirty":
            attempts = [s for s in others if s.label == "attempt"]
            wanted = round(len(normals) * share_of_attempts / (1 - share_of_attempts))
            normals = normals + random.Random(f"dirty {judging.order}").sample(attempts, wanted)
        return normals

    def judged(self, judging: Judging) -> list[Session]:
        """The sessions of the judging side."""
        labels = ("normal", "attempt" if judging.variant == "attempts" else "attack")
        parities = PARITIES if judging.parity is None else (judging.parity,)
        sessions = [s for s in self.sessions if s.model == judging.model and s.parity in parities and s.label in labels]
        if judging.variant == "mimicry":
            sessions = [disguised(s) if s.label == "attack" else s for s in sessions]
        return sessions


def corpus_files(folder: Path) -> list[Path]:
    """The event files of the folder."""
    files = sorted(path for parity in PARITIES for path in folder.glob(f"*.{parity}.ndjson.gz"))
    if not files:
        raise FileNotFoundError(f"{folder} holds no MODEL.even.ndjson.gz or MODEL.odd.ndjson.gz")
    return files


def _sessions(events: Iterable[dict], model: str, parity: str) -> Iterable[Session]:
    runs: dict[str, list[dict]] = {}
    for event in events:
        runs.setdefault(event["session_id"], []).append(event)
    for id, run in runs.items():
        first = run[0]
        task = f"{first['agent_type']}/{first['task']}"
        yield Session(id, model, parity, first["label"], task, milliseconds(first["time"]), run,
                      any(event["exposed"] for event in run))


def dealt_anew(sessions: list[Session], seed: int) -> list[Session]:
    """The same sessions with their start times dealt anew; the spacing inside each session is kept."""
    starts = [session.start for session in sessions]
    random.Random(f"order {seed}").shuffle(starts)
    return [session._replace(start=start) for session, start in zip(sessions, starts)]


def disguised(session: Session) -> Session:
    """The session as an attacker would have it who makes every injected value stand in a field of its own.

    From the first call with an injection in view, each argument that came from the free text of a tool result
    becomes one that came from a field.
    """
    events = []
    for event in session.events:
        if event["exposed"]:
            arguments = [
                argument | {"origin_form": "field"}
                if argument.get("origin") == "tool" and argument.get("origin_form") == "free_text" else argument
                for argument in event["arguments"]
            ]
            event = event | {"arguments": arguments}
        events.append(event)
    return session._replace(events=events)


def write_stream(path: Path, sessions: Iterable[Session], labelled: bool) -> None:
    """Writes the sessions as one stream of events in the order of time; the hidden fields only if `labelled`."""
    lines: list[tuple[int, str, int, str]] = []
    for session in sessions:
        moved = session.start - milliseconds(session.events[0]["time"])
        for place, event in enumerate(session.events):
            time = milliseconds(event["time"]) + moved
            shown = {name: value for name, value in event.items() if labelled or name not in HIDDEN}
            if moved:
                shown["time"] = timestamp(time)
            lines.append((time, session.id, place, json.dumps(shown, separators=(",", ":"), ensure_ascii=False)))
    lines.sort()
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for *_, line in lines)


def milliseconds(time: str) -> int:
    """Milliseconds since 1970 of an RFC 3339 time."""
    return round(datetime.fromisoformat(time).timestamp() * 1000)


def timestamp(milliseconds: int) -> str:
    """RFC 3339, in UTC, to the millisecond."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03}Z"
