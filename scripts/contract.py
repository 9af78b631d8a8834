#!/usr/bin/env python3
"""Measures the budget of alerts and the finding of attacks on simulated fleets, and writes docs/contract.json and .md.

    scripts/contract.py --binary target/release/tiltmeter

Without --held-out the fleets are those on which choices are made, and nothing is written: that is for looking. What each
figure means stands in docs/contract.md. Needs Python 3.11 and nothing else.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Callable

from evaluation import contract, report
from evaluation.contract import BUDGET, CEILING, HELD_OUT, TUNING, Fleet, Run
from evaluation.provenance import provenance
from evaluation.runner import RunFailed

ROOT = Path(__file__).resolve().parents[1]

WRONG = {"bits too low": 1 / 1.5}
"""Factors by which the bits of the shipped calibration are made wrong: too low, everything looks unusual."""
ATTACKED = 4
"""Fleets that are attacked: the first ones, which hold every preset under every law once."""
ASKED = ("hijacked-goal", "enumeration", "privilege-probing", "runaway-loop")
"""Attacks of which four in five are to be found."""
BAR = 60
"""Width of the longest bar of the curve. Characters."""


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=Path, default=ROOT / "target/release/tiltmeter", metavar="PATH")
    parser.add_argument("--held-out", action="store_true", help="measure on the held-out fleets and write the page")
    parser.add_argument("--go-on", action="store_true", help="keep what contract.json holds already, measure the rest")
    parser.add_argument("--render", action="store_true", help="measure nothing: write the page anew from contract.json")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", metavar="DIR",
                        help="where contract.json and contract.md stand")
    return parser.parse_args(arguments)


def measured(binary: Path, fleets: list[Fleet], results: dict, keep: Callable[[], None]) -> None:
    """Runs all fleets without attacks, the first under wrong calibrations and some under attack; adds to the results what
    they do not hold yet, and calls `keep` after each run."""

    def run(fleet: Fleet, what: str, **more: object) -> Run:
        print(f"seed {fleet.seed} ({fleet.preset}, {fleet.rate_law}) {what}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="tiltmeter-contract-") as folder:
            return contract.run(binary, fleet, Path(folder), **more)

    for fleet in fleets[len(results["quiet"]):]:
        quiet = run(fleet, "quiet")
        results["quiet"].append(fleet._asdict() | {
            "days": contract.by_day(quiet.alerts), "units": quiet.units, "small": quiet.small,
            "families": dict(Counter(alert.family for alert in quiet.alerts))})
        keep()
    shipped = json.loads((ROOT / "models/calibration.v1.json").read_text(encoding="utf-8"))
    for name, factor in WRONG.items():
        if name not in results["wrong"]:
            wrong = run(fleets[0], f"calibration with {name}", calibration=contract.stretched(shipped, factor))
            results["wrong"][name] = contract.by_day(wrong.alerts)
            keep()
    for fleet in fleets[len(results["attacked"]):ATTACKED]:
        attacked = run(fleet, "attacked", attack_share=contract.ATTACK_SHARE)
        hits: Counter = Counter(a.scenario for a in attacked.attacks if contract.found(a, attacked.alerts))
        results["attacked"].append(fleet._asdict() | {
            "days": contract.by_day(attacked.alerts), "found": dict(hits),
            "attacks": dict(Counter(attack.scenario for attack in attacked.attacks))})
        keep()


def tables(results: dict) -> dict[str, report.Table]:
    """What the page shows."""
    fleets, attacked = results["quiet"], results["attacked"]
    means = [contract.a_day(fleet["days"]) for fleet in fleets]
    units, small = sum(f["units"] for f in fleets), sum(f["small"] for f in fleets)
    share = 100 * small / units
    ceiling = CEILING * BUDGET
    rows = [
        ["alerts a day without attacks, mean over seeds [least, most]",
         report.interval([statistics.mean(means), min(means), max(means)], 2), f"at most {ceiling:g}",
         said(statistics.mean(means) <= ceiling)],
        ["units judged", report.number(units, 0), "at least 200000", said(units >= 200_000)],
        ["share of units with p below .01, in %", report.number(share, 2), ".3 to 1.5", said(0.3 <= share <= 1.5)],
    ]
    named = sorted({name for fleet in attacked for name in fleet["attacks"]}, key=lambda n: (n not in ASKED, n))
    attacks = []
    for name in named:
        tried = sum(fleet["attacks"].get(name, 0) for fleet in attacked)
        hits = sum(fleet["found"].get(name, 0) for fleet in attacked)
        figure = contract.wilson(hits, tried)
        asked = name in ASKED
        attacks.append([name, report.ratio(hits, tried), report.interval(figure), "at least .8" if asked else "–",
                        said(figure[0] >= 0.8) if asked else "–"])
    per_fleet = [[
        str(f["seed"]), f["preset"], f["rate_law"], report.several([f["pace_spread"], f["day_night"]]),
        report.number(contract.a_day(f["days"]), 2), report.number(sum(f["days"][:contract.FIRST_DAY - 1]), 0),
        report.number(100 * f["small"] / f["units"], 2),
        ", ".join(f"{n} {c}" for n, c in sorted(f["families"].items(), key=lambda item: (-item[1], item[0]))),
    ] for f in fleets]
    days = [statistics.mean(day) for day in zip(*(fleet["days"] for fleet in fleets))]
    tallest = max([*days, 1e-9])
    curve = [[str(number), report.number(mean, 1), "█" * round(BAR * mean / tallest)]
             for number, mean in enumerate(days, 1)]
    wrong = [[name, report.number(contract.a_day(days), 2), report.number(sum(days[:contract.FIRST_DAY - 1]), 0),
              "never" if (day := contract.holds_from(days)) is None else report.number(day, 0),
              report.several(days, 0)] for name, days in {"as shipped": fleets[0]["days"], **results["wrong"]}.items()]
    return {
        "contract-summary": {"header": ["figure", "value", "promised", "kept"], "rows": rows},
        "contract-attacks": {"header": ["attack", "found", "share [95 %]", "promised", "kept"], "rows": attacks},
        "contract-fleets": {"header": ["seed", "preset", "rate law", "pace spread / day-night", "alerts a day", "alerts on days 1–3",
                                       "% of p below .01", "alerts by family"], "rows": per_fleet},
        "contract-days": {"header": ["day", "alerts", ""], "rows": curve},
        "contract-wrong": {"header": ["calibration", "alerts a day", "alerts on days 1–3", "holds from day", "alerts by day"],
                           "rows": wrong},
    }


def said(kept: bool) -> str:
    """Whether a promise is kept, in a word."""
    return "yes" if kept else "**no**"


def main(arguments: list[str]) -> int:
    """Measures, and publishes what was held out. Returns the exit code."""
    options = parsed(arguments)
    place = options.docs / "contract.json"
    stored = {"run": {}, "quiet": [], "wrong": {}, "attacked": [], "tables": {}}
    if options.go_on or options.render:
        stored = json.loads(place.read_text(encoding="utf-8"))
    elif options.held_out:
        stored["run"] = provenance(ROOT, options.binary, arguments, 0)
        stored["run"]["command"] = stored["run"]["command"].replace("evaluate.py", "contract.py")
        del stored["run"]["bootstrap_draws"]
    keep = (lambda: report.save(place, stored)) if options.held_out else lambda: None
    try:
        if not options.render:
            measured(options.binary.resolve(), HELD_OUT if options.held_out else TUNING, stored, keep)
    except (RunFailed, OSError) as error:
        print(f"contract: {error}", file=sys.stderr)
        return 2
    made = tables(stored)
    for name, table in made.items():
        print(f"{name}\n\n{report.markdown(table)}")
    if options.held_out or options.render:
        made["contract-run"] = {"header": ["commit", "date", "machine", "command"], "rows": [[
            f"`{stored['run'][key]}`" if key == "command" else stored["run"][key]
            for key in ("commit", "date", "machine", "command")]]}
        page = options.docs / "contract.md"
        filled = report.fill(page.read_text(encoding="utf-8"), made)
        report.save(place, stored | {"tables": report.storable(made)})
        page.write_text(filled, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
