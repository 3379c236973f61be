"""ONNX export of a trained student, checked against the PyTorch network."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from . import checkpoint
from .files import write_atomic
from .students import Student, at_size, build, spec

OPSET = 18


def trained(run: Path, student: str | None = None) -> Student:
    """The averaged network of a run, in eval mode; with `student`, refuses another one."""
    c = checkpoint.load(run, student)
    crop = c.options["augment"]["crop"]
    net = build(c.student, (crop, crop))
    net.load_state_dict(c.average)
    return net.eval()


def average(runs: Sequence[Path]) -> Student:
    """The network whose weights are the mean of those of `runs`, all of one student.

    Of finishes that began with the same weights the mean lies between them, and is often better than either
    (model soups, arXiv 2203.05482).
    """
    first = trained(runs[0])
    size = spec(first.name).size
    net, *others = (at_size(n, size) for n in [first, *(trained(run, first.name) for run in runs[1:])])
    more = [n.state_dict() for n in others]
    state = net.state_dict()
    for k, v in state.items():
        if v.is_floating_point():
            state[k] = torch.stack([v, *(s[k] for s in more)]).mean(0)
    net.load_state_dict(state)
    return net.eval()


def to_onnx(net: Student, size: tuple[int, int], dynamic: bool) -> bytes:
    """The ONNX of `net`: inputs `vis`, `ir`, output `fused`, [1, 1, H, W]; BatchNorm folded, graph slimmed."""
    import onnx
    import onnxslim

    args = tuple(torch.rand(1, 1, *size, generator=torch.Generator().manual_seed(n)) for n in range(2))
    axes = {n: {2: "height", 3: "width"} for n in ("vis", "ir", "fused")} if dynamic else None
    f = io.BytesIO()
    torch.onnx.export(
        net.eval(),
        args,
        f,
        input_names=["vis", "ir"],
        output_names=["fused"],
        opset_version=OPSET,
        dynamo=False,
        dynamic_axes=axes,
    )
    # Larger constants stay computed: a table of position biases is a hundredth of the matrix it is spread over.
    model = onnxslim.slim(onnx.load_from_string(f.getvalue()), size_threshold=1 << 20)
    for node in model.graph.node:  # source locations of this machine, four times the size of the weights
        node.doc_string = ""
        del node.metadata_props[:]
    if dynamic:  # inferred shapes as formulae of height and width, which few readers can parse
        del model.graph.value_info[:]
    onnx.checker.check_model(model)
    return model.SerializeToString()


def export(runs: Sequence[Path], out: Path) -> Path:
    """Writes `out/STUDENT.onnx` from the averaged weights of `runs`; returns its path.

    Light students keep height and width open; the others are fixed to their specified size.
    """
    net = average(runs)
    s = spec(net.name)
    path = out / f"{net.name}.onnx"
    data = to_onnx(net, s.size, dynamic=s.backbone is None)
    write_atomic(path, lambda f: f.write(data))
    return path


def difference(path: Path, net: Student, size: tuple[int, int]) -> float:
    """Largest absolute difference of ONNX Runtime and PyTorch on random inputs (needs onnxruntime)."""
    import onnxruntime

    g = np.random.default_rng(0)
    v, i = (g.random((1, 1, *size), dtype=np.float32) for _ in range(2))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    got = session.run(None, {"vis": v, "ir": i})[0]
    with torch.no_grad():
        want = net(torch.from_numpy(v), torch.from_numpy(i)).numpy()
    return float(np.abs(got - want).max())
