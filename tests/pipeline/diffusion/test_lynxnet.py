"""LYNXNet2 against its equations, frame by frame and channel by channel in float64."""

import math

import numpy as np
import pytest
import torch
from svc.pipeline.diffusion.lynxnet import Block, LYNXNet2


def array(parameter: torch.Tensor) -> np.ndarray:
    return parameter.detach().numpy().astype(np.float64)


def linear(x: np.ndarray, layer: torch.nn.Module) -> np.ndarray:
    assert isinstance(layer, torch.nn.Linear)
    return x @ array(layer.weight).T + array(layer.bias)


def norm(x: np.ndarray, layer: torch.nn.LayerNorm) -> np.ndarray:
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-5) * array(layer.weight) + array(layer.bias)


def swiglu(x: np.ndarray) -> np.ndarray:
    half = x.shape[-1] // 2
    return x[..., :half] * x[..., half:] / (1 + np.exp(-x[..., half:]))


def reference(net: LYNXNet2, x: np.ndarray, step: float, condition: np.ndarray) -> np.ndarray:
    """One utterance: x (bins, T), condition (H, T) -> (bins, T)."""
    channels = net.input.out_features
    half = channels // 2
    rates = [10_000 ** (-i / (half - 1)) for i in range(half)]
    code = np.array([math.sin(step * r) for r in rates] + [math.cos(step * r) for r in rates])
    hidden = linear(code, net.step[0])
    hidden = hidden * np.array([0.5 * (1 + math.erf(h / math.sqrt(2))) for h in hidden])  # GELU
    y = linear(x.T, net.input) + linear(condition.T, net.condition) + linear(hidden, net.step[2])
    for block in net.blocks:
        assert isinstance(block, Block)
        assert block.depthwise.bias is not None
        normal = norm(y, block.norm)
        weight, bias = array(block.depthwise.weight)[:, 0], array(block.depthwise.bias)
        reach = weight.shape[1] // 2
        around = np.pad(normal, ((reach, reach), (0, 0)))
        seen = np.stack([(around[t : t + 2 * reach + 1] * weight.T).sum(0) + bias for t in range(len(y))])
        y = y + linear(swiglu(linear(swiglu(linear(seen, block.first)), block.second)), block.last)
    return linear(norm(y, net.norm), net.output).T


def test_lynxnet2_is_its_equations() -> None:
    torch.manual_seed(0)
    net = LYNXNet2(bins=5, condition=4, channels=8, layers=3, kernel=7)
    torch.nn.init.normal_(net.output.weight)
    for module in net.modules():
        if isinstance(module, torch.nn.LayerNorm):
            torch.nn.init.normal_(module.weight)
            torch.nn.init.normal_(module.bias)
    x, condition, steps = torch.randn(3, 5, 20), torch.randn(3, 4, 20), torch.tensor([0.0, 17.5, 999.0])
    with torch.no_grad():
        got = net(x, steps, net.project(condition))
    for row in range(3):
        truth = reference(net, array(x[row]), float(steps[row]), array(condition[row]))
        np.testing.assert_allclose(got[row], truth, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("hidden", "channels", "layers"), [(384, 1024, 6), (256, 512, 6)])
def test_parameters_are_as_many_as_the_equations_have(hidden: int, channels: int, layers: int) -> None:
    """DiffSinger's shape is the first; a linear layer from a to b has ab + b, a norm 2c, the convolution 31c + c."""
    bins, c = 128, channels
    block = 2 * c + (31 * c + c) + 2 * (c * 2 * c + 2 * c) + (c * c + c)
    step = (c * 4 * c + 4 * c) + (4 * c * c + c)
    truth = (bins * c + c) + (hidden * c + c) + step + layers * block + 2 * c + (c * bins + bins)
    with torch.device("meta"):
        net = LYNXNet2(bins, hidden, c, layers)
    assert sum(p.numel() for p in net.parameters()) == truth
