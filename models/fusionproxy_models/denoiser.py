"""Our own unconditional denoiser: a small U-Net, trained on windows of the pairs' visible and infrared frames."""

import pickle
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from .data import load_pairs
from .diffusion import STEPS, Denoiser, signal_shares, time_embedding
from .errors import UserError
from .files import write_atomic
from .geometry import pick_window

#: Widths at strides 2, 4, 8.
WIDTHS = (48, 64, 96)
WINDOW, BATCH, LR, AVERAGE = 64, 16, 1e-3, 0.999
CHECKPOINT_SECONDS = 120


class ResBlock(nn.Module):
    """Two normalised convolutions with the time's embedding added in between, and a shortcut."""

    def __init__(self, cin: int, cout: int, time_width: int):
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(8, cin), nn.Conv2d(cin, cout, 3, padding=1)
        self.time = nn.Linear(time_width, cout)
        self.norm2, self.conv2 = nn.GroupNorm(8, cout), nn.Conv2d(cout, cout, 3, padding=1)
        self.short = nn.Identity() if cin == cout else nn.Conv2d(cin, cout, 1)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x: torch.Tensor, e: torch.Tensor) -> torch.Tensor:
        h = self.conv1(F.silu(self.norm1(x))) + self.time(e)[..., None, None]
        return self.short(x) + self.conv2(F.silu(self.norm2(h)))


class OwnDenoiser(Denoiser):
    """A U-Net over 2x2 cells of luma: noise of x [N, 1, H, W] at times t [N]; H and W multiples of 8."""

    channels, stride = 1, 8

    def __init__(self, widths: tuple[int, ...] = WIDTHS):
        super().__init__()
        e = 4 * widths[0]
        self.width = widths[0]
        self.embed = nn.Sequential(nn.Linear(widths[0], e), nn.SiLU(), nn.Linear(e, e), nn.SiLU())
        self.stem = nn.Conv2d(4, widths[0], 3, padding=1)
        ins = (widths[0], *widths)
        self.down = nn.ModuleList(ResBlock(a, b, e) for a, b in zip(ins, widths))
        self.middle = ResBlock(widths[-1], widths[-1], e)
        outs = (*widths[::-1][1:], widths[0])
        self.up = nn.ModuleList(ResBlock(2 * a, b, e) for a, b in zip(widths[::-1], outs))
        self.head = nn.Sequential(nn.GroupNorm(8, widths[0]), nn.SiLU(), nn.Conv2d(widths[0], 4, 3, padding=1))

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        e = self.embed(time_embedding(t, self.width))
        h, skips = self.stem(F.pixel_unshuffle(x, 2)), []
        for n, block in enumerate(self.down):
            h = block(F.avg_pool2d(h, 2) if n else h, e)
            skips.append(h)
        h = self.middle(h, e)
        for n, block in enumerate(self.up):
            h = block(torch.cat([F.interpolate(h, scale_factor=2.0) if n else h, skips.pop()], 1), e)
        return F.pixel_shuffle(self.head(h), 2)


def denoising_term(net: nn.Module, x: torch.Tensor, t: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Mean squared error of the noise predicted in sqrt(a_t) x + sqrt(1 - a_t) noise; x in -1..1 (DDPM, eq. 14)."""
    share = signal_shares()[t].to(x)[:, None, None, None]
    return (net(share.sqrt() * x + (1 - share).sqrt() * noise, t) - noise).square().mean()


def train_denoiser(
    pairs: Path, out: Path, steps: int, seed: int = 0, *, resume: bool = False, minutes: float | None = None
) -> int:
    """Trains until `steps` or `minutes`: the step reached. Writes `out/denoiser.pt` every 2 minutes and at the end.

    The batch of a step is a function of (seed, step) alone.
    """
    torch.manual_seed(seed)
    path = out / "denoiser.pt"
    net, average = OwnDenoiser(), OwnDenoiser()
    average.load_state_dict(net.state_dict())
    opt = torch.optim.AdamW(net.parameters(), LR, weight_decay=1e-4)
    step = 0
    if path.exists():
        if not resume:
            raise UserError(f"{path}: there already; add --resume to go on with it, or use another --out")
        c = _read(path)
        if c["options"] != (steps, seed):
            raise UserError(f"{path}: begun with --steps {c['options'][0]} --seed {c['options'][1]}; repeat them")
        net.load_state_dict(c["model"])
        average.load_state_dict(c["average"])
        opt.load_state_dict(c["optimiser"])
        step = c["step"]
    data = load_pairs(pairs)

    def save() -> None:
        state = {"step": step, "options": (steps, seed), "model": net.state_dict(), "average": average.state_dict()}
        write_atomic(path, lambda f: torch.save(state | {"optimiser": opt.state_dict()}, f))

    begun = saved = time.monotonic()
    recent = []
    while step < steps and (minutes is None or time.monotonic() - begun < minutes * 60):
        rng = np.random.default_rng([seed, step])
        x = []
        for _ in range(BATCH):
            p = data[int(rng.integers(len(data)))]
            x.append(pick_window(p, WINDOW, rng).of((p.vis, p.ir)[int(rng.integers(2))]).astype(np.float32))
        x = torch.from_numpy(np.stack(x))[:, None] / 127.5 - 1
        noise = torch.from_numpy(rng.standard_normal(x.shape, dtype=np.float32))
        loss = denoising_term(net, x, torch.from_numpy(rng.integers(0, STEPS, BATCH)), noise)
        for g in opt.param_groups:
            g["lr"] = LR * min(1.0, (step + 1) / 200, 2 * (1 - step / steps))
        opt.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        opt.step()
        with torch.no_grad():
            keep = min(AVERAGE, (1 + step) / (10 + step))
            for a, b in zip(average.parameters(), net.parameters()):
                a.lerp_(b, 1 - keep)
        step += 1
        recent = [*recent[-99:], float(loss.detach())]
        if step % 50 == 0:
            text = f"\r{step}/{steps} loss {np.mean(recent):.4f} {time.monotonic() - begun:.0f} s"
            print(text, end="", file=sys.stderr, flush=True)
        if time.monotonic() - saved > CHECKPOINT_SECONDS:
            save()
            saved = time.monotonic()
    save()
    print(file=sys.stderr)
    return step


def _read(path: Path) -> dict:
    try:
        c = torch.load(path, map_location="cpu", weights_only=True)
        c["average"], c["step"], c["options"]
    except FileNotFoundError as e:
        raise UserError(f"{path}: no such weights; train them with `fusionproxy-models denoiser`") from e
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, KeyError, TypeError) as e:
        first = (str(e).splitlines() or [type(e).__name__])[0]
        raise UserError(f"{path}: not a denoiser of this program ({first}); train it again") from e
    return c


def load_denoiser(path: Path) -> OwnDenoiser:
    """The averaged network of `train_denoiser`, in eval mode."""
    net = OwnDenoiser()
    net.load_state_dict(_read(path)["average"])
    return net.eval()
