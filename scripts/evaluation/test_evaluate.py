"""The whole script on a small made-up corpus, with a stand-in for the binary that keeps the command's contract."""

import contextlib
import gzip
import io
import json
import random
import stat
import sys
import tempfile
import unittest
from pathlib import Path

import evaluate
from evaluation.agentdyn import differences
from evaluation.runner import Answer
from evaluation.streams import HIDDEN, Corpus, Judging, dealt_anew, milliseconds, timestamp, write_stream
from evaluation.units import BadUnits, read_units

STAND_IN = '''#!{python}
# Scores a session by its unanchored free-text arguments; learns only how often a normal session has them.
import argparse, collections, json, sys
parser = argparse.ArgumentParser()
parser.add_argument("command")
for name in ("baseline", "test", "unit", "tier", "positive", "per-unit", "config"):
    parser.add_argument("--" + name)
parser.add_argument("--json", action="store_true")
options = parser.parse_args()
print(options.tier, file=open(__file__ + ".calls", "a"))
assert not options.config or open(options.config).read().startswith("[detect.provenance]")

def sessions(path):
    found = collections.defaultdict(list)
    for line in open(path):
        event = json.loads(line)
        found[event["session_id"]].append(event)
    return found

def bits(event, tier):
    return sum(a.get("origin_form") == "free_text" for a in event.get("arguments", [])) if tier == "full" else 0

past = sorted(sum(bits(e, options.tier) for e in events) for events in sessions(options.baseline).values())
assert not any("label" in e or "task" in e for events in sessions(options.baseline).values() for e in events)
with open(options.per_unit, "w") as out:
    for id, events in sessions(options.test).items():
        score, trajectory = -0.5 if len(events) > 3 else 0.0, []
        for call, event in enumerate(events):
            if bits(event, options.tier):
                score += bits(event, options.tier)
                trajectory.append([call, score])
        first = events[0]
        p = (1 + sum(s >= score for s in past)) / (1 + len(past))
        exposed = next((i for i, e in enumerate(events) if e.get("exposed")), None)
        print(json.dumps(dict(id=id, label=first["label"], task=first["task"], type=first["agent_type"], tier=options.tier,
              calls=len(events), first_exposed_call=exposed, alarm_call=None, score=score, p=p, trajectory=trajectory,
              controls=dict(length=len(events), rule=float(score >= 1)))), file=out)
print(json.dumps(dict(families=dict(call_content=dict(auc=0.75)))))
'''


def corpus(folder, models=("gpt-4o-mini", "gemini-2.5-flash", "third"), tasks=8):
    """Files of the data's form: attacks carry a free-text argument from their second call on, most of them."""
    chance = random.Random(4)
    folder.mkdir(parents=True)
    for model in models:
        for parity in (0, 1):
            events = []
            for i in range(30):
                for label in ("normal", "attack", "attempt"):
                    task = 2 * chance.randrange(tasks // 2) + parity
                    start = 1_760_000_000_000 + chance.randrange(10**9)
                    for call in range(chance.randrange(2, 6)):
                        seen = label != "normal" and call >= 1
                        free = chance.random() < (0.8 if seen and label == "attack" else 0.05)
                        events.append({
                            "time": timestamp(start + 1500 * call), "event_id": f"{model}{parity}{label}{i}.{call}",
                            "agent_id": f"{model}/shop", "agent_type": "shop", "seq": call, "action": "send",
                            "session_id": f"{model}-{parity}-{label}-{i}", "arguments": [
                                {"name": "to", "class": "word", "origin": "tool", "anchored": False,
                                 "origin_form": "free_text" if free else "field"}],
                            "label": label, "exposed": seen, "task": f"user_task_{task}", "injection": None,
                            "time_basis": "invented"})
            events.sort(key=lambda e: e["time"])
            with gzip.open(folder / f"{model}.{('even', 'odd')[parity]}.ndjson.gz", "wt") as file:
                file.writelines(json.dumps(event) + "\n" for event in events)


class Streams(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = Path(cls.temporary.name)
        corpus(cls.folder / "agentdyn")
        cls.corpus = Corpus.read(cls.folder / "agentdyn")

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def test_the_left_out_model_and_the_judged_tasks_are_never_learned(self):
        for parity in (None, "even", "odd"):
            judging = Judging("third", parity, 3, "dirty")
            learned, judged = self.corpus.learned(judging), self.corpus.judged(judging)
            self.assertNotIn("third", {s.model for s in learned})
            self.assertEqual({s.model for s in judged}, {"third"})
            if parity:
                self.assertFalse({s.task for s in learned} & {s.task for s in judged})

    def test_only_normal_sessions_are_learned_unless_the_stream_is_dirty(self):
        self.assertEqual({s.label for s in self.corpus.learned(Judging("third", None, 1))}, {"normal"})
        dirty = [s.label for s in self.corpus.learned(Judging("third", None, 1, "dirty"))]
        self.assertAlmostEqual(dirty.count("attempt") / len(dirty), 0.1, delta=0.005)
        self.assertNotIn("attack", dirty)

    def test_nothing_that_exists_for_the_evaluation_alone_is_learned(self):
        path = self.folder / "learned.ndjson"
        write_stream(path, self.corpus.learned(Judging("third", None, 2)), labelled=False)
        events = [json.loads(line) for line in path.read_text().splitlines()]
        self.assertFalse([name for event in events for name in HIDDEN if name in event])
        times = [event["time"] for event in events]
        self.assertEqual(times, sorted(times))

    def test_dealing_anew_keeps_the_start_times_and_the_spacing_inside_sessions(self):
        sessions = self.corpus.learned(Judging("third", None, 0))
        dealt = dealt_anew(sessions, 7)
        self.assertEqual(sorted(s.start for s in dealt), sorted(s.start for s in sessions))
        self.assertNotEqual([s.start for s in dealt], [s.start for s in sessions])
        self.assertEqual(dealt, dealt_anew(sessions, 7))
        path = self.folder / "dealt.ndjson"
        write_stream(path, dealt, labelled=True)
        times = {}
        for line in path.read_text().splitlines():
            event = json.loads(line)
            times.setdefault(event["session_id"], []).append(milliseconds(event["time"]))
        for session in dealt:
            self.assertEqual(times[session.id], [session.start + 1500 * i for i in range(len(session.events))])

    def test_mimicry_changes_exposed_calls_of_attacks_alone(self):
        plain = {s.id: s for s in self.corpus.judged(Judging("third", None, 0))}
        changed = 0
        for session in self.corpus.judged(Judging("third", None, 0, "mimicry")):
            for before, after in zip(plain[session.id].events, session.events):
                if session.label == "attack" and before["exposed"]:
                    self.assertEqual(after["arguments"][0]["origin_form"], "field")
                    changed += before != after
                else:
                    self.assertEqual(before, after)
        self.assertGreater(changed, 20)

    def test_a_time_survives_the_way_to_milliseconds_and_back(self):
        for text in ("2025-11-01T09:02:00.000Z", "2026-04-19T18:24:08.064Z", "1969-12-31T23:59:59.999Z"):
            self.assertEqual(timestamp(milliseconds(text)), text)


class PerUnit(unittest.TestCase):
    ROW = {"id": "s", "label": "attack", "task": "t", "type": "shop", "calls": 3, "first_exposed_call": 1,
           "alarm_call": None, "score": 2.0, "p": 0.5, "controls": {}, "trajectory": [[0, 1.0], [2, 2.0]]}

    def test_a_session_judged_in_parts_counts_once_with_its_worst(self):
        rows = [self.ROW, self.ROW | {"first_exposed_call": 0, "score": 9.0, "p": 0.01, "trajectory": [[0, 1.5], [1, 9.0]]}]
        units, split = read_units(map(json.dumps, rows), ["s"])
        self.assertEqual(split, 1)
        self.assertEqual((units[0].calls, units[0].exposed, units[0].score, units[0].p), (6, 1, 9.0, 0.01))
        self.assertEqual(units[0].trajectory, ((0, 1.0), (2, 2.0), (4, 9.0)))

    def test_lost_and_foreign_sessions_and_bad_figures_are_refused(self):
        for rows, expected in [([self.ROW], ["s", "lost"]), ([self.ROW], []), ([self.ROW | {"p": 1.5}], ["s"]),
                               ([self.ROW | {"score": None}], ["s"]), ([{"id": "s"}], ["s"])]:
            with self.assertRaises(BadUnits):
                read_units(map(json.dumps, rows), expected)


class CrossCheck(unittest.TestCase):
    def test_a_figure_of_the_binary_that_differs_is_measured_and_a_missing_one_is_left_out(self):
        rows = [PerUnit.ROW | {"id": "a", "score": 3.0}, PerUnit.ROW | {"id": "n", "label": "normal", "score": 1.0}]
        units, _ = read_units(map(json.dumps, rows), ["a", "n"])
        said = {"auc": 0.9, "tpr_at_fpr": {"0.01": 1.0}, "calls_to_alarm": {"median": None, "within_3": 1.0}}
        got = differences(Answer(units, said, 0), ["shop/t"])
        self.assertEqual(got.keys(), {"auc", "tpr@0.01", "within_3"})
        self.assertAlmostEqual(got["auc"], 0.1)
        self.assertEqual((got["tpr@0.01"], got["within_3"]), (0.0, 0.0))


class Whole(unittest.TestCase):
    def run_script(self, folder, *arguments):
        with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(io.StringIO()) as errors:
            code = evaluate.main(["--data", str(folder / "data"), "--binary", str(folder / "tiltmeter"),
                                  "--docs", str(folder / "docs"), "--cache", str(folder / "cache"), "--quick", *arguments])
        return code, said.getvalue(), errors.getvalue()

    def test_a_run_fills_the_page_and_a_second_one_does_not_call_the_binary_again(self):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            corpus(folder / "data/agentdyn")
            binary = folder / "tiltmeter"
            binary.write_text(STAND_IN.replace("{python}", sys.executable))
            binary.chmod(stat.S_IRWXU)
            code, said, errors = self.run_script(folder, "--only", "detection", "--only", "mimicry", "--only", "dirty")
            self.assertEqual((code, "Traceback" in errors), (0, False), errors)
            results = json.loads((folder / "docs/evaluation.json").read_text())
            figures = results["sections"]["detection"]["figures"]
            self.assertGreater(figures["A full: AUC"], 0.8)
            self.assertLess(figures["A none: AUC"], 0.7)
            self.assertGreaterEqual(figures["A full: calls to alarm, median"], 1)
            self.assertLess(figures["A full: calls to alarm, median"], 3)
            self.assertLess(results["sections"]["mimicry"]["figures"]["B full, mimicry: AUC"], 0.7)
            page = (folder / "docs/evaluation.md").read_text()
            self.assertIn("| A full |", page)
            self.assertIn("PASS  ", said)
            self.assertIn("gates were not measured", said)
            for name in ("roc-a.svg", "roc-b.svg", "calibration.svg"):
                self.assertIn("prefers-color-scheme", (folder / "docs/img" / name).read_text())
            self.assertNotIn(str(folder), (folder / "docs/evaluation.json").read_text())

            calls = (folder / "tiltmeter.calls").read_text().splitlines()
            code, _, errors = self.run_script(folder, "--only", "mimicry", "--gates")
            self.assertEqual(code, 1, "the stand-in misses gates: " + errors)
            self.assertEqual((folder / "tiltmeter.calls").read_text().splitlines(), calls)
            again = json.loads((folder / "docs/evaluation.json").read_text())
            self.assertEqual(again["tables"]["mimicry"], results["tables"]["mimicry"])
            self.assertEqual(again["sections"]["detection"], results["sections"]["detection"])

    def test_a_failing_binary_is_named_with_its_own_words(self):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            corpus(folder / "data/agentdyn")
            binary = folder / "tiltmeter"
            binary.write_text("#!/bin/sh\necho 'tiltmeter: no such tier' >&2\nexit 64\n")
            binary.chmod(stat.S_IRWXU)
            code, _, errors = self.run_script(folder, "--only", "mimicry")
            self.assertEqual(code, 2)
            self.assertIn("ended with 64: tiltmeter: no such tier", errors)


if __name__ == "__main__":
    unittest.main()
