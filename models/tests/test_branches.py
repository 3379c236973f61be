"""The auxiliary supervision of the encoders, by its formula, and what it does to a starving branch."""

import pytest
import torch

from fusionproxy_models.branches import BranchHeads, gradient_norm
from fusionproxy_models.students import build


def test_branch_term_by_formula():
    torch.manual_seed(0)
    net = build("nano")
    heads = BranchHeads(net)
    v, i = torch.rand(2, 1, 16, 24), torch.rand(2, 1, 16, 24)
    features = net.features(v, i)
    got = heads(features, v, i)
    for term, branch, fs, x in ((got[0], heads.vis, features[0], v), (got[1], heads.ir, features[1], i)):
        total = 0.0
        for head, f, half in zip(branch, fs, (1, 2, 4)):
            out, err, n = head(f), 0.0, 0
            for b in range(2):
                for y in range(f.shape[2]):
                    for q in range(f.shape[3]):
                        for k in range(4):
                            top, left = (2 * y + k // 2) * half, (2 * q + k % 2) * half
                            cell = x[b, 0, top : top + half, left : left + half].mean()
                            err, n = err + abs(out[b, k, y, q].item() - cell.item()), n + 1
            total += err / n
        assert term.item() == pytest.approx(total / 3, rel=1e-4)


def test_a_branch_that_the_picture_ignores_still_learns():
    torch.manual_seed(0)
    net = build("nano")
    heads = BranchHeads(net)
    v, i = torch.rand(1, 1, 16, 16), torch.rand(1, 1, 16, 16)
    features = net.features(v, i)
    heads(features, v, i)[1].backward()
    assert gradient_norm(net.enc_ir) > 0 and gradient_norm(net.enc_vis) == 0


def test_gradient_norm_is_that_of_all_parameters_together():
    m = torch.nn.Linear(2, 1)
    m(torch.tensor([[3.0, 4.0]])).backward()
    assert gradient_norm(m) == pytest.approx((9 + 16 + 1) ** 0.5)
