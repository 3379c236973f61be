"""A foundation panel of our own, for when nobody else's weights are at hand.

Each member is a small encoder trained on the pairs alone. Warm-up: masked reconstruction, the masked cells'
luma from what is left. Then self-distillation as well: the encoder, seeing the masked frame, has to give the
features that its own moving average gives for the whole frame, and cells are weighted by how badly they were
reconstructed, so that it learns what the surroundings do not tell (after PSST, CVPR 2026).
"""

import pickle
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from .data import Pair, load_pairs
from .errors import UserError
from .files import write_atomic
from .geometry import pick_window
from .students import cba, ds


@dataclass(frozen=True)
class Member:
    """Widths of an encoder, one stride of 2 each."""

    channels: tuple[int, ...]


#: Edges and corners at stride 4; parts of objects at stride 8.
MEMBERS = {"fine": Member((16, 32)), "coarse": Member((16, 32, 64))}


class SelfEncoder(nn.Module):
    """Luma [N, 1, H, W] in 0..1 to features [N, C, H / stride, W / stride]."""

    def __init__(self, channels: tuple[int, ...]):
        super().__init__()
        self.stride = 2 ** len(channels)
        stages, cin = [], 1
        for c in channels:
            stages += [cba(cin, c, 3, 2), ds(c, c)]
            cin = c
        self.stages = nn.Sequential(*stages, nn.Conv2d(cin, cin, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.stages(x)


class Learner(nn.Module):
    """An encoder with the heads that training needs."""

    def __init__(self, channels: tuple[int, ...]):
        super().__init__()
        self.encoder = SelfEncoder(channels)
        c, s = channels[-1], self.encoder.stride
        self.context = nn.Sequential(*(ds(c, c) for _ in range(3)))  # masked cells are filled from around
        self.pixels = nn.Sequential(nn.Conv2d(c, s * s, 1), nn.PixelShuffle(s))
        self.predict = nn.Conv2d(c, c, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The reconstruction [N, 1, H, W] and the predicted features of the whole frame."""
        f = self.context(self.encoder(x))
        return self.pixels(f), self.predict(f)


def mask(n: int, size: int, cell: int, share: float, rng: np.random.Generator) -> torch.Tensor:
    """[N, 1, size, size], 1 on random square cells of which about `share` are masked."""
    m = rng.random((n, 1, size // cell, size // cell)) < share
    return torch.from_numpy(np.kron(m, np.ones((cell, cell))).astype(np.float32))


def reconstruction_term(got: torch.Tensor, want: torch.Tensor, masked: torch.Tensor) -> torch.Tensor:
    """Mean absolute error over the masked pixels."""
    return ((got - want).abs() * masked).sum() / masked.sum().clamp(min=1)


def distillation_term(predicted: torch.Tensor, target: torch.Tensor, error: torch.Tensor) -> torch.Tensor:
    """1 - cosine of the features per cell, weighted by the cell's share of the reconstruction error.

    `predicted`, `target` [N, C, h, w]; `error` [N, 1, H, W] >= 0, averaged over each feature's cell.
    """
    w = F.adaptive_avg_pool2d(error, target.shape[-2:])[:, 0]
    return (w * (1 - F.cosine_similarity(predicted, target, dim=1))).sum() / w.sum().clamp(min=1e-6)


def batch(pairs: list[Pair], n: int, size: int, rng: np.random.Generator) -> torch.Tensor:
    """[n, 1, size, size] windows of visible, infrared and average frames."""
    out = []
    for _ in range(n):
        p = pairs[int(rng.integers(len(pairs)))]
        w = pick_window(p, size, rng)
        v, i = (w.of(x).astype(np.float32) / 255 for x in (p.vis, p.ir))
        out.append((v, i, (v + i) / 2)[int(rng.integers(3))])
    return torch.from_numpy(np.stack(out))[:, None]


def learn(
    pairs: list[Pair], channels: tuple[int, ...], steps: int, seed: int = 0
) -> tuple[SelfEncoder, list[float]]:
    """Trains one member (a third of the steps as warm-up); its averaged encoder, and the loss of every step."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net, average = Learner(channels), SelfEncoder(channels)
    average.load_state_dict(net.encoder.state_dict())
    average.requires_grad_(False).eval()
    opt = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=1e-4)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(opt, max(steps, 1))
    curve = []
    for step in range(steps):
        x = batch(pairs, 8, 64, rng)
        hidden = mask(8, 64, 8, 0.5, rng)
        got, predicted = net(x * (1 - hidden) + 0.5 * hidden)
        loss = reconstruction_term(got, x, hidden)
        if step >= steps // 3:
            with torch.no_grad():
                target = average(x)
                target = target - target.mean((0, 2, 3), keepdim=True)  # or a constant would satisfy everyone
                error = (got - x).abs() * hidden
            loss = loss + 0.1 * distillation_term(predicted, target, error)
        opt.zero_grad(set_to_none=True)
        loss.backward()
        opt.step()
        fall.step()
        with torch.no_grad():
            keep = min(0.995, (1 + step) / (10 + step))
            for k, v in average.state_dict().items():
                w = net.encoder.state_dict()[k]
                v.lerp_(w, 1 - keep) if v.is_floating_point() else v.copy_(w)
        curve.append(float(loss.detach()))
        if step % 50 == 49:
            text = f"\r{step + 1}/{steps} loss {np.mean(curve[-50:]):.4f}"
            print(text, end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return average, curve


def train_panel(pairs: Path, out: Path, steps: int, seed: int = 0) -> None:
    """Trains every member on `pairs` and writes them to the file `out`."""
    data = load_pairs(pairs)
    state = {}
    for n, (name, m) in enumerate(MEMBERS.items()):
        encoder, _ = learn(data, m.channels, steps, seed + n)
        state[name] = encoder.state_dict()
    write_atomic(out, lambda f: torch.save(state, f))


def load_member(path: Path, name: str) -> SelfEncoder:
    """One member of a file of `train_panel`."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        net = SelfEncoder(MEMBERS[name].channels)
        net.load_state_dict(state[name])
    except KeyError as e:
        raise UserError(f"{path}: no member {name!r}; there are {', '.join(MEMBERS)}") from e
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError) as e:
        first = (str(e).splitlines() or [type(e).__name__])[0]
        raise UserError(f"{path}: not a panel of this program ({first}); train it again") from e
    return net.eval()
