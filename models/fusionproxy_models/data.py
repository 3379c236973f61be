"""Registered visible and infrared pairs, and the cache of teacher statistics beside them."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from .errors import UserError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")


def read_luma(path: Path) -> np.ndarray:
    """The image's full-range BT.601 luma, u8 [H, W]: Y = 0.299 R + 0.587 G + 0.114 B."""
    try:
        with Image.open(path) as im:
            if im.mode in ("L", "1"):
                return np.array(im.convert("L"))
            if im.mode in ("I;16", "I"):
                raise UserError(f"{path}: 16-bit image; convert it to 8 bits with your gain control first")
            rgb = np.asarray(im.convert("RGB"), dtype=np.float32)
    except FileNotFoundError as e:
        raise UserError(f"{path}: no such image; every vis/NAME needs an ir/NAME") from e
    except (UnidentifiedImageError, OSError, ValueError) as e:
        raise UserError(f"{path}: not a readable image ({e}); remove the pair or replace the file") from e
    return np.rint(rgb @ np.array([0.299, 0.587, 0.114], dtype=np.float32)).astype(np.uint8)


def pair_files(root: Path) -> list[tuple[str, Path, Path]]:
    """(name, visible, infrared) for every image of `root/vis`; each must have its `root/ir` partner."""
    vis_dir, ir_dir = root / "vis", root / "ir"
    for d in (vis_dir, ir_dir):
        if not d.is_dir():
            raise UserError(f"{d}: no such folder; a folder of pairs holds vis/NAME and ir/NAME of equal names")
    vis = {p.stem: p for p in sorted(vis_dir.iterdir()) if p.suffix.lower() in IMAGE_SUFFIXES}
    ir = {p.stem: p for p in sorted(ir_dir.iterdir()) if p.suffix.lower() in IMAGE_SUFFIXES}
    if not vis:
        raise UserError(f"{vis_dir}: no images; supported are {', '.join(IMAGE_SUFFIXES)}")
    lonely = sorted(vis.keys() ^ ir.keys())
    if lonely:
        raise UserError(
            f"{root}: {len(lonely)} image(s) without a partner, first {lonely[0]!r}; "
            "every vis/NAME needs an ir/NAME and the reverse"
        )
    return [(n, vis[n], ir[n]) for n in vis]


@dataclass(frozen=True)
class Pair:
    """One registered pair, u8 luma [H, W]; with teacher statistics where a cache was read."""

    name: str
    vis: np.ndarray
    ir: np.ndarray
    #: Pointwise ensemble mean, u16 [H, W], 65535 = full range.
    mean: np.ndarray | None = None
    #: Pointwise ensemble standard deviation, f16 [H, W], full range = 1.
    std: np.ndarray | None = None
    #: Feature variance of the ensemble, f16 [h, w] over the whole frame, one per backbone of the panel.
    variances: tuple[np.ndarray, ...] = ()


def load_pair(name: str, vis: Path, ir: Path) -> Pair:
    """Reads one pair as luma and checks that the sizes agree."""
    v, i = read_luma(vis), read_luma(ir)
    if v.shape != i.shape:
        raise UserError(
            f"{name}: visible is {v.shape[1]}x{v.shape[0]}, infrared {i.shape[1]}x{i.shape[0]}; "
            "register the pair to one size first"
        )
    return Pair(name, v, i)


def read_cache_info(cache: Path) -> dict:
    """The cache's `cache.json`: teachers, samples, mean_variance."""
    try:
        return json.loads((cache / "cache.json").read_text())
    except FileNotFoundError as e:
        raise UserError(f"{cache}: no cache.json; make the cache with `fusionproxy-models teach`") from e
    except json.JSONDecodeError as e:
        raise UserError(f"{cache}/cache.json: damaged ({e}); run `fusionproxy-models teach` again") from e


def shrink(p: Pair, long_side: int) -> Pair:
    """The pair with its longest side scaled down to `long_side` px by area averaging; smaller pairs as they are."""
    h, w = p.vis.shape
    if max(h, w) <= long_side:
        return p
    size = (max(1, round(w * long_side / max(h, w))), max(1, round(h * long_side / max(h, w))))

    def scaled(x: np.ndarray | None) -> np.ndarray | None:
        if x is None:
            return None
        y = np.asarray(Image.fromarray(x.astype(np.float32)).resize(size, Image.Resampling.BOX))
        return (np.rint(y) if np.issubdtype(x.dtype, np.integer) else y).astype(x.dtype)

    return Pair(p.name, *(scaled(x) for x in (p.vis, p.ir, p.mean, p.std)), p.variances)


def load_pairs(
    root: Path, cache: Path | None = None, long_side: int | None = None, panel: tuple[str, ...] = ()
) -> list[Pair]:
    """All pairs of `root` in RAM (u8), with the statistics of `cache` if given, shrunk to `long_side` if given.

    `panel` names the backbones whose feature variances are wanted as well.
    """
    out = []
    for name, vis, ir in pair_files(root):
        p = load_pair(name, vis, ir)
        if cache is not None:
            file = cache / f"{name}.npz"
            try:
                with np.load(file) as z:
                    mean, std = z["mean"], z["std"]
                    variances = tuple(z[f"feature_variance.{k}"] for k in panel)
            except FileNotFoundError as e:
                raise UserError(f"{file}: pair {name!r} is not in the cache; run `teach` on {root}") from e
            except KeyError as e:
                raise UserError(f"{file}: {e.args[0]}; run `teach` again, with the same panel") from e
            except (OSError, ValueError, EOFError) as e:
                raise UserError(f"{file}: damaged ({e}); delete it and run `teach` again") from e
            except Exception as e:  # zipfile.BadZipFile and its kin have no common base
                raise UserError(f"{file}: damaged ({e}); delete it and run `teach` again") from e
            if mean.shape != p.vis.shape:
                raise UserError(f"{file}: made for another size of {name!r}; delete it and run `teach` again")
            p = Pair(name, p.vis, p.ir, mean, std, variances)
        out.append(shrink(p, long_side) if long_side else p)
    return out
