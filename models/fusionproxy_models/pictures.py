"""Contact sheets for looking at a run: visible, infrared, teacher mean and fused side by side."""

from pathlib import Path

import numpy as np
from PIL import Image

from .files import write_atomic


def contact_sheet(rows: list[list[np.ndarray]], path: Path, height: int = 160, columns: int = 2) -> None:
    """Writes rows of u8 luma images, each scaled to `height`, in `columns` columns as one PNG."""
    lines = []
    for row in rows:
        cells = [Image.fromarray(x).resize((round(x.shape[1] * height / x.shape[0]), height)) for x in row]
        lines.append(np.concatenate([np.asarray(c) for c in cells], 1))
    width = max(line.shape[1] for line in lines)
    lines = [np.pad(line, ((0, 4), (0, width - line.shape[1]))) for line in lines]
    depth = -(-len(lines) // columns)
    blank = np.zeros_like(lines[0])
    lines += [blank] * (depth * columns - len(lines))
    sheet = np.concatenate([np.concatenate(lines[c * depth : (c + 1) * depth]) for c in range(columns)], 1)
    write_atomic(path, lambda f: Image.fromarray(sheet).save(f, format="PNG"))
