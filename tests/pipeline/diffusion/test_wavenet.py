"""The WaveNet against DiffNet's equations written out block by block."""

import math

import pytest
import torch
import torch.nn.functional as F
from svc.pipeline.diffusion.wavenet import Block, WaveNet
from svc.pipeline.layers import position_embedding
from torch import Tensor


@pytest.fixture
def wavenet() -> WaveNet:
    torch.manual_seed(0)
    net = WaveNet(bins=10, condition=6, channels=8, layers=7, dilation_cycle=3)
    torch.nn.init.normal_(net.output.weight)  # it begins at zero, which would hide everything
    return net


def linear(x: Tensor, layer: torch.nn.Module) -> Tensor:
    assert isinstance(layer, torch.nn.Linear)
    return x @ layer.weight.T + layer.bias


def reference(net: WaveNet, x: Tensor, step: Tensor, condition: Tensor, cycle: int) -> Tensor:
    """Diff-SVC's DiffNet: every block has a 1x1 convolution of its own for the condition."""
    channels = net.input.out_channels
    half = channels // 2
    codes = []
    for t in step.tolist():
        rates = [10_000 ** (-i / (half - 1)) for i in range(half)]
        codes.append([math.sin(t * r) for r in rates] + [math.cos(t * r) for r in rates])
    embedded = linear(torch.tensor(codes), net.step[0])
    embedded = linear(embedded * torch.tanh(torch.log1p(embedded.exp())), net.step[2])
    x = torch.relu(F.conv1d(x, net.input.weight, net.input.bias))
    total = torch.zeros_like(x)
    assert net.condition.bias is not None
    for i, block in enumerate(net.blocks):
        assert isinstance(block, Block)
        rows = slice(i * 2 * channels, (i + 1) * 2 * channels)
        own = F.conv1d(condition, net.condition.weight[rows], net.condition.bias[rows])
        dilation = 2 ** (i % cycle)
        pushed = x + linear(embedded, block.step)[..., None]
        y = F.conv1d(pushed, block.dilated.weight, block.dilated.bias, padding=dilation, dilation=dilation) + own
        y = torch.sigmoid(y[:, :channels]) * torch.tanh(y[:, channels:])
        y = F.conv1d(y, block.output.weight, block.output.bias)
        x = (x + y[:, :channels]) / 2**0.5
        total = total + y[:, channels:]
    out = torch.relu(F.conv1d(total / len(net.blocks) ** 0.5, net.skip.weight, net.skip.bias))
    return F.conv1d(out, net.output.weight, net.output.bias)


def test_wavenet_is_diffnet_with_the_condition_projected_beforehand(wavenet: WaveNet) -> None:
    generator = torch.Generator().manual_seed(1)
    x, condition = torch.randn(3, 10, 40, generator=generator), torch.randn(3, 6, 40, generator=generator)
    step = torch.tensor([0.0, 17.5, 999.0])
    with torch.no_grad():
        got = wavenet(x, step, wavenet.project(condition))
        truth = reference(wavenet, x, step, condition, cycle=3)
    assert truth.std() > 0.1
    torch.testing.assert_close(got, truth, rtol=1e-4, atol=1e-5)


def test_one_projection_serves_every_step(wavenet: WaveNet) -> None:
    generator = torch.Generator().manual_seed(2)
    x, condition = torch.randn(1, 10, 16, generator=generator), torch.randn(1, 6, 16, generator=generator)
    with torch.no_grad():
        projected = wavenet.project(condition)
        outputs = [wavenet(x, torch.tensor([t]), projected) for t in (900.0, 10.0, 900.0)]
    assert torch.equal(outputs[0], outputs[2])
    assert not torch.allclose(outputs[0], outputs[1])


def test_a_new_denoiser_says_nothing_yet() -> None:
    net = WaveNet(4, 3, 8, 2)
    assert not net.output.weight.any()


def test_a_position_embedding_holds_sines_then_cosines_from_rate_one_to_a_ten_thousandth() -> None:
    got = position_embedding(torch.tensor([0.0, 2.0, 750.0]), 6)
    for row, t in zip(got.tolist(), (0.0, 2.0, 750.0), strict=True):
        angles = [t, t / 100, t / 10_000]
        truth = [math.sin(a) for a in angles] + [math.cos(a) for a in angles]
        assert row == pytest.approx(truth, abs=1e-5)


@pytest.mark.parametrize(
    ("hidden", "channels", "cycle", "millions"),
    [(256, 384, 4, 32.0), (512, 384, 4, 35.9), (768, 384, 4, 39.8), (256, 512, 1, 55.0)],
)
def test_parameters_are_as_many_as_the_fields(hidden: int, channels: int, cycle: int, millions: float) -> None:
    """Diff-SVC's sizes by its hidden width (all but a pitch table is the denoiser), and Diffusion-SVC's. A 1x1
    convolution from a to b channels has ab + b, and a block holds its dilated convolution, its step, its share of the
    condition, its output.
    """
    bins, c, layers = 128, channels, 20
    block = (3 * c * 2 * c + 2 * c) + (c * c + c) + (hidden * 2 * c + 2 * c) + (c * 2 * c + 2 * c)
    step = (c * 4 * c + 4 * c) + (4 * c * c + c)
    truth = (bins * c + c) + step + layers * block + (c * c + c) + (c * bins + bins)
    with torch.device("meta"):
        net = WaveNet(bins, hidden, c, layers, cycle)
    count = sum(p.numel() for p in net.parameters())
    assert count == truth
    assert count / 1e6 == pytest.approx(millions, abs=0.06)
    blocks = [block for block in net.blocks[:5] if isinstance(block, Block)]
    assert [block.dilated.dilation[0] for block in blocks] == [2 ** (i % cycle) for i in range(5)]
