"""Distillation of one student: resumable, deterministic, with a CSV log and pictures."""

import csv
import io
import math
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch

from . import checkpoint
from .augment import Augment, make_batch
from .checkpoint import Checkpoint
from .data import Pair, load_pairs, read_cache_info
from .errors import UserError
from .files import write_atomic
from .losses import Weights, distillation_loss
from .metrics import all_metrics
from .pictures import contact_sheet
from .robustness import write_robustness
from .students import Student, build, fuse_image

TERMS = ("pixel", "ssim", "sources", "intensity", "gradient", "edge")
METRICS = ("en", "sd", "sf", "ag", "qabf", "ssim_vis", "ssim_ir", "ssim_mean", "psnr_mean")
#: Time between checkpoints.
CHECKPOINT_SECONDS = 120
TRAIN_FIELDS = ("step", "lr", "loss", *TERMS, "grad_vis", "grad_ir")


@dataclass(frozen=True)
class Options:
    """Everything that shapes the curve of a run."""

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
    average: float = 0.999
    #: Pairs are scaled down to this longest side before cropping; None leaves them as they are.
    long_side: int | None = None
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


def parameter_groups(net: torch.nn.Module, weight_decay: float) -> list[dict]:
    """Weight decay for convolution and matrix weights only, not for biases and normalisation."""
    decayed = [p for p in net.parameters() if p.ndim > 1]
    rest = [p for p in net.parameters() if p.ndim <= 1]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]


def gradient_norm(net: torch.nn.Module) -> float:
    """L2 norm of a branch's gradients: shows whether one encoder starves (arXiv 2511.15433)."""
    return math.sqrt(sum(float(p.grad.square().sum()) for p in net.parameters() if p.grad is not None))


@torch.no_grad()
def update_average(average: Student, net: Student, keep: float) -> None:
    """average = keep * average + (1 - keep) * net, BatchNorm statistics included."""
    a, n = average.state_dict(), net.state_dict()
    for k, v in a.items():
        if v.is_floating_point():
            v.lerp_(n[k], 1 - keep)
        else:
            v.copy_(n[k])


@torch.no_grad()
def fuse_pair(net: Student, p: Pair, device: torch.device) -> np.ndarray:
    """The fused luma of one pair, u8 [H, W]."""
    v, i = (torch.from_numpy(x).to(device).float()[None, None] / 255 for x in (p.vis, p.ir))
    return (fuse_image(net, v, i)[0, 0] * 255).round().byte().cpu().numpy()


def validate(net: Student, pairs: list[Pair], device: torch.device, sheet: Path | None) -> dict[str, float]:
    """Mean metrics over `pairs`; with `sheet`, a picture of every pair beside its sources and its target."""
    net.eval()
    rows, sums = [], {}
    for p in pairs:
        fused = fuse_pair(net, p, device)
        mean = p.mean.astype(np.float32) * (255 / 65535)
        for k, v in all_metrics(p.vis, p.ir, fused, mean).items():
            sums[k] = sums.get(k, 0.0) + v
        rows.append([p.vis, p.ir, np.rint(mean).astype(np.uint8), fused])
    if sheet is not None:
        contact_sheet(rows, sheet)
    return {k: v / len(pairs) for k, v in sums.items()}


def append_csv(path: Path, fields: tuple[str, ...], row: dict) -> None:
    """Appends one row, and the header to a new file."""
    new = not path.exists()
    with open(path, "a", newline="") as f:
        w = csv.DictWriter(f, fields)
        if new:
            w.writeheader()
        w.writerow({k: (f"{v:.6g}" if isinstance(v, float) else v) for k, v in row.items()})


def cut_csv(path: Path, step: int) -> None:
    """Drops rows later than `step`: what an interrupted run logged after its last checkpoint."""
    if not path.exists():
        return
    with open(path, newline="") as f:
        rows = list(csv.reader(f))
    text = io.StringIO()
    csv.writer(text).writerows(r for n, r in enumerate(rows) if n == 0 or (r and int(r[0]) <= step))
    write_atomic(path, lambda f: f.write(text.getvalue().encode()))


def pick_device(name: str) -> torch.device:
    """`auto`, `cpu` or `cuda`; asking for a GPU that is not there is an error."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: PyTorch sees no GPU here; use --device cpu or install a CUDA build")
    return torch.device(name)


def train(
    o: Options,
    pairs: Path,
    cache: Path,
    out: Path,
    *,
    val_pairs: Path | None = None,
    val_cache: Path | None = None,
    resume: bool = False,
    minutes: float | None = None,
    val_every: int = 2000,
    device: str = "auto",
) -> Checkpoint:
    """Trains until `o.steps` or until `minutes` have passed, whichever is first; returns the last checkpoint.

    Writes `out/checkpoint.pt` every `CHECKPOINT_SECONDS` and at the end, `out/train.csv`, and, with
    validation pairs, `out/val.csv`, `out/val_STEP.png` and, when all steps are done, `out/robustness.csv`.
    """
    dev = pick_device(device)
    out.mkdir(parents=True, exist_ok=True)
    options = asdict(o)
    torch.manual_seed(o.seed)
    net = build(o.student, (o.augment.crop, o.augment.crop)).to(dev)
    if o.augment.crop % net.stride:
        raise UserError(f"--crop {o.augment.crop}: {o.student} needs a multiple of {net.stride}")
    average = build(o.student, (o.augment.crop, o.augment.crop)).to(dev)
    average.load_state_dict(net.state_dict())
    opt = torch.optim.AdamW(parameter_groups(net, o.weight_decay), o.lr)
    step = 0
    if checkpoint.checkpoint_path(out).exists():
        if not resume:
            raise UserError(f"{out}: holds a run already; add --resume to go on with it, or use another --out")
        c = checkpoint.load(out, o.student)
        changed = [k for k in options if c.options.get(k) != options[k]]
        if changed == ["steps"] and c.step <= min(o.steps, c.options["steps"]) * min(o.aligned, 1 - o.decay):
            changed = []  # nothing has depended on the length of the run so far, so it may still change
        if changed:
            raise UserError(f"{out}: the run was begun with other {', '.join(changed)}; repeat its options")
        net.load_state_dict(c.model)
        average.load_state_dict(c.average)
        opt.load_state_dict(c.optimiser)
        step = c.step
    for name in ("train.csv", "val.csv"):
        cut_csv(out / name, step)

    mean_variance = max(read_cache_info(cache)["mean_variance"], 1e-8)
    data = load_pairs(pairs, cache, o.long_side)
    val = load_pairs(val_pairs, val_cache, o.long_side) if val_pairs else []

    def state() -> Checkpoint:
        return Checkpoint(o.student, step, options, net.state_dict(), average.state_dict(), opt.state_dict())

    def watch() -> None:
        m = validate(average, val, dev, out / f"val_{step:06d}.png")
        append_csv(out / "val.csv", ("step", *METRICS), {"step": step, **m})
        print("\n" + " ".join(f"{k} {v:.3f}" for k, v in m.items()), file=sys.stderr, flush=True)

    begun = saved = time.monotonic()
    first, recent = step, []
    while step < o.steps and (minutes is None or time.monotonic() - begun < minutes * 60):
        net.train()
        lr = learning_rate(step, o)
        for g in opt.param_groups:
            g["lr"] = lr
        b = make_batch(data, o.batch, o.augment, o.seed, step, misalign=step >= o.aligned * o.steps)
        b = type(b)(*(t.to(dev) for t in vars(b).values()))
        opt.zero_grad(set_to_none=True)
        with torch.autocast(dev.type, torch.bfloat16, enabled=dev.type == "cuda"):
            fused = net(b.vis_in, b.ir_in)
        loss, terms = distillation_loss(fused.float(), b, mean_variance, o.weights)
        if not torch.isfinite(loss):
            raise UserError(f"step {step}: the loss is not finite; lower --lr and resume from the checkpoint")
        loss.backward()
        log = (step + 1) % 50 == 0
        norms = (gradient_norm(net.enc_vis), gradient_norm(net.enc_ir)) if log else ()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        opt.step()
        # a short memory at first, or the average would remember the initial weights for long
        update_average(average, net, min(o.average, (1 + step) / (10 + step)))
        step += 1
        recent.append(float(loss.detach()))
        if log:
            row = {"step": step, "lr": lr, "loss": float(np.mean(recent))}
            row |= {k: float(terms[k]) for k in TERMS} | {"grad_vis": norms[0], "grad_ir": norms[1]}
            append_csv(out / "train.csv", TRAIN_FIELDS, row)
            rate = (step - first) / (time.monotonic() - begun)
            done = "#" * (20 * step // o.steps)
            print(
                f"\r[{done:20s}] {step}/{o.steps} loss {row['loss']:.4f} {rate:.2f} steps/s",
                end="",
                file=sys.stderr,
                flush=True,
            )
            recent = []
            # with the log row, so that a resumed run averages the same steps into the next one
            if time.monotonic() - saved > CHECKPOINT_SECONDS:
                checkpoint.save(out, state())
                saved = time.monotonic()
        if val and step % val_every == 0 and step < o.steps:
            watch()
    c = state()
    checkpoint.save(out, c)
    if val and step > first:
        watch()
        if step == o.steps:
            write_robustness(average, val, out / "robustness.csv")
    print(file=sys.stderr)
    return c
