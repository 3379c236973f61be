"""Shapes, composition and construction of the students."""

import pytest
import torch

from fusionproxy_models.errors import UserError
from fusionproxy_models.students import STUDENTS, Refine, ResidualFusion, at_size, build, fuse_image

LIGHT = [n for n, s in STUDENTS.items() if s.backbone is None]


def images(h, w, n=1):
    g = torch.Generator().manual_seed(0)
    return torch.rand(n, 1, h, w, generator=g), torch.rand(n, 1, h, w, generator=g)


@pytest.mark.parametrize("name", STUDENTS)
def test_output_has_the_shape_of_the_input_and_starts_near_the_average(name):
    torch.manual_seed(0)
    net = build(name, (64, 64)).eval()
    v, i = images(64, 64)
    with torch.no_grad():
        out = net(v, i)
    assert out.shape == v.shape
    assert 0 <= out.min() and out.max() <= 1
    assert (out - (v + i) / 2).abs().mean() < 0.1


@pytest.mark.parametrize("name", LIGHT)
def test_widths_are_multiples_of_eight(name):
    for m in build(name).modules():
        if isinstance(m, torch.nn.Conv2d) and m.in_channels > 1:
            assert m.in_channels % 8 == 0 and m.out_channels % 8 == 0


def test_composition_by_formula():
    torch.manual_seed(0)
    net = build("nano").eval()
    torch.nn.init.normal_(net.head.weight, 0, 1.0)
    v, i = images(16, 24)
    with torch.no_grad():
        a, b = net.logits(*net.features(v, i)).unbind(1)
        want = (v[:, 0] + (i - v)[:, 0] / (1 + (-a).exp()) + 0.25 * b.tanh()).clamp(0, 1)
        torch.testing.assert_close(net(v, i)[:, 0], want)


def test_fusion_head_by_formula():
    torch.manual_seed(0)
    m = ResidualFusion(8).eval()
    v, i = torch.rand(1, 8, 4, 4), torch.rand(1, 8, 4, 4)
    x = torch.cat([v, i], 1)
    gate = m.gate(x.mean((2, 3))[..., None, None])
    with torch.no_grad():
        torch.testing.assert_close(m(v, i), v + i + gate * m.proj(x))


def test_refinement_begins_as_nothing_and_can_be_learnt():
    torch.manual_seed(0)
    m, x = Refine(8), torch.rand(1, 8, 6, 6)
    assert torch.equal(m(x), x)
    m(x).square().sum().backward()
    assert m.body[1][1].weight.grad.abs().min() > 0


def test_any_size_by_edge_replication():
    net = build("nano").eval()
    v, i = images(21, 33)
    with torch.no_grad():
        assert fuse_image(net, v, i).shape == (1, 1, 21, 33)


def test_unknown_student_names_the_known():
    with pytest.raises(UserError, match="no student named 'ultralite'.*ultralight"):
        build("ultralite")


def test_the_encoders_share_nothing():
    net = build("ultralight")
    a = {p.data_ptr() for p in net.enc_vis.parameters()}
    assert not a & {p.data_ptr() for p in net.enc_ir.parameters()}


def test_position_tables_keep_their_offsets_at_another_size():
    torch.manual_seed(0)
    net = build("efficientformerv2", (64, 64)).eval()
    tables = {n: m for n, m in net.named_modules() if hasattr(m, "attention_biases")}
    for m in tables.values():
        torch.nn.init.normal_(m.attention_biases)
    large = at_size(net, (128, 96))
    for n, m in large.named_modules():
        if n in tables:
            h, w = tables[n].resolution
            was, now = tables[n].attention_biases.view(-1, h, w), m.attention_biases.view(-1, *m.resolution)
            assert torch.equal(now[:, :h, :w], was)
            assert torch.equal(now[:, -1, -1], was[:, -1, -1])
    assert at_size(net, (64, 64)) is net
    v, i = images(100, 90)
    with torch.no_grad():
        assert fuse_image(net, v, i).shape == (1, 1, 100, 90)
