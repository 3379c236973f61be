"""The `fusionproxy-models` command."""

import argparse
import dataclasses
import sys
from pathlib import Path

from .errors import UserError


def positive(text: str) -> float:
    """A positive number, for argparse."""
    x = float(text)
    if not x > 0:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return x


def share(text: str) -> float:
    """A number from 0 to 1, for argparse."""
    x = float(text)
    if not 0 <= x <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return x


def weight(text: str) -> tuple[str, float]:
    """NAME=NUMBER of a loss term, for argparse."""
    from .losses import Weights

    name, _, value = text.partition("=")
    names = [f.name for f in dataclasses.fields(Weights)]
    try:
        x = float(value)
    except ValueError:
        x = -1.0
    if name not in names or not x >= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not TERM=WEIGHT; terms: {', '.join(names)}")
    return name, x


def parser() -> argparse.ArgumentParser:
    """The command line."""
    ap = argparse.ArgumentParser(prog="fusionproxy-models", description=__doc__)
    sub = ap.add_subparsers(dest="command", required=True)

    t = sub.add_parser("teach", help="cache the statistics of a teacher ensemble")
    t.add_argument("--pairs", type=Path, required=True, help="folder with vis/NAME and ir/NAME")
    t.add_argument("--teachers", type=Path, required=True, help="TOML with [[teacher]] tables")
    t.add_argument("--panel", type=Path, help="TOML with [[backbone]] tables: cache their feature variances too")
    t.add_argument("--out", type=Path, required=True, help="cache folder")

    n = sub.add_parser("panel", help="train a foundation panel of our own by self-supervision")
    n.add_argument("--pairs", type=Path, required=True)
    n.add_argument("--out", type=Path, required=True, help="file of weights")
    n.add_argument("--steps", type=int, default=3000)
    n.add_argument("--seed", type=int, default=0)
    n.add_argument("--threads", type=int, help="CPU threads (default: all)")

    d = sub.add_parser("denoiser", help="train the unconditional denoiser of the diffusion teacher")
    d.add_argument("--pairs", type=Path, required=True)
    d.add_argument("--out", type=Path, required=True, help="run folder")
    d.add_argument("--resume", action="store_true")
    d.add_argument("--steps", type=int, default=20000)
    d.add_argument("--minutes", type=positive, help="stop (resumably) after this long")
    d.add_argument("--seed", type=int, default=0)
    d.add_argument("--threads", type=int, help="CPU threads (default: all)")

    r = sub.add_parser("train", help="distil a student")
    r.add_argument("--student", required=True)
    r.add_argument("--pairs", type=Path, required=True)
    r.add_argument("--cache", type=Path, required=True, help="the cache that `teach` made of --pairs")
    r.add_argument("--out", type=Path, required=True, help="run folder: checkpoint, CSV, pictures")
    r.add_argument("--val-pairs", type=Path)
    r.add_argument("--val-cache", type=Path)
    r.add_argument("--val-every", type=int, default=2000, metavar="STEPS")
    r.add_argument("--synthetic", type=Path, help="folder of synthetic pairs to mix in")
    r.add_argument("--panel", type=Path, help="the panel that `teach` was given")
    r.add_argument("--init", type=Path, help="begin with the averaged weights of this run")
    r.add_argument("--resume", action="store_true", help="go on with the run in --out")
    r.add_argument("--steps", type=int, default=20000, help="length of the learning-rate schedule")
    r.add_argument("--minutes", type=positive, help="stop (resumably) at a row of train.csv after this long")
    r.add_argument("--batch", type=int, default=8)
    r.add_argument("--crop", type=int, default=128, help="side of the training crops, px")
    r.add_argument("--long-side", type=int, help="scale pairs down to this longest side first, px")
    r.add_argument("--lr", type=positive, default=2e-3)
    r.add_argument(
        "--polish", type=share, default=0.3, help="last share of the steps, on plain pairs alone (default: 0.3)"
    )
    r.add_argument(
        "--weight", type=weight, action="append", default=[], metavar="TERM=WEIGHT", help="of a term of the loss"
    )
    r.add_argument(
        "--tau", type=positive, default=1.0, help="temperature of eqs. 7, 9, 10; below 1, disagreement counts more"
    )
    r.add_argument("--seed", type=int, default=0)
    r.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    r.add_argument("--threads", type=int, help="CPU threads (default: all)")

    e = sub.add_parser("export", help="write a trained student as ONNX")
    e.add_argument("run", type=Path, nargs="+", help="run folder; of several, the mean of their weights")
    e.add_argument("--out", type=Path, required=True, help="folder for STUDENT.onnx")
    return ap


def at_least_one(a: argparse.Namespace, *names: str) -> None:
    """Refuses options below 1."""
    for name in names:
        if getattr(a, name) is not None and getattr(a, name) < 1:
            raise UserError(f"--{name.replace('_', '-')} {getattr(a, name)}: must be at least 1")


def run_train(a: argparse.Namespace) -> None:
    """The `train` command."""
    from .augment import Augment
    from .losses import Weights
    from .options import Options
    from .panel import read_panel
    from .students import spec
    from .train import train

    spec(a.student)
    if a.val_pairs and not a.val_cache:
        raise UserError("--val-pairs: needs --val-cache, the cache that `teach` made of them")
    at_least_one(a, "steps", "batch", "crop", "val_every", "long_side")
    o = Options(
        a.student,
        steps=a.steps,
        batch=a.batch,
        lr=a.lr,
        polish=a.polish,
        tau=a.tau,
        seed=a.seed,
        long_side=a.long_side,
        init=str(a.init) if a.init else None,
        panel=tuple(e.name for e in read_panel(a.panel)) if a.panel else (),
        augment=Augment(crop=a.crop),
        weights=Weights(**dict(a.weight)),
    )
    keep = ("val_pairs", "val_cache", "synthetic", "panel", "resume", "minutes", "val_every", "device")
    c = train(o, a.pairs, a.cache, a.out, **{k: getattr(a, k) for k in keep})
    print(f"{a.out}: {c.student} at step {c.step} of {o.steps}")


def run(a: argparse.Namespace) -> None:
    """Executes a parsed command line."""
    if getattr(a, "threads", None) is not None:
        import torch

        at_least_one(a, "threads")
        torch.set_num_threads(a.threads)
    if a.command == "teach":
        from .teach import teach

        info = teach(a.pairs, a.teachers, a.out, a.panel)
        print(f"{a.out}: {info['pairs']} pairs, mean variance {info['mean_variance']:.3g}")
    elif a.command == "panel":
        from .selfsup import train_panel

        at_least_one(a, "steps")
        train_panel(a.pairs, a.out, a.steps, a.seed)
        print(f"{a.out}: {a.out.stat().st_size} bytes")
    elif a.command == "denoiser":
        from .denoiser import train_denoiser

        at_least_one(a, "steps")
        step = train_denoiser(a.pairs, a.out, a.steps, a.seed, resume=a.resume, minutes=a.minutes)
        print(f"{a.out}: denoiser at step {step} of {a.steps}")
    elif a.command == "train":
        run_train(a)
    else:
        from .export import export

        path = export(a.run, a.out)
        print(f"{path}: {path.stat().st_size} bytes")


def main(argv: list[str] | None = None) -> int:
    """Runs the command; a user's error is one line on stderr and exit status 1."""
    a = parser().parse_args(argv)
    try:
        run(a)
    except UserError as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        go_on = "go on with --resume" if hasattr(a, "resume") else "run it again"
        print(f"\ninterrupted; {go_on}", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
