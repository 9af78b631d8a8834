"""Tables and named figures out of the summaries of rows.

Knows what a summary holds. Must not compute anything that needs scores.
"""

from __future__ import annotations

from .intervals import percentile_interval
from .measures import NOMINAL
from .report import NOTHING, Table, interval, number, ratio

MAIN = ("auc", "tpr@0.01", "tpr@0.05", "matched")

HEADER = ["AUC", "TPR at 1 % FPR", "TPR at 5 % FPR", "length-matched AUC"]


def row_name(summary: dict) -> str:
    """`A full`, for example."""
    return f"{summary['row']['protocol']} {summary['row']['tier']}"


def detection(summaries: list[dict], attempts: dict[str, dict]) -> tuple[dict[str, Table], dict[str, float]]:
    """The main rows: tables `detection`, `models`, `delay`, `calibration`, `controls`, `families`, `attempts`."""
    figures: dict[str, float] = {}
    rows: dict[str, list[list]] = {name: [] for name in
                                   ("detection", "models", "delay", "calibration", "controls", "families", "attempts")}
    for summary in summaries:
        name = row_name(summary)
        mean = summary["figures"]["mean"]
        figures |= {f"{name}: {label}": mean[key][0] for key, label in zip(MAIN, HEADER)}
        rows["detection"].append([name, *(interval(mean[key]) for key in MAIN)])
        if summary["row"]["tier"] != "full":
            continue
        rows["models"] += _models(name, summary)
        rows["delay"] += _delays(name, summary)
        rows["calibration"] += _calibration(name, summary)
        rows["controls"] += [[f"{name[0]}, {control}", *map(number, values)]
                             for control, values in summary["controls"].items()]
        rows["families"] += [[f"{name[0]}, {family}", number(auc)] for family, auc in summary["families"].items()]
        delay = summary["delay"]["mean"]
        figures[f"{name}: calls to alarm, median"] = delay.get("median")
        figures[f"{name}: calls to alarm, within 3"] = delay.get("within_3")
        for level in NOMINAL:
            figures[f"{name}: FPR at nominal {level * 100:g} %"] = mean[f"fpr@{level}"][0]
        length = summary["controls"].get("session length", [None])[0]
        if None not in (length, mean["auc"][0]):
            figures[f"{name}: AUC above session length"] = mean["auc"][0] - length
    for name, shares in attempts.items():
        rows["attempts"] += [[f"{name}, {words}", number(shares[key][0], 0), number(shares[key][1])]
                             for key, words in (("exposed", "saw the injection"), ("unexposed", "never saw it"))]
    headers = {
        "detection": ["row", *HEADER],
        "models": ["left-out model", "normal", "attack", *HEADER],
        "delay": ["left-out model", "median calls", "within 3", "of all: alarm before exposure", "of all: never exposed"],
        "calibration": ["row", "mean over models", "false alarms, pooled", "exact interval"],
        "controls": ["control", "AUC", "TPR at 1 % FPR", "TPR at 5 % FPR", "fires on normal", "fires on attack"],
        "families": ["family alone", "AUC"],
        "attempts": ["attempts", "sessions", "alarmed at the 5 % threshold"],
    }
    return {name: {"header": headers[name], "rows": rows[name]} for name in headers if rows[name]}, figures


def _models(name: str, summary: dict) -> list[list]:
    rows = []
    for who, figures in summary["figures"].items():
        sessions = summary["sessions"].get(who)
        if sessions:
            label = who if who in summary["counted"] else f"{who} (beside)"
            counts = [number(count, 0) for count in sessions]
        elif figures["auc"][0] is None:
            continue
        else:
            label = {"mean": "**mean**", "untuned": "mean of the models not tuned on"}[who]
            counts = [NOTHING, NOTHING]
        rows.append([f"{name[0]}, {label}", *counts, *(interval(figures[key]) for key in MAIN)])
    return rows


def _delays(name: str, summary: dict) -> list[list]:
    rows = []
    for who, delay in summary["delay"].items():
        if delay:
            rows.append([f"{name[0]}, {'**mean**' if who == 'mean' else who}", number(delay["median"], 2),
                         number(delay["within_3"]), number(delay["before"]), number(delay["unexposed"])])
    return rows


def _calibration(name: str, summary: dict) -> list[list]:
    rows = []
    for level in NOMINAL:
        pooled = summary["calibration"]["pooled"][str(level)]
        if pooled:
            hits, trials, low, high = pooled
            rows.append([f"{name[0]}, nominal {level * 100:g} %", interval(summary["figures"]["mean"][f"fpr@{level}"]),
                         ratio(hits, trials), _range(low, high)])
    return rows


def _range(low: float, high: float) -> dict:
    ends = number(low), number(high)
    return {"text": "[{}, {}]".format(*(end["text"] for end in ends)), "values": [low, high]}


def dirty(pairs: list[tuple[dict, dict]]) -> tuple[dict[str, Table], dict[str, float]]:
    """What attempts among the learned sessions cost: pairs of (clean, dirty) summaries of equal orders."""
    rows, figures = [], {}
    for clean, spoilt in pairs:
        name = row_name(clean)
        loss = {key: difference(clean, spoilt, key) for key in MAIN}
        figures |= {f"{name}, dirty stream: loss of {label}": loss[key][0] for key, label in zip(MAIN, HEADER)}
        rows.append([name, *(interval(loss[key]) for key in MAIN)])
    return {"dirty": {"header": ["loss", *HEADER], "rows": rows}}, figures


def mimicry(pairs: list[tuple[dict, dict]]) -> tuple[dict[str, Table], dict[str, float]]:
    """Attacks in disguise: pairs of (clean, mimicry) summaries."""
    rows, figures = [], {}
    for clean, disguised in pairs:
        name = row_name(clean)
        for words, summary in (("as they are", clean), ("in disguise", disguised)):
            mean = summary["figures"]["mean"]
            rows.append([f"{name}, {words}", *(interval(mean[key]) for key in MAIN)])
        figures |= {f"{name}, mimicry: {label}": disguised["figures"]["mean"][key][0]
                    for key, label in zip(MAIN, HEADER)}
    return {"mimicry": {"header": ["attacks", *HEADER], "rows": rows}}, figures


def ablation(whole: dict[str, dict], parts: dict[str, dict[str, dict]]) -> tuple[dict[str, Table], dict[str, float]]:
    """What each part earns: per protocol the whole, and per row its change when the part is taken away."""
    protocols = list(whole)
    header = ["row", *(f"{protocol}: {label}" for protocol in protocols for label in ("AUC", "TPR at 5 % FPR"))]
    keys = ("auc", "tpr@0.05")
    rows = [["everything", *(interval(whole[protocol]["figures"]["mean"][key]) for protocol in protocols for key in keys)]]
    figures = {}
    for name, by_protocol in parts.items():
        changes = []
        for protocol in protocols:
            for key in keys:
                change = difference(by_protocol[protocol], whole[protocol], key)
                figures[f"{protocol} full, {name}: change of {key}"] = change[0]
                changes.append(interval(change))
        rows.append([name, *changes])
    return {"ablation": {"header": header, "rows": rows}}, figures


def difference(first: dict, second: dict, key: str) -> list[float | None]:
    """[first − second, low, high] over the same draws of tasks."""
    values = first["figures"]["mean"][key][0], second["figures"]["mean"][key][0]
    if None in values:
        return [None, None, None]
    pairs = zip(first["draws"][key], second["draws"][key])
    return [values[0] - values[1], *percentile_interval([a - b for a, b in pairs if None not in (a, b)])]


def adfa(summary: dict) -> tuple[dict[str, Table], dict[str, float]]:
    """System-call traces beside STIDE."""
    rows, figures = [], {}
    for words, key in (("tiltmeter", "tiltmeter"), ("STIDE, sequences of 6", "stide")):
        rows.append([words, *(interval(summary[key][measure]) for measure in ("auc", "tpr@0.01", "tpr@0.05"))])
    figures["ADFA-LD: AUC"] = summary["tiltmeter"]["auc"][0]
    alarms = [
        [f"nominal {level * 100:g} %", number(hits / trials), ratio(hits, trials), _range(low, high)]
        for level in NOMINAL for hits, trials, low, high in [summary["calibration"]["pooled"][str(level)]]
    ]
    return {
        "adfa-ld": {"header": ["traces", *HEADER[:3]], "rows": rows},
        "adfa-ld-calibration": {"header": ["row", "observed", "false alarms", "exact interval"], "rows": alarms},
    }, figures
