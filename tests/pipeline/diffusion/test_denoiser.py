"""Properties of every denoiser."""

import pytest
import torch
from svc.pipeline.diffusion.denoiser import new_denoiser
from svc.pipeline.diffusion.shape import DENOISERS, Architecture
from torch import nn


@pytest.mark.parametrize("name", DENOISERS)
def test_a_new_denoiser_says_nothing_yet(name: str) -> None:
    net = new_denoiser(Architecture(4, name, 8, 2, 2), bins=6)
    x, condition = torch.randn(2, 6, 9), torch.randn(2, 4, 9)
    step = torch.tensor([3.0, 900.0])
    assert not net(x, step, net.project(condition))[:, :, 3:6].std(-1).any()  # but for a constant


@pytest.mark.parametrize("name", DENOISERS)
def test_one_projection_serves_every_step_and_all_is_heard(name: str) -> None:
    torch.manual_seed(0)
    net = new_denoiser(Architecture(4, name, 8, 2, 2), bins=6)
    nn.init.normal_(net.output.weight)
    x, condition = torch.randn(1, 6, 9), torch.randn(1, 4, 9)
    with torch.no_grad():
        projected = net.project(condition)
        first, other, again = (net(x, torch.tensor([t]), projected) for t in (900.0, 10.0, 900.0))
        unlike = net(x, torch.tensor([900.0]), net.project(condition + 1))
    assert first.shape == x.shape
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
    assert not torch.allclose(first, unlike)


@pytest.mark.parametrize("name", DENOISERS)
def test_gradients_reach_every_parameter(name: str) -> None:
    """If processes share their gradients, a parameter without a gradient would block them."""
    net = new_denoiser(Architecture(4, name, 8, 2, 2), bins=6)
    nn.init.normal_(net.output.weight)
    out = net(torch.randn(2, 6, 9), torch.tensor([1.0, 2.0]), net.project(torch.randn(2, 4, 9)))
    out.square().mean().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())


def test_another_name_is_refused() -> None:
    with pytest.raises(ValueError, match="choose wavenet, lynxnet2"):
        Architecture(denoiser="unet")
