"""Who measured, on what, from which commit.

Knows the machine and the repository. Must not give away where on that machine things lie.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Sequence

from .runner import file_hash

JUDGING = ("src", "models", "scripts", "Cargo.toml", "Cargo.lock")
"""What of the repository can change a figure."""


def provenance(root: Path, binary: Path, arguments: Sequence[str], draws: int) -> dict[str, str | int]:
    """The command (folders of its paths left out), machine, date, commit, and the first digits of the binary's SHA-256."""
    words = [re.sub(r"[^\s=]*/", "", word) for word in arguments]
    commit = _git(root, "rev-parse", "--short=12", "HEAD") or "unknown"
    return {
        "command": " ".join(["scripts/evaluate.py", *words]),
        "machine": f"{_processor()}, {os.cpu_count()} cores",
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "commit": commit + (" with changes" if _git(root, "status", "--porcelain", "--", *JUDGING) else ""),
        "binary": file_hash(binary)[:12],
        "bootstrap_draws": draws,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", root, *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip()
