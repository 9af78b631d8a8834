"""Runs `tiltmeter evaluate` on a learned and a judged stream, and keeps what it answered.

Knows the command's arguments and its two answers. Must not know what the streams mean.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Callable, NamedTuple

from .units import Unit, read_units

TIERS = ("full", "origin", "none")


class Answer(NamedTuple):
    """What the binary said about one run."""

    units: list[Unit]
    """In the order of their ids."""
    report: dict
    """Its own figures (`--json`)."""
    split: int
    """Sessions that were judged in more than one unit."""


class RunFailed(Exception):
    """The binary did not finish its work."""


class Runner:
    """Calls one binary and remembers its answers under everything that could change them.

    * `sources`: files from which the streams are made; their contents enter the memory's key.
    """

    def __init__(self, binary: Path, cache: Path, sources: list[Path]):
        self.binary = binary.resolve()
        self.cache = cache
        here = Path(__file__).parent
        self._base = [file_hash(path) for path in (self.binary, *sources, here / "streams.py", here / "adfa.py")]

    def judge(
        self,
        recipe: object,
        write: Callable[[Path, Path], list[str]],
        tier: str = "full",
        config: str = "",
        positive: str = "attack",
    ) -> Answer:
        """Judges the streams that `write` puts at the two paths it is given (learned, judged).

        * `recipe`: names the streams among all that can be made from the sources; anything JSON can hold.
        * `write` returns the ids of the judged sessions.
        * `config`: text of a configuration file; empty for none.
        * `positive`: the label that counts as positive.

        Raises `RunFailed` when the binary fails, `BadUnits` when its answer does not hold together.
        """
        key = hashlib.sha256(json.dumps([self._base, recipe, tier, config, positive]).encode()).hexdigest()[:32]
        kept = self.cache / f"{key}.json.gz"
        if kept.exists():
            with gzip.open(kept, "rt", encoding="utf-8") as file:
                answer = json.load(file)
        else:
            answer = self._run(write, tier, config, positive)
            self._keep(kept, answer)
        units, split = read_units(answer["units"], answer["ids"], positive)
        return Answer(units, answer["report"], split)

    def _run(self, write: Callable[[Path, Path], list[str]], tier: str, config: str, positive: str) -> dict:
        with tempfile.TemporaryDirectory(prefix="tiltmeter-evaluation-") as folder:
            learned, judged, settings, per_unit = (
                Path(folder, name) for name in ("learned.ndjson", "judged.ndjson", "settings.toml", "units.ndjson")
            )
            ids = write(learned, judged)
            command = [self.binary, "evaluate", "--baseline", learned, "--test", judged, "--unit", "session",
                       "--tier", tier, "--positive", f"^{positive}$", "--per-unit", per_unit, "--json"]
            if config:
                settings.write_text(config, encoding="utf-8")
                command += ["--config", settings]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise RunFailed(f"{self.binary.name} evaluate ended with {done.returncode}: {done.stderr.strip()[-800:]}")
            try:
                report = json.loads(done.stdout)
            except ValueError as error:
                raise RunFailed(f"{self.binary.name} evaluate --json wrote no JSON ({error}): {done.stdout[:200]}")
            return {"ids": ids, "report": report, "units": per_unit.read_text(encoding="utf-8").splitlines()}

    def _keep(self, path: Path, answer: dict) -> None:
        """Written beside and moved into place, so that a stopped run leaves no half file behind."""
        self.cache.mkdir(parents=True, exist_ok=True)
        half = path.with_suffix(f".{os.getpid()}")
        with gzip.open(half, "wt", encoding="utf-8", compresslevel=1) as file:
            json.dump(answer, file)
        half.replace(path)


def file_hash(path: Path) -> str:
    """SHA-256 of a file's content, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
