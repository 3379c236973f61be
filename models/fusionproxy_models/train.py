"""Distillation of one student: resumable, deterministic, with CSV logs and pictures."""

import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from . import checkpoint
from .alignment import Aligner, Backbone
from .augment import make_batch
from .branches import BranchHeads, gradient_norm
from .checkpoint import Checkpoint
from .data import Pair, load_pairs, read_cache_info
from .errors import UserError
from .export import trained
from .fingerprint import fingerprints
from .logs import append_csv, cut_csv, logged_steps
from .losses import distillation_loss
from .metrics import all_metrics
from .options import Options, learning_rate
from .panel import load_panel
from .pictures import contact_sheet
from .robustness import write_robustness
from .students import Student, at_size, build, fuse_image

METRICS = ("en", "sd", "sf", "ag", "qabf", "ssim_vis", "ssim_ir", "ssim_mean", "psnr_mean")
#: Time between checkpoints.
CHECKPOINT_SECONDS = 120
#: Steps between rows of `train.csv`, each the mean over the steps since the last.
LOG_STEPS = 50
#: Options that older checkpoints lack, at the value that was in force.
EARLIER = {"tau": 1.0}
GRADIENT_FIELDS = ("step", "vis", "ir")


def parameter_groups(net: torch.nn.Module, weight_decay: float) -> list[dict]:
    """Weight decay for convolution and matrix weights only, not for biases and normalisation."""
    decayed = [p for p in net.parameters() if p.ndim > 1]
    rest = [p for p in net.parameters() if p.ndim <= 1]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]


@torch.no_grad()
def update_average(average: Student, net: Student, keep: float) -> None:
    """average = keep * average + (1 - keep) * net, BatchNorm statistics included."""
    a, n = average.state_dict(), net.state_dict()
    for k, v in a.items():
        if v.is_floating_point():
            v.lerp_(n[k], 1 - keep)
        else:
            v.copy_(n[k])


def freeze_statistics(net: torch.nn.Module) -> None:
    """BatchNorm normalises by its running statistics, as in the exported network, and no longer by the batch's.

    The weights get used to them in time: small batches of crops are lighter or darker than whole pictures are.
    """
    for m in net.modules():
        if isinstance(m, torch.nn.modules.batchnorm._BatchNorm):
            m.eval()


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


def pick_device(name: str) -> torch.device:
    """`auto`, `cpu` or `cuda`; asking for a GPU that is not there is an error."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: PyTorch sees no GPU here; use --device cpu or install a CUDA build")
    return torch.device(name)


class Run:
    """A student in training: its weights, their average, the optimiser and what the loss needs.

    `out` is the run's folder, `data` the digests of what it learns from.
    """

    def __init__(
        self, o: Options, out: Path, cache: Path, panel: Path | None, data: dict[str, str], device: torch.device
    ):
        torch.manual_seed(o.seed)
        crop = o.augment.crop
        self.o, self.out, self.data, self.device, self.step = o, out, data, device, 0
        self.net = build(o.student, (crop, crop)).to(device)
        if crop % self.net.stride:
            raise UserError(f"--crop {crop}: {o.student} needs a multiple of {self.net.stride}")
        if o.init:
            self.net.load_state_dict(at_size(trained(Path(o.init), o.student), (crop, crop)).state_dict())
        self.average = build(o.student, (crop, crop)).to(device)
        self.average.load_state_dict(self.net.state_dict())
        self.heads = BranchHeads(self.net).to(device)
        groups = parameter_groups(torch.nn.ModuleList([self.net, self.heads]), o.weight_decay)
        self.opt = torch.optim.AdamW(groups, o.lr)
        info = read_cache_info(cache)
        self.mean_variance = max(info["mean_variance"], 1e-8)
        self.aligner = None
        if panel:
            known = info.get("panel", {})
            if lacking := [k for k in o.panel if k not in known]:
                raise UserError(
                    f"{cache}: knows no backbone {lacking[0]!r}; run `teach` again with --panel {panel}"
                )
            stats = [Backbone(torch.tensor(known[k]["scale"]), known[k]["mean_variance"]) for k in o.panel]
            self.aligner = Aligner(load_panel(panel).to(device), stats, o.tau)

    def state(self) -> Checkpoint:
        """What a resumed run needs."""
        nets = (self.net.state_dict(), self.average.state_dict(), self.opt.state_dict(), self.heads.state_dict())
        return Checkpoint(self.o.student, self.step, asdict(self.o), *nets, self.data)

    def restore(self, c: Checkpoint) -> None:
        """Goes on from `c`, the checkpoint of the run's folder."""
        o, options = self.o, asdict(self.o)
        earlier = EARLIER | c.options
        changed = [k for k in options if earlier.get(k) != options[k]]
        shared = min(o.aligned, 1 - o.decay, 1 - o.polish)
        if changed == ["steps"] and c.step <= min(o.steps, c.options["steps"]) * shared:
            changed = []  # nothing has depended on the length of the run so far, so it may still change
        if changed:
            raise UserError(f"{self.out}: the run was begun with other {', '.join(changed)}; repeat its options")
        if moved := [k for k, v in c.data.items() if self.data[k] != v]:
            raise UserError(
                f"{self.out}: --{' and --'.join(moved)}: not what the run was begun with; "
                "give it that again, or begin another run with another --out"
            )
        self.net.load_state_dict(c.model)
        self.average.load_state_dict(c.average)
        self.heads.load_state_dict(c.heads)
        self.opt.load_state_dict(c.optimiser)
        self.step = c.step

    def advance(self, data: list[Pair], synthetic: list[Pair]) -> tuple[dict[str, float], dict[str, float]]:
        """One optimiser step; the loss with its terms, and the gradient norms of both encoders."""
        o, net = self.o, self.net
        polishing = self.step >= (1 - o.polish) * o.steps
        net.train()
        if polishing:
            freeze_statistics(net)
        for g in self.opt.param_groups:
            g["lr"] = learning_rate(self.step, o)
        misalign = self.step >= o.aligned * o.steps
        changes = o.augment.plain() if polishing else o.augment
        b = make_batch(data, o.batch, changes, o.seed, self.step, misalign, synthetic).to(self.device)
        self.opt.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            features = net.features(b.vis_in, b.ir_in)
            fused = net.compose(b.vis_in, b.ir_in, net.logits(*features)).float()
            more = {"branches": sum(self.heads(features, b.vis_in, b.ir_in)) / 2}
            if self.aligner:
                more["alignment"] = self.aligner(fused, b.mean, b.variances, b.taught)
        loss, terms = distillation_loss(fused, b, self.mean_variance, o.weights, more, o.tau)
        if not torch.isfinite(loss):
            start = self.out if checkpoint.checkpoint_path(self.out).exists() else o.init
            raise UserError(
                f"{self.out}: the loss of step {self.step} is not finite; begin a new run with "
                f"{f'--init {start} ' if start else ''}--lr {o.lr / 2:g} --out NEW"
            )
        loss.backward()
        norms = {"vis": gradient_norm(net.enc_vis), "ir": gradient_norm(net.enc_ir)}
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        self.opt.step()
        # a short memory at first, or the average would remember the initial weights for long
        update_average(self.average, net, min(o.average, (1 + self.step) / (10 + self.step)))
        self.step += 1
        return {"loss": float(loss.detach())} | {k: float(v) for k, v in terms.items()}, norms


def train(
    o: Options,
    pairs: Path,
    cache: Path,
    out: Path,
    *,
    val_pairs: Path | None = None,
    val_cache: Path | None = None,
    synthetic: Path | None = None,
    panel: Path | None = None,
    resume: bool = False,
    minutes: float | None = None,
    val_every: int = 2000,
    device: str = "auto",
) -> Checkpoint:
    """Trains until `o.steps` or until `minutes` have passed, whichever is first; returns the last checkpoint.

    Writes `out/checkpoint.pt` every `CHECKPOINT_SECONDS` and at the end, `out/train.csv`, `out/gradients.csv`
    (norms of both encoders' gradients, every step), and, with validation pairs, `out/val.csv`,
    `out/val_STEP.png` and, when all steps are done, `out/robustness.csv`. Checkpoints and the end by `minutes` fall
    on rows of `train.csv`, so that a resumed run averages the same steps into the next one.
    """
    digests = fingerprints(pairs, cache, synthetic, panel)
    run = Run(o, out, cache, panel, digests, pick_device(device))
    if checkpoint.checkpoint_path(out).exists():
        if not resume:
            raise UserError(f"{out}: holds a run already; add --resume to go on with it, or use another --out")
        run.restore(checkpoint.load(out, o.student))
    data = load_pairs(pairs, cache, o.long_side, o.panel)
    val = load_pairs(val_pairs, val_cache, o.long_side) if val_pairs else []
    scenes = load_pairs(synthetic, None, o.long_side) if synthetic else []
    out.mkdir(parents=True, exist_ok=True)
    for name in ("train.csv", "gradients.csv", "val.csv"):
        cut_csv(out / name, run.step)

    if run.step < o.steps:
        (out / "robustness.csv").unlink(missing_ok=True)  # of another run in this folder

    def watch() -> None:
        """Writes what is due by now and not there: an interrupted validation is made good on resume."""
        done = run.step == o.steps
        if not val or not (done or (run.step > 0 and run.step % val_every == 0)):
            return
        if run.step not in logged_steps(out / "val.csv"):
            m = validate(run.average, val, run.device, out / f"val_{run.step:06d}.png")
            append_csv(out / "val.csv", ("step", *METRICS), [{"step": run.step, **m}])
            print("\n" + " ".join(f"{k} {v:.3f}" for k, v in m.items()), file=sys.stderr, flush=True)
        if done and not (out / "robustness.csv").exists():
            write_robustness(run.average, val, out / "robustness.csv")

    begun = saved = time.monotonic()
    first, terms, norms = run.step, [], []
    watch()
    while run.step < o.steps:
        if run.step % LOG_STEPS == 0 and minutes is not None and time.monotonic() - begun >= minutes * 60:
            break
        t, g = run.advance(data, scenes)
        terms.append(t)
        norms.append({"step": run.step, **g})
        if run.step % LOG_STEPS == 0 or run.step == o.steps:
            row = {"step": run.step, "lr": learning_rate(run.step - 1, o)}
            row |= {k: float(np.mean([x[k] for x in terms])) for k in t}
            append_csv(out / "train.csv", tuple(row), [row])
            append_csv(out / "gradients.csv", GRADIENT_FIELDS, norms)
            show_progress(run.step, o.steps, row["loss"], (run.step - first) / (time.monotonic() - begun))
            terms, norms = [], []
            if time.monotonic() - saved > CHECKPOINT_SECONDS:
                checkpoint.save(out, run.state())
                saved = time.monotonic()
        if run.step < o.steps:
            watch()
    c = run.state()
    checkpoint.save(out, c)
    watch()
    print(file=sys.stderr)
    return c


def show_progress(step: int, steps: int, loss: float, rate: float) -> None:
    """The progress bar, on stderr."""
    done = "#" * (20 * step // steps)
    text = f"\r[{done:20s}] {step}/{steps} loss {loss:.4f} {rate:.2f} steps/s"
    print(text, end="", file=sys.stderr, flush=True)
