"""The foundation panel: frozen backbones whose features judge the student beside the pixels.

A panel is a TOML file of `[[backbone]]` tables:

    [[backbone]]
    name = "dinov2"                       # any
    source = "timm"                       # timm, torchvision or own
    model = "vit_base_patch14_dinov2"     # the name there; for own, the member of the file
    layer = "blocks.5"                    # the module whose output is taken, not for own
    weights = "dinov2_vitb14.safetensors" # relative to the TOML file
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F

from .errors import UserError

#: Input statistics of ImageNet backbones, RGB; a timm model brings its own.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Entry:
    """One `[[backbone]]` table."""

    name: str
    source: str
    model: str
    weights: Path
    layer: str = ""


class _Reached(Exception):
    """Ends a forward pass at the layer that was asked for."""


class Tapped(nn.Module):
    """Features of luma [N, 1, H, W] in 0..1 at one layer of a frozen RGB network: [N, C, h, w]."""

    def __init__(self, net: nn.Module, layer: str, patch: int, mean: tuple, std: tuple):
        super().__init__()
        self.net, self.patch = net, patch
        self.prefix = getattr(net, "num_prefix_tokens", 0)
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))
        self._out: torch.Tensor | None = None
        net.get_submodule(layer).register_forward_hook(self._tap)

    def _tap(self, module: nn.Module, args: tuple, out: torch.Tensor) -> None:
        self._out = out
        raise _Reached

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        size = [max(1, round(n / self.patch)) * self.patch for n in x.shape[-2:]]
        if list(x.shape[-2:]) != size:
            x = F.interpolate(x, size, mode="bilinear", align_corners=False)
        try:
            self.net((x - self.mean) / self.std)
        except _Reached:
            pass
        f, self._out = self._out, None
        h, w = size[0] // self.patch, size[1] // self.patch
        if f.ndim == 3:  # tokens [N, prefix + h w, C]
            return f[:, self.prefix :].transpose(1, 2).reshape(len(f), -1, h, w)
        if f.ndim == 4 and self.patch > 1 and f.shape[1:3] == (h, w):  # a grid [N, h, w, C], as SAM's
            return f.permute(0, 3, 1, 2)
        return f


class Panel(nn.ModuleList):
    """Frozen backbones, in evaluation mode for ever, with their names."""

    def __init__(self, names: list[str], backbones: list[nn.Module]):
        super().__init__(backbones)
        self.names = names
        self.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> "Panel":
        return super().train(False)

    def features(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Features of luma [N, 1, H, W] in 0..1, one [N, C, h, w] per backbone."""
        return [b(x) for b in self]


def read_panel(path: Path) -> list[Entry]:
    """The tables of a panel's TOML file, whose weights are all there."""
    try:
        tables = tomllib.loads(path.read_text()).get("backbone", [])
    except FileNotFoundError as e:
        raise UserError(f"{path}: no such panel; models/panel.toml is an example") from e
    except tomllib.TOMLDecodeError as e:
        raise UserError(f"{path}: not valid TOML ({e})") from e
    out = []
    for n, t in enumerate(tables):
        missing = {"name", "source", "model", "weights"} - t.keys()
        if missing:
            raise UserError(f"{path}: backbone {n + 1} lacks {', '.join(sorted(missing))}")
        if t["source"] not in ("timm", "torchvision", "own"):
            raise UserError(f"{path}: backbone {n + 1}: source {t['source']!r} is none of timm, torchvision, own")
        out.append(Entry(t["name"], t["source"], t["model"], path.parent / t["weights"], t.get("layer", "")))
    if not out or len({e.name for e in out}) != len(out):
        raise UserError(f"{path}: a panel needs at least one [[backbone]], and names that differ")
    for e in out:
        if not e.weights.is_file():
            raise UserError(
                f"{e.weights}: no weights for backbone {e.name!r}; put them there or leave the backbone out"
            )
    return out


def load_panel(path: Path) -> Panel:
    """The panel of a TOML file, with its weights."""
    entries = read_panel(path)
    return Panel([e.name for e in entries], [_load(e) for e in entries])


def _load(e: Entry) -> nn.Module:
    try:
        if e.source == "own":
            from .selfsup import load_member

            return load_member(e.weights, e.model)
        net, patch, mean, std = (_timm if e.source == "timm" else _torchvision)(e)
        return Tapped(net, e.layer, patch, mean, std)
    except UserError:
        raise
    except Exception as x:  # the libraries raise many kinds for a wrong name, layer or file
        first = (str(x).splitlines() or [type(x).__name__])[0]
        raise UserError(f"backbone {e.name!r} ({e.source} {e.model} {e.layer}, {e.weights}): {first}") from x


def _timm(e: Entry) -> tuple[nn.Module, int, tuple, tuple]:
    import timm

    kw = {"dynamic_img_size": True} if e.model.startswith("vit_") else {}
    net = timm.create_model(e.model, pretrained=False, checkpoint_path=str(e.weights), **kw)
    cfg = net.pretrained_cfg
    patch = net.patch_embed.patch_size[0] if hasattr(net, "patch_embed") else 1
    return net, patch, cfg["mean"], cfg["std"]


def _torchvision(e: Entry) -> tuple[nn.Module, int, tuple, tuple]:
    import torchvision

    net = torchvision.models.get_model(e.model, weights=None)
    net.load_state_dict(torch.load(e.weights, map_location="cpu", weights_only=True))
    return net, 1, MEAN, STD
