"""The conditional denoiser of Mask-DiFuser, for those who have its weights.

Module names are those of the published checkpoint (github.com/Linfeng-Tang/Mask-DiFuser), so its state dictionary
loads as it is: a U-Net over a content code of both images, with cross-attention to a semantic code of each.
"""

from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F

from .diffusion import STEPS, clean_estimate, ddim_step, signal_shares
from .guided import load_state

#: Base width, widths relative to it, level with self-attention, residual blocks a level, width of both codes.
BASE, LEVELS, ATTENDED, BLOCKS, CODE = 128, (1, 2, 3, 4), (2,), 2, 128


def norm_conv(cin: int, cout: int, stride: int = 1) -> list[nn.Module]:
    """GroupNorm, SiLU, 3x3 convolution."""
    return [nn.GroupNorm(32, cin), nn.SiLU(), nn.Conv2d(cin, cout, 3, stride, 1)]


class SelfAttention(nn.Module):
    """One head over all positions."""

    def __init__(self, c: int):
        super().__init__()
        self.group_norm = nn.GroupNorm(32, c)
        self.proj_q, self.proj_k, self.proj_v, self.proj = (nn.Conv2d(c, c, 1) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.group_norm(x)
        return x + self.proj(attend(self.proj_q(h), self.proj_k(h), self.proj_v(h)))


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """softmax(q k / sqrt(C)) v over positions, all [N, C, H, W]; of q's size."""
    flat = (x.flatten(2).transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(*flat).transpose(1, 2).reshape(q.shape)


class CrossAttention(nn.Module):
    """One head from features to a code [N, CODE, h, w]."""

    def __init__(self, c: int, code: int):
        super().__init__()
        self.norm_x, self.norm_cond = nn.GroupNorm(32, c), nn.GroupNorm(32, code)
        self.proj_q, self.proj_k1, self.proj_v1 = nn.Conv2d(c, c, 1), nn.Conv2d(code, c, 1), nn.Conv2d(code, c, 1)

    def forward(self, x: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        n = self.norm_cond(code)
        return attend(self.proj_q(self.norm_x(x)), self.proj_k1(n), self.proj_v1(n))


class ResBlock(nn.Module):
    """A residual block, then both codes attended to in both orders."""

    def __init__(self, cin: int, cout: int, time_width: int, attention: bool):
        super().__init__()
        self.block1 = nn.Sequential(*norm_conv(cin, cout))
        self.temb_proj = nn.Sequential(nn.SiLU(), nn.Linear(time_width, cout))
        a, b, conv = norm_conv(cout, cout)
        self.block2 = nn.Sequential(a, b, nn.Identity(), conv)
        self.shortcut = nn.Identity() if cin == cout else nn.Conv2d(cin, cout, 1)
        self.attn = SelfAttention(cout) if attention else nn.Identity()
        self.cross_attention = CrossAttention(cout, CODE)
        self.conbine = nn.Sequential(nn.Conv2d(3 * cout, cout, 3, 1, 1), nn.GroupNorm(32, cout), nn.SiLU())

    def forward(self, x: torch.Tensor, e: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        h = self.block2(self.block1(x) + self.temb_proj(e)[..., None, None])
        h = self.attn(h + self.shortcut(x))
        first = self.cross_attention(self.cross_attention(h, a), b)
        second = self.cross_attention(self.cross_attention(h, b), a)
        return self.conbine(torch.cat([first, second, first + second], 1)) + h


class Resample(nn.Module):
    """Halves, or doubles, and convolves."""

    def __init__(self, c: int, up: bool):
        super().__init__()
        self.up = up
        self.main = nn.Conv2d(c, c, 3, 1 if up else 2, 1)

    def forward(self, x: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        return self.main(F.interpolate(x, scale_factor=2.0, mode="bilinear") if self.up else x)


class ContentFusion(nn.Module):
    """Mixes two feature maps by weights from their pooled and their local concatenation."""

    def __init__(self, c: int):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(4 * c, 2 * c, 1), nn.GroupNorm(32, 2 * c)
        self.conv2, self.norm2 = nn.Conv2d(2 * c, c, 1), nn.GroupNorm(32, c)
        self.conv3, self.norm3 = nn.Conv2d(2 * c, c, 1), nn.GroupNorm(32, c)
        self.conv4, self.norm4 = nn.Conv2d(c, c, 1), nn.GroupNorm(32, c)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        both = torch.cat([x, y], 1)
        pooled = torch.cat([both.mean((2, 3), keepdim=True), both.amax((2, 3), keepdim=True)], 1)
        whole = self.norm2(self.conv2(F.silu(self.norm1(self.conv1(pooled)))))
        local = self.norm4(self.conv4(F.silu(self.norm3(self.conv3(both)))))
        w = torch.sigmoid(whole + local)
        return x * w + y * (1 - w)


class ContentEncoder(nn.Module):
    """Both images [N, 3, H, W] to one code [N, 64, H, W]."""

    def __init__(self):
        super().__init__()
        c = CODE
        self.conv = nn.Sequential(nn.Conv2d(3, c // 4, 3, 1, 1), *norm_conv(c // 4, c // 2), *norm_conv(c // 2, c))
        self.fusion = ContentFusion(c)
        self.enhance = nn.Sequential(*norm_conv(c, c // 2), *norm_conv(c // 2, 64))

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.enhance(self.fusion(self.conv(x), self.conv(y)))


class Transformer(nn.Module):
    """Four layers; the checkpoint also holds the template layer that they were copied from."""

    def __init__(self):
        super().__init__()
        self.layers = nn.TransformerEncoderLayer(CODE, 8, dropout=0.0)
        self.transformer_encoder = nn.TransformerEncoder(self.layers, 4, enable_nested_tensor=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.transformer_encoder(x)


class SemanticEncoder(nn.Module):
    """One image [N, 3, H, W] to a code [N, CODE, H / 16, W / 16]."""

    def __init__(self):
        super().__init__()
        c = CODE
        halves = [(32, c // 4), (c // 4, c // 2), (c // 2, c), (c, c)]
        self.conv = nn.Sequential(nn.Conv2d(3, 32, 3, 1, 1), *(m for a, b in halves for m in norm_conv(a, b, 2)))
        self.transformer_encoder = Transformer()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.conv(x)
        return self.transformer_encoder(h.flatten(2).permute(2, 0, 1)).permute(1, 2, 0).reshape(h.shape)


class TimeTable(nn.Module):
    """The embedding of the time, from a table of interleaved sines and cosines."""

    def __init__(self, width: int, out: int):
        super().__init__()
        layers = (nn.Embedding(1000, width), nn.Linear(width, out), nn.SiLU(), nn.Linear(out, out))
        self.timembedding = nn.Sequential(*layers)

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        return self.timembedding(t)


class MaskDiFuser(nn.Module):
    """Noise of x [N, 3, H, W] at times t [N], given the codes of an infrared and a visible image."""

    #: Height and width of a frame must be multiples of this.
    stride = 16

    def __init__(self):
        super().__init__()
        e = 4 * BASE
        self.time_embedding = TimeTable(BASE, e)
        self.content_encoder, self.encoder = ContentEncoder(), SemanticEncoder()
        # one module under two names, as in the checkpoint
        self.proj_in = self.conbine = nn.Sequential(nn.Conv2d(3, 64, 3, 1, 1), nn.GroupNorm(32, 64), nn.SiLU())
        self.head = nn.Conv2d(128, BASE, 3, 1, 1)
        self.downblocks, self.upblocks = nn.ModuleList(), nn.ModuleList()
        c, widths = BASE, [BASE]
        for n, mult in enumerate(LEVELS):
            for _ in range(BLOCKS):
                self.downblocks.append(ResBlock(c, BASE * mult, e, n in ATTENDED))
                widths.append(c := BASE * mult)
            if n < len(LEVELS) - 1:
                self.downblocks.append(Resample(c, up=False))
                widths.append(c)
        self.middleblocks = nn.ModuleList([ResBlock(c, c, e, True), ResBlock(c, c, e, False)])
        for n, mult in reversed(list(enumerate(LEVELS))):
            for _ in range(BLOCKS + 1):
                self.upblocks.append(ResBlock(c + widths.pop(), BASE * mult, e, n in ATTENDED))
                c = BASE * mult
            if n:
                self.upblocks.append(Resample(c, up=True))
        self.tail = nn.Sequential(*norm_conv(c, 3))

    def codes(self, ir: torch.Tensor, vis: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """What does not change from step to step: both semantic codes and the content code."""
        return self.encoder(ir), self.encoder(vis), self.content_encoder(ir, vis)

    def forward(self, x: torch.Tensor, t: torch.Tensor, codes: tuple[torch.Tensor, ...]) -> torch.Tensor:
        a, b, content = codes
        e = self.time_embedding(t)
        h = self.head(torch.cat([content, self.proj_in(x)], 1))
        skips = [h]
        for layer in self.downblocks:
            h = layer(h, e, a, b)
            skips.append(h)
        for layer in self.middleblocks:
            h = layer(h, e, a, b)
        for layer in self.upblocks:
            h = layer(torch.cat([h, skips.pop()], 1) if isinstance(layer, ResBlock) else h, e, a, b)
        return self.tail(h)


def times(steps: int) -> list[int]:
    """`steps` evenly spaced times, noisiest first, as its authors space them where `steps` divides `STEPS`.

    The sampler reads the schedule one time late, so that the last time but one is the noisiest it can begin with.
    """
    return [min(k * STEPS // steps, STEPS - 2) for k in reversed(range(steps))]


@torch.no_grad()
def conditional_sample(
    net: MaskDiFuser, vis: torch.Tensor, ir: torch.Tensor, steps: int, generator: torch.Generator
) -> torch.Tensor:
    """A fused frame [1, 1, H, W] in 0..1 from frames in 0..1, stretched to the full range as its authors do."""
    h, w = vis.shape[-2:]
    pad = (0, -w % net.stride, 0, -h % net.stride)
    v, i = (F.pad(x, pad, mode="reflect").expand(-1, 3, -1, -1) * 2 - 1 for x in (vis, ir))
    codes = net.codes(i, v)
    x = torch.randn(v.shape, generator=generator)
    shares = signal_shares()
    at = times(steps)
    for t, following in zip(at, [*at[1:], -1]):
        here, there = float(shares[t + 1]), float(shares[following + 1])
        noise = net(x, torch.full((len(x),), t), codes)
        x = ddim_step(clean_estimate(x, noise, here), noise, here, there, 1.0, generator)
    y = (x[..., :h, :w] * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    return (y - y.min()) / (y.max() - y.min()).clamp(min=1e-6)


def load_mask_difuser(path: Path) -> MaskDiFuser:
    """The published network, in eval mode."""
    with torch.device("meta"):
        net = MaskDiFuser()
    return load_state(net, path, "the checkpoint of Mask-DiFuser")
