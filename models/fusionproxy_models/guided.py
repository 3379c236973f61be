"""The 256x256 unconditional ImageNet denoiser that DDFM samples with, for those who have its weights.

The network is that of Dhariwal and Nichol (2021); module names are those of the published
`256x256_diffusion_uncond.pt`, so its state dictionary loads as it is. It predicts noise and variance, 6 channels,
of which the first 3 are used.
"""

import pickle
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F

from .diffusion import Denoiser, time_embedding
from .errors import UserError

#: Base width, widths relative to it, residual blocks a level, levels with attention, width of a head.
BASE, LEVELS, BLOCKS, ATTENDED, HEAD = 256, (1, 1, 2, 2, 4, 4), 2, (3, 4, 5), 64


class ResBlock(nn.Module):
    """Normalise, convolve, scale and shift by the time, convolve; `resize` halves or doubles both paths."""

    def __init__(self, cin: int, cout: int, time_width: int, resize: str = ""):
        super().__init__()
        self.resize = resize
        self.in_layers = nn.Sequential(nn.GroupNorm(32, cin), nn.SiLU(), nn.Conv2d(cin, cout, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(time_width, 2 * cout))
        last = nn.Conv2d(cout, cout, 3, padding=1)
        self.out_layers = nn.Sequential(nn.GroupNorm(32, cout), nn.SiLU(), nn.Identity(), last)
        self.skip_connection = nn.Identity() if cin == cout else nn.Conv2d(cin, cout, 1)

    def resized(self, x: torch.Tensor) -> torch.Tensor:
        if self.resize == "down":
            return F.avg_pool2d(x, 2)
        return F.interpolate(x, scale_factor=2.0) if self.resize == "up" else x

    def forward(self, x: torch.Tensor, e: torch.Tensor) -> torch.Tensor:
        h = self.in_layers[2](self.resized(self.in_layers[:2](x)))
        scale, shift = self.emb_layers(e)[..., None, None].chunk(2, 1)
        h = self.out_layers[1:](self.out_layers[0](h) * (1 + scale) + shift)
        return self.skip_connection(self.resized(x)) + h


class Attention(nn.Module):
    """Self-attention over all positions, heads outermost in `qkv`."""

    def __init__(self, c: int, head: int):
        super().__init__()
        self.heads = c // head
        self.norm, self.qkv, self.proj_out = nn.GroupNorm(32, c), nn.Conv1d(c, 3 * c, 1), nn.Conv1d(c, c, 1)

    def forward(self, x: torch.Tensor, e: torch.Tensor) -> torch.Tensor:
        flat = x.flatten(2)
        n, c, t = flat.shape
        q, k, v = self.qkv(self.norm(flat)).view(n, self.heads, 3, c // self.heads, t).transpose(-1, -2).unbind(2)
        a = F.scaled_dot_product_attention(q, k, v).transpose(-1, -2).reshape(n, c, t)
        return (flat + self.proj_out(a)).view_as(x)


class GuidedDenoiser(Denoiser):
    """Noise of x [N, 3, H, W] at times t [N]; H and W multiples of 32."""

    channels = 3

    def __init__(self, base=BASE, levels=LEVELS, blocks=BLOCKS, attended=ATTENDED, head=HEAD):
        super().__init__()
        self.base, self.stride = base, 2 ** (len(levels) - 1)
        e = 4 * base
        self.time_embed = nn.Sequential(nn.Linear(base, e), nn.SiLU(), nn.Linear(e, e))
        c = base * levels[0]
        self.input_blocks = nn.ModuleList([nn.ModuleList([nn.Conv2d(3, c, 3, padding=1)])])
        widths = [c]
        for n, mult in enumerate(levels):
            for _ in range(blocks):
                self.input_blocks.append(self._stage(c, base * mult, e, head, n in attended))
                widths.append(c := base * mult)
            if n < len(levels) - 1:
                self.input_blocks.append(nn.ModuleList([ResBlock(c, c, e, "down")]))
                widths.append(c)
        self.middle_block = nn.ModuleList([ResBlock(c, c, e), Attention(c, head), ResBlock(c, c, e)])
        self.output_blocks = nn.ModuleList()
        for n, mult in reversed(list(enumerate(levels))):
            for k in range(blocks + 1):
                stage = self._stage(c + widths.pop(), base * mult, e, head, n in attended)
                c = base * mult
                if n and k == blocks:
                    stage.append(ResBlock(c, c, e, "up"))
                self.output_blocks.append(stage)
        self.out = nn.Sequential(nn.GroupNorm(32, c), nn.SiLU(), nn.Conv2d(c, 6, 3, padding=1))

    @staticmethod
    def _stage(cin: int, cout: int, e: int, head: int, attend: bool) -> nn.ModuleList:
        return nn.ModuleList([ResBlock(cin, cout, e), *([Attention(cout, head)] if attend else [])])

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        e = self.time_embed(time_embedding(t, self.base))
        h = self.input_blocks[0][0](x)
        skips = [h]
        for stage in self.input_blocks[1:]:
            for layer in stage:
                h = layer(h, e)
            skips.append(h)
        for layer in self.middle_block:
            h = layer(h, e)
        for stage in self.output_blocks:
            h = torch.cat([h, skips.pop()], 1)
            for layer in stage:
                h = layer(h, e)
        return self.out(h)[:, :3]


def load_guided(path: Path) -> GuidedDenoiser:
    """The published network, in eval mode."""
    with torch.device("meta"):
        net = GuidedDenoiser()
    return load_state(net, path, "OpenAI's 256x256_diffusion_uncond.pt")


def load_state(net: nn.Module, path: Path, what: str) -> nn.Module:
    """`net` (on the meta device) with the state dictionary in `path`, in eval mode; `module.` prefixes are cut."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        net.load_state_dict({k.removeprefix("module."): v for k, v in state.items()}, assign=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, AttributeError) as e:
        first = (str(e).splitlines() or [type(e).__name__])[0]
        raise UserError(f"{path}: not {what} ({first})") from e
    return net.requires_grad_(False).eval()
