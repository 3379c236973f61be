"""Checkpoints: everything that a resumed run needs, written atomically."""

import pickle
from dataclasses import dataclass, field
from pathlib import Path

import torch

from .errors import UserError
from .files import write_atomic


@dataclass
class Checkpoint:
    """The state of a run after `step` optimiser steps."""

    student: str
    step: int
    #: Options of the run that shape the curve; a resumed run must agree.
    options: dict
    model: dict
    #: Exponential moving average of the model: what is validated and exported.
    average: dict
    optimiser: dict
    #: The auxiliary heads of both encoders, which only training needs.
    heads: dict = field(default_factory=dict)
    #: Digests of what the run learns from (`fingerprint.py`); checkpoints from before there were any have none, and
    #: go on with whatever they are given.
    data: dict = field(default_factory=dict)


def checkpoint_path(run: Path) -> Path:
    """The checkpoint of the run folder."""
    return run / "checkpoint.pt"


def save(run: Path, c: Checkpoint) -> None:
    """Writes the run's checkpoint; a power cut leaves the previous one whole."""
    write_atomic(checkpoint_path(run), lambda f: torch.save(vars(c), f))


def load(run: Path, student: str | None = None) -> Checkpoint:
    """Reads the run's checkpoint; with `student`, refuses one of another network."""
    path = checkpoint_path(run)
    try:
        c = Checkpoint(**torch.load(path, map_location="cpu", weights_only=True))
    except FileNotFoundError as e:
        raise UserError(f"{path}: no checkpoint; train first, or name the run folder that holds one") from e
    except (RuntimeError, pickle.UnpicklingError, EOFError, TypeError, OSError, ValueError) as e:
        first = (str(e).splitlines() or [type(e).__name__])[0]
        raise UserError(f"{path}: not a checkpoint of this program ({first}); remove it and train again") from e
    if student is not None and c.student != student:
        raise UserError(f"{path}: a checkpoint of {c.student!r}, not of {student!r}; use another --out")
    return c
