"""CSV logs of a run that a resumed run can go on with."""

import csv
import io
from pathlib import Path

from .files import write_atomic


def append_csv(path: Path, fields: tuple[str, ...], rows: list[dict]) -> None:
    """Appends rows, and the header to a new file."""
    new = not path.exists()
    with open(path, "a", newline="") as f:
        w = csv.DictWriter(f, fields)
        if new:
            w.writeheader()
        w.writerows({k: (f"{v:.6g}" if isinstance(v, float) else v) for k, v in row.items()} for row in rows)


def logged_steps(path: Path) -> set[int]:
    """The steps that have a row."""
    if not path.exists():
        return set()
    with open(path, newline="") as f:
        return {int(row["step"]) for row in csv.DictReader(f)}


def cut_csv(path: Path, step: int) -> None:
    """Drops rows later than `step`: what an interrupted run logged after its last checkpoint."""
    if not path.exists():
        return
    with open(path, newline="") as f:
        rows = list(csv.reader(f))
    text = io.StringIO()
    csv.writer(text).writerows(r for n, r in enumerate(rows) if n == 0 or (r and int(r[0]) <= step))
    write_atomic(path, lambda f: f.write(text.getvalue().encode()))
