"""The robustness measurements on networks whose answer is known."""

import numpy as np
import pytest
import torch

from fusionproxy_models.data import Pair, load_pairs
from fusionproxy_models.geometry import affine
from fusionproxy_models.registration import register
from fusionproxy_models.robustness import MISALIGNMENTS, misalignment, missing


class Visible(torch.nn.Module):
    """Gives the visible image back, whatever the infrared shows."""

    stride = 8

    def forward(self, vis, ir):
        return vis


class Brighter(Visible):
    """The pointwise maximum."""

    def forward(self, vis, ir):
        return torch.maximum(vis, ir)


def test_a_network_that_ignores_the_infrared_bears_any_misalignment(dataset):
    got = misalignment(Visible(), load_pairs(*dataset))
    assert len(got) == len(MISALIGNMENTS) and np.ptp(list(got.values())) < 1e-6


def test_a_network_that_uses_it_does_not(dataset):
    got = list(misalignment(Brighter(), load_pairs(*dataset)).values())
    assert got[0] > got[1]


def test_missing_modalities_of_the_maximum(dataset):
    got = missing(Brighter(), load_pairs(*dataset))
    assert got["infrared = 0"] == float("inf") and got["visible = 0"] == float("inf")
    assert got["infrared = 1"] == pytest.approx(6, abs=4)


def test_registration_finds_a_motion_across_modalities():
    rng = np.random.default_rng(0)
    blobs = torch.from_numpy(rng.random((1, 1, 12, 14), dtype=np.float32))
    x = torch.nn.functional.interpolate(blobs, (120, 140), mode="bicubic", align_corners=False)[0].clamp(0, 1)
    ir = 1 - x.square()  # other brightness, other polarity, the same edges
    for motion in ((0.0, 0.0, 0.0), (4.0, -3.0, 1.5)):
        back = register(x, affine(ir, *motion))
        again = affine(affine(ir, *motion), *back)
        assert (again - ir)[:, 20:-20, 20:-20].abs().mean() < 0.02
    assert register(x[:, :40], ir[:, :40]) == (0.0, 0.0, 0.0)


def test_registration_makes_up_for_a_misaligned_rig():
    """The brighter of both, on one scene: almost nothing is lost once the infrared is put back."""
    rng = np.random.default_rng(1)
    blobs = torch.from_numpy(rng.random((1, 1, 12, 14), dtype=np.float32))
    x = torch.nn.functional.interpolate(blobs, (120, 140), mode="bicubic", align_corners=False)[0, 0].clamp(0, 1)
    vis, ir = (x * 255).byte().numpy(), ((1 - x) * 255).byte().numpy()
    p = Pair("scene", vis, ir, np.maximum(vis, ir).astype(np.uint16) * 257)
    moved, put_back = (misalignment(Brighter(), [p], registered=r) for r in (False, True))
    name = MISALIGNMENTS[1][0]
    assert put_back[name] > moved[name] + 0.5 * (1 - moved[name])
