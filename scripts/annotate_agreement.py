#!/usr/bin/env python3
"""Compare the origins that `tiltmeter annotate` finds with those a data set ships.

The data set (AgentDyn, MIT licence, brought into Tiltmeter's event format) has two parts in one folder:
`transcripts.ndjson.gz`, conversations with content, and `*.even.ndjson.gz` / `*.odd.ndjson.gz`, events of the
same sessions with the origins that its makers computed by substring search. Sessions are aligned by
`session_id`, calls by `seq`, arguments by name and place among equal names.

Only the Python standard library. Usage:
    scripts/annotate_agreement.py --data DIR [--binary target/debug/tiltmeter] [--out FOLDER] [--show N]
"""

import argparse
import collections
import glob
import gzip
import json
import os
import subprocess
import sys
import tempfile

SYMBOLS = ["user", "tool/field", "tool/free_text/anchored", "tool/free_text/unanchored", "model/anchored", "model"]


def symbol(argument):
    """One of SYMBOLS: what the detector distinguishes."""
    origin, form, anchored = argument.get("origin"), argument.get("origin_form"), argument.get("anchored")
    if origin == "user":
        return "user"
    if origin == "tool" and form == "field":
        return "tool/field"
    if origin == "tool":
        return "tool/free_text/" + ("anchored" if anchored else "unanchored")
    return "model/anchored" if anchored else "model"


def lines(path):
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def annotate(binary, transcripts):
    with tempfile.TemporaryDirectory() as folder:
        key = os.path.join(folder, "key")
        with open(key, "w", encoding="ascii") as file:
            file.write("agreement-needs-no-secret-key")
        command = [binary, "annotate", "--key-file", key, "--keep", "label"]
        # Some pipelines have no clock; origins do not depend on times.
        command += ["--assume-started", "2026-01-01T00:00:00Z", transcripts]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    if done.stderr:
        print(done.stderr, file=sys.stderr, end="")
    return [json.loads(line) for line in done.stdout.splitlines()]


def by_session(events, wanted=None):
    sessions = collections.defaultdict(dict)
    for event in events:
        if wanted is None or event["session_id"] in wanted:
            sessions[event["session_id"]][event["seq"]] = event
    return sessions


def named(arguments):
    """Arguments by (name, place among equal names)."""
    seen, out = collections.Counter(), {}
    for argument in arguments:
        out[argument["name"], seen[argument["name"]]] = argument
        seen[argument["name"]] += 1
    return out


def flatten(value, name=""):
    """The scalars of a call's arguments as (name, value), named as in events: to look at examples."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flatten(inner, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        for inner in value[:12]:
            yield from flatten(inner, name + "[]")
    elif value not in (None, "") and str(value).strip():
        yield {"name": name, "value": value}


def contents(path):
    """(session, seq) -> the call's arguments with their values."""
    values = {}
    for conversation in lines(path):
        seq = 0
        for message in conversation["messages"]:
            for call in message.get("tool_calls") or []:
                values[conversation["session_id"], seq] = named(flatten(call.get("args") or {}))
                seq += 1
    return values


def compare(ours, shipped):
    table = collections.Counter()
    label_table = collections.Counter()
    unmatched = collections.Counter()
    outcomes = collections.Counter()
    classes = collections.Counter()
    examples = collections.defaultdict(list)
    for session, events in sorted(shipped.items()):
        if session not in ours:
            unmatched["session"] += 1
            continue
        for seq, theirs in sorted(events.items()):
            mine = ours[session].get(seq)
            if mine is None or mine["action"] != theirs["action"]:
                unmatched["call"] += 1
                continue
            outcomes[mine.get("outcome", "unknown"), theirs.get("outcome", "unknown")] += 1
            a, b = named(mine.get("arguments", [])), named(theirs.get("arguments", []))
            unmatched["argument"] += len(a.keys() ^ b.keys())
            for place in a.keys() & b.keys():
                pair = symbol(a[place]), symbol(b[place])
                table[pair] += 1
                label_table[theirs["label"], symbol(a[place]), symbol(b[place])] += 1
                classes[a[place]["class"], b[place]["class"]] += 1
                unmatched["length"] += a[place]["length"] != b[place]["length"]
                if pair[0] != pair[1]:
                    examples[pair].append((session, seq, theirs["action"], place))
    return table, label_table, unmatched, outcomes, classes, examples


def markdown(table):
    rows = ["| ours ↓ · shipped → | " + " | ".join(SYMBOLS) + " | all |", "|---" * (len(SYMBOLS) + 2) + "|"]
    for ours in SYMBOLS:
        cells = [table[ours, theirs] for theirs in SYMBOLS]
        rows.append(f"| {ours} | " + " | ".join(str(c) if c else "·" for c in cells) + f" | {sum(cells)} |")
    columns = [sum(table[ours, theirs] for ours in SYMBOLS) for theirs in SYMBOLS]
    rows.append("| all | " + " | ".join(map(str, columns)) + f" | {sum(columns)} |")
    return "\n".join(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder with transcripts.ndjson.gz and the shipped events")
    parser.add_argument("--binary", default="target/debug/tiltmeter")
    parser.add_argument("--out", help="folder for annotate_agreement.json and .md")
    parser.add_argument("--show", type=int, default=0, metavar="N", help="print N examples with content per disagreement")
    options = parser.parse_args()

    transcripts = os.path.join(options.data, "transcripts.ndjson.gz")
    ours = by_session(annotate(options.binary, transcripts))
    files = sorted(glob.glob(os.path.join(options.data, "*.even.ndjson.gz")))
    files += sorted(glob.glob(os.path.join(options.data, "*.odd.ndjson.gz")))
    shipped = by_session((event for path in files for event in lines(path)), set(ours))
    table, label_table, unmatched, outcomes, classes, examples = compare(ours, shipped)
    agree, total = sum(table[s, s] for s in SYMBOLS), sum(table.values())

    text = f"""{total} arguments of {len(shipped)} sessions; {agree} agree ({agree / max(total, 1):.1%}).
Not aligned: {dict(unmatched)}.

{markdown(table)}
"""
    risky = "tool/free_text/unanchored"
    for label in ("normal", "attempt", "attack"):
        mine = sum(n for (l, a, _), n in label_table.items() if l == label and a == risky)
        theirs = sum(n for (l, _, b), n in label_table.items() if l == label and b == risky)
        text += f"\nUnanchored free text in {label}: ours {mine}, shipped {theirs}."
    text += "\n\nOutcome, ours/shipped, where different: "
    text += ", ".join(f"{a}/{b} {n}" for (a, b), n in sorted(outcomes.items()) if a != b) or "none"
    text += "\nClass, ours/shipped, where different: "
    text += ", ".join(f"{a}/{b} {n}" for (a, b), n in classes.most_common() if a != b) or "none"
    print(text)

    if options.show:
        values = contents(transcripts)
        for pair, found in sorted(examples.items(), key=lambda item: -len(item[1])):
            print(f"\n== ours {pair[0]}, shipped {pair[1]}: {len(found)}")
            counts = collections.Counter()
            for session, seq, action, place in found:
                value = values.get((session, seq), {}).get(place, {}).get("value")
                counts[action, place[0], str(value)[:100]] += 1
            for (action, name, value), n in counts.most_common(options.show):
                print(f"  {n:3} {action} {name} = {value!r}")
            print("     first:", *found[0][:2])
    if options.out:
        os.makedirs(options.out, exist_ok=True)
        result = {
            "arguments": total,
            "sessions": len(shipped),
            "agree": agree,
            "not_aligned": dict(unmatched),
            "table": [{"ours": a, "shipped": b, "count": n} for (a, b), n in sorted(table.items())],
        }
        with open(os.path.join(options.out, "annotate_agreement.json"), "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)
            file.write("\n")
        with open(os.path.join(options.out, "annotate_agreement.md"), "w", encoding="utf-8") as file:
            file.write(text + "\n")


if __name__ == "__main__":
    main()
