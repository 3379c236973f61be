"""The students: networks that fuse a visible and an infrared luma frame into one.

Two encoders that share nothing, one residual fusion head per scale (FusionProxy, arXiv 2605.06010, eq. 13),
a U-Net decoder of depthwise-separable convolutions, and a picture composed of the inputs themselves:

    fused = clip(vis + sigmoid(a) * (ir - vis) + 0.25 * tanh(b), 0, 1)

The network predicts only `a` and `b`. A rounding error of its features moves the picture a little between its
two inputs, so an INT8 network still gives an image with more than 8 bits of grey.
"""

from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F

from .errors import UserError

#: Largest change that the residual logit can make, in full range.
RESIDUAL = 0.25


def cba(cin: int, cout: int, k: int = 1, s: int = 1, groups: int = 1, act: bool = True) -> nn.Sequential:
    """Convolution, BatchNorm (folded at export) and, if `act`, ReLU."""
    layers = [nn.Conv2d(cin, cout, k, s, k // 2, groups=groups, bias=False), nn.BatchNorm2d(cout)]
    return nn.Sequential(*layers, *([nn.ReLU()] if act else []))


def ds(cin: int, cout: int, s: int = 1) -> nn.Sequential:
    """Depthwise 3x3 (linear), then pointwise 1x1 with ReLU."""
    return nn.Sequential(cba(cin, cin, 3, s, groups=cin, act=False), cba(cin, cout))


class ResidualFusion(nn.Module):
    """F_vis + F_ir + sigmoid(MLP(GAP([F_vis, F_ir]))) * proj([F_vis, F_ir]): eq. 13, one scale."""

    def __init__(self, c: int, reduction: int = 4):
        super().__init__()
        mid = max(8, -(-c // (8 * reduction)) * 8)  # rounded up to a multiple of 8
        self.proj = cba(2 * c, c, act=False)
        self.gate = nn.Sequential(nn.Conv2d(2 * c, mid, 1), nn.ReLU(), nn.Conv2d(mid, c, 1), nn.Sigmoid())

    def forward(self, v: torch.Tensor, i: torch.Tensor) -> torch.Tensor:
        x = torch.cat([v, i], 1)
        return v + i + self.gate(x.mean((2, 3), keepdim=True)) * self.proj(x)


class Up(nn.Module):
    """1x1 reduction, x2 upsampling, concatenation with the skip, depthwise-separable mix."""

    def __init__(self, cin: int, cskip: int, cout: int, mode: str):
        super().__init__()
        self.mode = mode
        self.reduce = cba(cin, cout)
        self.mix = ds(cout + cskip, cout)

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        kw = {} if self.mode == "nearest" else {"align_corners": False}
        x = F.interpolate(self.reduce(x), scale_factor=2.0, mode=self.mode, **kw)
        return self.mix(torch.cat([x, skip], 1))


class Refine(nn.Module):
    """x + two 3x3 convolutions of it: looks closer where the picture is made, at stride 2.

    Which of two sources has the stronger edge at a pixel is a comparison of magnitudes; one depthwise-separable
    layer cannot make it. The second convolution starts at zero, so a network begins as if without this block.
    """

    def __init__(self, c: int):
        super().__init__()
        self.body = nn.Sequential(cba(c, c, 3), cba(c, c, 3, act=False))
        nn.init.zeros_(self.body[1][1].weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x)


class LightEncoder(nn.Module):
    """Stride-2 stem, then one depthwise-separable stage per scale; features at strides 2, 4, 8."""

    def __init__(self, channels: tuple[int, ...]):
        super().__init__()
        c0 = channels[0]
        self.channels = list(channels)
        self.stride = 2 ** len(channels)
        self.stages = nn.ModuleList([nn.Sequential(cba(1, c0, 3, 2), ds(c0, c0))])
        for a, b in zip(channels, channels[1:]):
            self.stages.append(nn.Sequential(ds(a, b, 2), ds(b, b)))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        out = []
        for s in self.stages:
            x = s(x)
            out.append(x)
        return out


class TimmEncoder(nn.Module):
    """A timm `features_only` backbone on luma, without pretrained weights, down to stride 16.

    The stage at stride 32 serves classification: it holds more than half of a backbone's parameters, and fusion
    takes its global context from the fusion heads' pooled gates. Backbones whose stem has stride 4 get a small
    stride-2 branch of their own, so that the decoder has a skip at stride 2. Features at strides 2, 4, 8, 16.
    """

    def __init__(self, name: str, size: tuple[int, int]):
        super().__init__()
        import timm

        kw = {"img_size": size} if name.startswith("efficientformerv2") else {}
        depth = 4 if name.startswith("mobilenetv4") else 3
        self.body = timm.create_model(
            name, pretrained=False, features_only=True, in_chans=1, out_indices=tuple(range(depth)), **kw
        )
        self.channels = list(self.body.feature_info.channels())
        if name.startswith("mobilenetv4"):  # timm runs the later blocks of this family even when nobody asks
            self.body.blocks = self.body.blocks[: depth - 1]
        # EfficientFormerV2 attends at half the resolution of its last stage
        self.stride = 32 if name.startswith("efficientformerv2") else 16
        self.stem2 = None
        if self.body.feature_info.reduction()[0] == 4:
            self.stem2 = nn.Sequential(cba(1, 24, 3, 2), ds(24, 24))
            self.channels = [24] + self.channels

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        f = list(self.body(x))
        return f if self.stem2 is None else [self.stem2(x)] + f


class Student(nn.Module):
    """Dual encoder, fusion heads, decoder, composition; `vis`, `ir` and the result are [N, 1, H, W], 0..1."""

    def __init__(self, enc_vis: nn.Module, enc_ir: nn.Module, dec: tuple[int, ...], up: str, refine: bool):
        super().__init__()
        #: The key in `STUDENTS`.
        self.name = ""
        self.enc_vis, self.enc_ir = enc_vis, enc_ir
        channels = enc_vis.channels
        #: Height and width of a frame must be multiples of this.
        self.stride = enc_vis.stride
        self.fuse = nn.ModuleList(ResidualFusion(c) for c in channels)
        ups, cin = [], channels[-1]
        for cskip, cout in zip(channels[:-1][::-1], dec, strict=True):
            ups.append(Up(cin, cskip, cout, up))
            cin = cout
        self.ups = nn.ModuleList(ups)
        self.refine = Refine(cin) if refine else nn.Identity()
        self.head = nn.Conv2d(cin, 8, 3, 1, 1)  # two logits x 2x2 sub-pixels, stride 2 -> full resolution
        self.shuffle = nn.PixelShuffle(2)
        nn.init.normal_(self.head.weight, 0, 0.01)  # starts as the average of the inputs
        nn.init.zeros_(self.head.bias)

    def features(self, vis: torch.Tensor, ir: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """What each encoder sees, shallow to deep: [N, C, H / 2, W / 2], [N, C, H / 4, W / 4], ..."""
        return self.enc_vis(vis), self.enc_ir(ir)

    def logits(self, feats_vis: list[torch.Tensor], feats_ir: list[torch.Tensor]) -> torch.Tensor:
        """The mixing logit and the residual logit, [N, 2, H, W], from both encoders' features."""
        feats = [f(v, i) for f, v, i in zip(self.fuse, feats_vis, feats_ir)]
        x = feats.pop()
        for up in self.ups:
            x = up(x, feats.pop())
        return self.shuffle(self.head(self.refine(x)))

    def compose(self, vis: torch.Tensor, ir: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """The picture, [N, 1, H, W]."""
        a, b = torch.split(logits, 1, dim=1)
        return torch.clamp(vis + torch.sigmoid(a) * (ir - vis) + RESIDUAL * torch.tanh(b), 0.0, 1.0)

    def forward(self, vis: torch.Tensor, ir: torch.Tensor) -> torch.Tensor:
        return self.compose(vis, ir, self.logits(*self.features(vis, ir)))


@dataclass(frozen=True)
class Spec:
    """How a student is built."""

    #: timm backbone, or None for the light encoder.
    backbone: str | None
    #: Widths of the light encoder, shallow to deep.
    channels: tuple[int, ...] | None
    #: Decoder widths, deep to shallow.
    dec: tuple[int, ...]
    #: Upsampling of the decoder.
    up: str
    #: Whether the decoder ends with a `Refine` block.
    refine: bool
    #: Height and width of the exported graph when it is static.
    size: tuple[int, int]


STUDENTS = {
    "nano": Spec(None, (8, 16, 24), (16, 8), "nearest", False, (120, 160)),
    "ultralight": Spec(None, (16, 24, 40), (24, 16), "nearest", False, (480, 640)),
    "mobilenetv4": Spec("mobilenetv4_conv_medium", None, (64, 48, 32), "bilinear", True, (480, 640)),
    "efficientformerv2": Spec("efficientformerv2_s1", None, (64, 48, 32), "bilinear", True, (480, 640)),
    "convnextv2": Spec("convnextv2_femto", None, (64, 48, 32), "bilinear", True, (480, 640)),
}


def spec(name: str) -> Spec:
    """The named student's specification."""
    if name not in STUDENTS:
        raise UserError(f"no student named {name!r}; there are {', '.join(STUDENTS)}")
    return STUDENTS[name]


def build(name: str, size: tuple[int, int] | None = None) -> Student:
    """A freshly initialised student. `size` (height, width) matters only to networks with position tables."""
    s = spec(name)
    size = size or s.size
    if s.backbone is None:
        encoders = [LightEncoder(s.channels) for _ in range(2)]
    else:
        encoders = [TimmEncoder(s.backbone, size) for _ in range(2)]
    net = Student(*encoders, s.dec, s.up, s.refine)
    net.name = name
    return net


def _tables(net: nn.Module) -> dict[str, nn.Module]:
    """The attention modules with a table of biases by relative position, [heads, rows * columns]."""
    return {n: m for n, m in net.named_modules() if hasattr(m, "attention_biases")}


@torch.no_grad()
def at_size(net: Student, size: tuple[int, int]) -> Student:
    """`net` for frames of `size`; itself unless it has position tables for another size.

    A table holds one bias per absolute offset (rows, columns). Offsets are kept as they are; those that the
    smaller frame did not have take the value of the farthest that it had.
    """
    old = _tables(net)
    if not old:
        return net
    other = build(net.name, size).to(next(net.parameters()).device)
    new = _tables(other)
    if all(tuple(old[n].resolution) == tuple(m.resolution) for n, m in new.items()):
        return net
    state = net.state_dict()
    for n, m in new.items():
        t = old[n].attention_biases
        h, w = old[n].resolution
        rows = torch.arange(m.resolution[0], device=t.device).clamp(max=h - 1)
        cols = torch.arange(m.resolution[1], device=t.device).clamp(max=w - 1)
        state[f"{n}.attention_biases"] = t.view(-1, h, w)[:, rows][:, :, cols].flatten(1)
    other.load_state_dict(state)
    return other.train(net.training)


def fuse_image(net: nn.Module, vis: torch.Tensor, ir: torch.Tensor) -> torch.Tensor:
    """Runs `net` on [N, 1, H, W] of any size: edges replicated up to its stride, the result cropped."""
    h, w = vis.shape[-2:]
    pad = (0, -w % net.stride, 0, -h % net.stride)
    if pad != (0, 0, 0, 0):
        vis, ir = (F.pad(x, pad, mode="replicate") for x in (vis, ir))
    if isinstance(net, Student):
        net = at_size(net, tuple(vis.shape[-2:]))
    return net(vis, ir)[..., :h, :w]
