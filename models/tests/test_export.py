"""The exported ONNX: operators, names, equality with PyTorch, and the command line around it."""

from collections import Counter

import onnx
import pytest
import torch

from fusionproxy_models import cli
from fusionproxy_models.export import average, difference, export, trained
from fusionproxy_models.students import build

ALLOWED = {"Conv", "Relu", "Add", "Concat", "Sigmoid", "ReduceMean", "Mul", "Resize", "DepthToSpace", "Split"}
ALLOWED |= {"Sub", "Tanh", "Clip"}


@pytest.fixture(scope="module")
def run(dataset, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "r"
    args = ["train", "--student", "nano", "--pairs", str(dataset[0]), "--cache", str(dataset[1])]
    assert cli.main([*args, "--out", str(out), "--steps", "3", "--batch", "2", "--crop", "32"]) == 0
    return out


def test_the_graph_is_small_plain_and_equal(run, tmp_path):
    path = export([run], tmp_path)
    model = onnx.load(path)
    ops = Counter(n.op_type for n in model.graph.node)
    assert set(ops) <= ALLOWED
    assert "BatchNormalization" not in ops and (ops["Sub"], ops["Tanh"], ops["Clip"]) == (1, 1, 1)
    assert [i.name for i in model.graph.input] == ["vis", "ir"]
    assert [o.name for o in model.graph.output] == ["fused"]
    assert not any(n.doc_string for n in model.graph.node)
    net = trained(run)
    for size in ((120, 160), (64, 40)):
        assert difference(path, net, size) < 1e-5


def test_several_runs_give_the_mean_of_their_weights(run, dataset, tmp_path):
    pairs, cache = map(str, dataset)
    more = ["train", "--student", "nano", "--pairs", pairs, "--cache", cache, "--init", str(run)]
    other = tmp_path / "other"
    assert cli.main([*more, "--out", str(other), "--steps", "2", "--batch", "2", "--crop", "32"]) == 0
    mean = average([run, other]).state_dict()
    for k, v in trained(run).state_dict().items():
        if v.is_floating_point():
            torch.testing.assert_close(mean[k], (v + trained(other).state_dict()[k]) / 2)


def test_cli_errors_are_one_line(run, dataset, tmp_path, capsys):
    pairs, cache = map(str, dataset)
    train = ["train", "--pairs", pairs, "--cache", cache, "--out", str(tmp_path / "o")]
    cases = [
        ([*train, "--student", "nanno"], "no student named 'nanno'"),
        ([*train, "--student", "nano", "--steps", "0"], "--steps 0"),
        ([*train, "--student", "nano", "--val-pairs", pairs], "--val-cache"),
        (["export", str(tmp_path / "none"), "--out", str(tmp_path)], "no checkpoint"),
        (["teach", "--pairs", pairs, "--teachers", "none.toml", "--out", str(tmp_path)], "none.toml"),
        ([*train, "--student", "nano", "--panel", "none.toml"], "none.toml"),
        ([*train, "--student", "nano", "--init", str(tmp_path / "none")], "no checkpoint"),
        ([*train, "--student", "nano", "--synthetic", str(tmp_path / "none")], "no such folder"),
        ([*train, "--student", "nano", "--threads", "0"], "--threads 0"),
        (["denoiser", "--pairs", str(tmp_path / "none"), "--out", str(tmp_path / "d")], "no such folder"),
        (["panel", "--pairs", pairs, "--out", str(tmp_path / "p.pt"), "--steps", "0"], "--steps 0"),
    ]
    for argv, text in cases:
        assert cli.main(argv) == 1
        err = capsys.readouterr().err.strip()
        assert err.startswith("error: ") and text in err and "\n" not in err


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["teach", "--pairs", "p", "--teachers", "t", "--out", "o"], "run it again"),
        (["panel", "--pairs", "p", "--out", "o"], "run it again"),
        (["export", "r", "--out", "o"], "run it again"),
        (["denoiser", "--pairs", "p", "--out", "o"], "go on with --resume"),
        (["train", "--student", "nano", "--pairs", "p", "--cache", "c", "--out", "o"], "go on with --resume"),
    ],
)
def test_an_interrupted_command_says_how_to_go_on(argv, text, monkeypatch, capsys):
    def cut(a):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "run", cut)
    assert cli.main(argv) == 130
    assert capsys.readouterr().err == f"\ninterrupted; {text}\n"


def test_teach_by_the_command_line(dataset, tmp_path, capsys):
    config = dataset[0].parent / "teachers.toml"
    assert cli.main(["teach", "--pairs", str(dataset[0]), "--teachers", str(config), "--out", str(tmp_path)]) == 0
    assert "3 pairs" in capsys.readouterr().out


def test_panel_and_denoiser_by_the_command_line(dataset, tmp_path, capsys):
    pairs = str(dataset[0])
    assert cli.main(["panel", "--pairs", pairs, "--out", str(tmp_path / "p.pt"), "--steps", "1"]) == 0
    assert cli.main(["denoiser", "--pairs", pairs, "--out", str(tmp_path / "d"), "--steps", "1"]) == 0
    assert "denoiser at step 1 of 1" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["mobilenetv4", "efficientformerv2", "convnextv2"])
def test_timm_students_are_exportable(name):
    from fusionproxy_models.export import to_onnx

    torch.manual_seed(0)
    model = onnx.load_from_string(to_onnx(build(name, (64, 64)), (64, 64), dynamic=False))
    assert [d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim] == [1, 1, 64, 64]
