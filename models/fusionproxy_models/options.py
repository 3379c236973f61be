"""What shapes the curve of a training run."""

import math
from dataclasses import dataclass, field

from .augment import Augment
from .losses import Weights


@dataclass(frozen=True)
class Options:
    """Everything that shapes the curve of a run; a resumed run must agree."""

    student: str
    steps: int = 20000
    batch: int = 8
    lr: float = 2e-3
    weight_decay: float = 1e-4
    warmup: int = 200
    #: Share of the steps, at the end, over which the learning rate falls to zero.
    decay: float = 0.4
    #: Share of the steps after which misalignment injection begins.
    aligned: float = 0.3
    #: Share of the steps, at the end, that see pairs as they are: neither moved nor changed in ways the teachers
    #: were not asked about, nor synthetic. Missing modalities stay. BatchNorm's statistics are frozen.
    polish: float = 0.3
    average: float = 0.999
    #: Temperature of the uncertainty weights and of the routing, eqs. 7, 9 and 10: above 1 the disagreement of the
    #: teachers counts for less, below 1 for more.
    tau: float = 1.0
    #: Pairs are scaled down to this longest side before cropping; None leaves them as they are.
    long_side: int | None = None
    #: Run folder whose averaged weights this run began with; None begins at random.
    init: str | None = None
    #: Names of the backbones of the foundation panel; empty without one.
    panel: tuple[str, ...] = ()
    seed: int = 0
    augment: Augment = field(default_factory=Augment)
    weights: Weights = field(default_factory=Weights)


def learning_rate(step: int, o: Options) -> float:
    """Linear warm-up, constant, then a cosine fall to zero over the last `decay` of the steps."""
    start = round(o.steps * (1 - o.decay))
    up = min(1.0, (step + 1) / max(o.warmup, 1))
    if step < start:
        return o.lr * up
    return o.lr * up * 0.5 * (1 + math.cos(math.pi * (step - start) / max(o.steps - start, 1)))
