"""One other runtime as a program that `fusionproxy bench` drives by lines; see README.md.

    peer.py RUNTIME MODEL.onnx PRECISION HEIGHT WIDTH THREADS FRAMES CACHE
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

Frame = tuple[np.ndarray, np.ndarray]
Fuse = Callable[[], np.ndarray]


class Work:
    """What the program was started with."""

    def __init__(self, args: list[str]):
        self.model = Path(args[0]).resolve()
        self.precision = args[1]
        self.height, self.width, self.threads = map(int, args[2:5])
        self.frames, self.cache = Path(args[5]), Path(args[6])
        self.cache.mkdir(parents=True, exist_ok=True)

    def frame(self, n: int) -> Frame:
        shape = (1, 1, self.height, self.width)
        bands = (self.frames / f"{n}.{band}.f32" for band in ("vis", "ir"))
        vis, ir = (np.fromfile(path, "<f4").reshape(shape) for path in bands)
        return vis, ir

    def all_frames(self) -> list[Frame]:
        return [self.frame(n) for n in range(len(list(self.frames.glob("*.vis.f32"))))]

    def converted(self, kind: str, end: str) -> Path:
        """Where a converted network is kept: as new as the network that it was made from."""
        stamp = int(self.model.stat().st_mtime)
        return self.cache / f"{self.model.stem}-{stamp}-{self.height}x{self.width}-{kind}{end}"


def qdq(work: Work) -> Path:
    """The network quantised by ONNX Runtime: QDQ, u8 activations, i8 weights per channel, min-max."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    path = work.converted("qdq", ".onnx")
    if path.is_file():
        return path

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = iter(work.all_frames())

        def get_next(self) -> dict[str, np.ndarray] | None:
            frame = next(self.left, None)
            return None if frame is None else {"vis": frame[0], "ir": frame[1]}

    ready = work.converted("ready", ".onnx")
    quant_pre_process(str(work.model), str(ready), skip_symbolic_shape=True)
    part = path.with_suffix(".part.onnx")
    quantize_static(
        str(ready),
        str(part),
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    part.rename(path)
    return path


def ort(work: Work) -> tuple[str, Fuse]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = work.threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.force_spinning_stop", "1")
    model = work.model if work.precision == "f32" else qdq(work)
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    vis, ir = work.frame(0)
    return onnxruntime.__version__, lambda: session.run(None, {"vis": vis, "ir": ir})[0]


def openvino(work: Work) -> tuple[str, Fuse]:
    import openvino as ov

    core = ov.Core()
    if work.precision == "int8":
        network = nncf_int8(work, core) or core.read_model(str(qdq(work)))
    else:
        network = core.read_model(str(work.model))
    shape = [1, 1, work.height, work.width]
    network.reshape({"vis": shape, "ir": shape})
    config = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": work.threads,
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "bf16" if work.precision == "bf16" else "f32",
    }
    request = core.compile_model(network, "CPU", config).create_infer_request()
    vis, ir = work.frame(0)
    request.set_tensor("vis", ov.Tensor(vis))
    request.set_tensor("ir", ov.Tensor(ir))

    def fuse() -> np.ndarray:
        request.infer()
        return request.get_output_tensor(0).data

    return ov.__version__.split("-")[0], fuse


def nncf_int8(work: Work, core):
    """The network quantised by NNCF, or None where NNCF is not installed."""
    import openvino as ov
    from openvino import passes

    path = work.converted("nncf", ".xml")
    if path.is_file():
        return core.read_model(str(path))
    try:
        import nncf
    except ImportError:
        return None
    network = core.read_model(str(work.model))
    shape = [1, 1, work.height, work.width]
    network.reshape({"vis": shape, "ir": shape})
    # NNCF fails on tables that are read with constant indices, such as EfficientFormerV2's position biases.
    folding = passes.Manager()
    folding.register_pass(passes.ConstantFolding())
    folding.run_passes(network)
    frames = nncf.Dataset(work.all_frames(), lambda f: {"vis": f[0], "ir": f[1]})
    quantised = nncf.quantize(network, frames, preset=nncf.QuantizationPreset.MIXED)
    ov.save_model(quantised, str(path))
    return quantised


def ncnn(work: Work) -> tuple[str, Fuse]:
    import ncnn as runtime

    param = work.converted("ncnn", ".param")
    weights = param.with_suffix(".bin")
    if not weights.is_file():
        convert_by_pnnx(work, param, weights)
    net = runtime.Net()
    net.opt.num_threads = work.threads
    net.opt.use_packing_layout = True
    net.opt.use_winograd_convolution = True
    net.opt.use_sgemm_convolution = True
    for name in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic"):
        setattr(net.opt, name, False)
    net.opt.use_bf16_storage = work.precision == "bf16"
    if net.load_param(str(param)) or net.load_model(str(weights)):
        raise RuntimeError("ncnn cannot load the converted network")
    # A Mat borrows the array's memory: cloned, it has its own.
    vis, ir = (runtime.Mat(np.ascontiguousarray(x[0])).clone() for x in work.frame(0))

    def fuse() -> np.ndarray:
        with net.create_extractor() as run:
            run.input("in0", vis)
            run.input("in1", ir)
            failed, out = run.extract("out0")
            if failed:
                raise RuntimeError(f"ncnn fails with {failed}")
            return np.array(out)

    return runtime.__version__, fuse


def convert_by_pnnx(work: Work, param: Path, weights: Path) -> None:
    import shutil
    import tempfile

    program = Path(sys.executable).with_name("pnnx")
    shape = f"[1,1,{work.height},{work.width}]f32"
    with tempfile.TemporaryDirectory() as folder:
        onnx = Path(folder) / "net.onnx"
        shutil.copy(work.model, onnx)
        words = [str(program), str(onnx), f"inputshape={shape},{shape}", "fp16=0"]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
        made = [onnx.with_name(f"net.ncnn.{end}") for end in ("param", "bin")]
        if not all(path.is_file() for path in made):
            raise RuntimeError("pnnx cannot convert the network: " + (done.stderr or done.stdout)[-200:])
        shutil.copy(made[0], param)
        shutil.copy(made[1], weights)


RUNTIMES = {"ort": ort, "openvino": openvino, "ncnn": ncnn}


def serve(fuse: Fuse) -> None:
    """Answers until its input ends."""
    for line in sys.stdin:
        word, _, rest = line.strip().partition(" ")
        if word == "run":
            times = []
            for _ in range(int(rest)):
                start = time.perf_counter()
                fuse()
                times.append((time.perf_counter() - start) * 1e3)
            say("ms " + " ".join(f"{t:.4f}" for t in times))
        elif word == "allocations":
            say("allocations unknown")
        elif word == "output":
            np.asarray(fuse(), "<f4").tofile(rest)
            say("done")
        else:
            say(f"error no such question: {word}")


def main() -> None:
    runtime, *args = sys.argv[1:]
    try:
        version, fuse = RUNTIMES[runtime](Work(args))
        fuse()
        say(f"ready {version}")
        serve(fuse)
    except Exception as error:  # whatever a runtime throws becomes the line that the bench reports
        say("error " + " ".join(f"{type(error).__name__}: {error}".split())[:400])
        sys.exit(1)


# Runtimes print to standard output as they like; the answers have a channel of their own.
ANSWERS = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)


def say(line: str) -> None:
    print(line, file=ANSWERS, flush=True)


if __name__ == "__main__":
    main()
