"""The teacher ensemble: its statistics in image and in feature space, cached once per pair.

FusionProxy (arXiv 2605.06010), eqs. 3-6: any number of teachers and samples per teacher; pointwise mean and
variance of the samples, and for each backbone of the foundation panel the variance of their features.
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from .alignment import channel_scale, feature_variance
from .data import Pair, load_pair, pair_files
from .files import write_atomic
from .panel import Panel, load_panel
from .sources import Source, read_config

#: Pairs from which the channels' scales are taken.
SCALE_PAIRS = 16
#: Frames are padded to a multiple of this for the backbones.
STRIDE = 32


def statistics(samples: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Pointwise mean and population standard deviation of u8 samples [H, W], both f32 in 0..1."""
    stack = np.stack(samples).astype(np.float32) / 255.0
    return stack.mean(0), stack.std(0)


@torch.no_grad()
def panel_features(panel: Panel, samples: list[np.ndarray]) -> list[torch.Tensor]:
    """Features of u8 samples [H, W], one [M, C, h, w] per backbone; edges replicated up to `STRIDE`."""
    x = torch.from_numpy(np.stack(samples)).float()[:, None] / 255
    h, w = x.shape[-2:]
    x = F.pad(x, (0, -w % STRIDE, 0, -h % STRIDE), mode="replicate")
    return panel.features(x)


def over_frame(padded: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """A map [h, w] over the padded frame, resampled so that it covers the frame itself and no more.

    Its cells keep about their size: the border of a frame seldom falls between two of them.
    """
    places = []
    for cells, n in zip(padded.shape, (height, width)):
        share = n / (n + -n % STRIDE)
        kept = math.ceil(cells * share)
        places.append((torch.arange(kept) + 0.5) * (2 * share / kept) - 1)
    grid = torch.stack(torch.meshgrid(*places, indexing="ij")[::-1], -1)
    return F.grid_sample(padded[None, None], grid[None], padding_mode="border", align_corners=False)[0, 0]


def panel_scales(panel: Panel, sources: list[Source], files: list[tuple[str, Path, Path]], root: Path) -> list:
    """Every channel's scale of every backbone, from the first sample of up to `SCALE_PAIRS` pairs."""
    chosen = files[:: max(1, len(files) // SCALE_PAIRS)][:SCALE_PAIRS]
    first = [[next(sources[0].samples(load_pair(*f), root))] for f in chosen]
    return [channel_scale(list(per)) for per in zip(*(panel_features(panel, s) for s in first))]


def teach(pairs: Path, config: Path, out: Path, panel: Path | None = None) -> dict:
    """Writes `out/NAME.npz` for every pair and `out/cache.json`; returns the latter.

    An npz holds `mean` (u16, 65535 = full range), `std` (f16) and for each backbone `feature_variance.BACKBONE`
    (f16, over the frame).
    """
    sources = [s for s in read_config(config) if s.count]
    files = pair_files(pairs)
    net = load_panel(panel) if panel else Panel([], [])
    scales = panel_scales(net, sources, files, pairs) if panel else []
    variance, feature_means = 0.0, np.zeros(len(net.names))
    # without it nobody takes the folder for a cache, should this be cut short among files of an older one
    (out / "cache.json").unlink(missing_ok=True)
    for n, f in enumerate(files):
        p: Pair = load_pair(*f)
        samples = [x for s in sources for x in s.samples(p, pairs)]
        mean, std = statistics(samples)
        variance += float((std**2).mean())
        arrays = {"mean": np.rint(mean * 65535).astype(np.uint16), "std": std.astype(np.float16)}
        if panel:
            features = zip(panel_features(net, samples), scales)
            maps = [over_frame(feature_variance(x, s), *p.vis.shape) for x, s in features]
            feature_means += [float(m.mean()) for m in maps]
            arrays |= {f"feature_variance.{k}": m.numpy().astype(np.float16) for k, m in zip(net.names, maps)}
        write_atomic(out / f"{p.name}.npz", lambda f, arrays=arrays: np.savez(f, **arrays))
        print(f"\r{n + 1}/{len(files)} {p.name:40.40s}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    info = {
        "pairs": len(files),
        "teachers": [{"name": s.name, "samples": s.count} for s in sources],
        "mean_variance": variance / len(files),
        "panel": {
            k: {"scale": s.tolist(), "mean_variance": float(v)}
            for k, s, v in zip(net.names, scales, feature_means / len(files))
        },
    }
    write_atomic(out / "cache.json", lambda f: f.write(json.dumps(info, indent=1).encode()))
    return info
