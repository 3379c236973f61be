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


def parser() -> argparse.ArgumentParser:
    """The command line."""
    ap = argparse.ArgumentParser(prog="fusionproxy-models", description=__doc__)
    sub = ap.add_subparsers(dest="command", required=True)

    t = sub.add_parser("teach", help="cache the statistics of a teacher ensemble")
    t.add_argument("--pairs", type=Path, required=True, help="folder with vis/NAME and ir/NAME")
    t.add_argument("--teachers", type=Path, required=True, help="TOML with [[teacher]] tables")
    t.add_argument("--out", type=Path, required=True, help="cache folder")

    r = sub.add_parser("train", help="distil a student")
    r.add_argument("--student", required=True)
    r.add_argument("--pairs", type=Path, required=True)
    r.add_argument("--cache", type=Path, required=True, help="the cache that `teach` made of --pairs")
    r.add_argument("--out", type=Path, required=True, help="run folder: checkpoint, CSV, pictures")
    r.add_argument("--val-pairs", type=Path)
    r.add_argument("--val-cache", type=Path)
    r.add_argument("--val-every", type=int, default=2000, metavar="STEPS")
    r.add_argument("--resume", action="store_true", help="go on with the run in --out")
    r.add_argument("--steps", type=int, default=20000, help="length of the learning-rate schedule")
    r.add_argument("--minutes", type=positive, help="stop (resumably) after this long")
    r.add_argument("--batch", type=int, default=8)
    r.add_argument("--crop", type=int, default=128, help="side of the training crops, px")
    r.add_argument("--long-side", type=int, help="scale pairs down to this longest side first, px")
    r.add_argument("--lr", type=positive, default=2e-3)
    r.add_argument("--seed", type=int, default=0)
    r.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    r.add_argument("--threads", type=int, help="CPU threads (default: all)")

    e = sub.add_parser("export", help="write a trained student as ONNX")
    e.add_argument("run", type=Path, help="run folder")
    e.add_argument("--out", type=Path, required=True, help="folder for STUDENT.onnx")
    return ap


def run(a: argparse.Namespace) -> None:
    """Executes a parsed command line."""
    if a.command == "teach":
        from .teach import teach

        info = teach(a.pairs, a.teachers, a.out)
        print(f"{a.out}: {info['pairs']} pairs, mean variance {info['mean_variance']:.3g}")
    elif a.command == "train":
        import torch

        from .augment import Augment
        from .students import spec
        from .train import Options, train

        spec(a.student)
        if a.val_pairs and not a.val_cache:
            raise UserError("--val-pairs: needs --val-cache, the cache that `teach` made of them")
        for name in ("steps", "batch", "crop", "val_every", "long_side", "threads"):
            if getattr(a, name) is not None and getattr(a, name) < 1:
                raise UserError(f"--{name.replace('_', '-')} {getattr(a, name)}: must be at least 1")
        if a.threads:
            torch.set_num_threads(a.threads)
        o = Options(a.student, steps=a.steps, batch=a.batch, lr=a.lr, seed=a.seed, long_side=a.long_side)
        o = dataclasses.replace(o, augment=Augment(crop=a.crop))
        keep = ("val_pairs", "val_cache", "resume", "minutes", "val_every", "device")
        c = train(o, a.pairs, a.cache, a.out, **{k: getattr(a, k) for k in keep})
        print(f"{a.out}: {c.student} at step {c.step} of {o.steps}")
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
        print("\ninterrupted; the last checkpoint is whole, go on with --resume", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
