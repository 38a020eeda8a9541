"""The network of RMVPE (Wei et al., 2023, arXiv 2306.15412): a U-Net over the mel, a recurrent layer, 360 pitch bins.

Names of modules are those of the released checkpoint's tensors; sizes are read from the tensors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MELS = 128
MOST_DEPTH = 64  # blocks, layers or levels that a file may claim


class ConvBlock(nn.Module):
    """Two convolutions of 3 x 3 with batch norms, and a shortcut: [B, in, T, M] -> [B, out, T, M]."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        )
        if inputs != outputs:
            self.shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """As the class says, float32."""
        out: Tensor = self.conv(x)
        return out + (self.shortcut(x) if hasattr(self, "shortcut") else x)


class Level(nn.Module):
    """Blocks one after the other: of the encoder, or between encoder and decoder."""

    def __init__(self, inputs: int, outputs: int, blocks: int):
        super().__init__()
        self.conv = nn.ModuleList(ConvBlock(inputs if i == 0 else outputs, outputs) for i in range(blocks))

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, T, M] -> [B, outputs, T, M]."""
        for block in self.conv:
            x = block(x)
        return x


class Rise(nn.Module):
    """A level of the decoder: twice the size by a transposed convolution, then blocks over that and the encoder's."""

    def __init__(self, inputs: int, outputs: int, blocks: int):
        super().__init__()
        self.conv1 = nn.Sequential(
            nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        )
        self.conv2 = nn.ModuleList(ConvBlock(2 * outputs if i == 0 else outputs, outputs) for i in range(blocks))

    def forward(self, x: Tensor, beside: Tensor) -> Tensor:
        """[B, inputs, T, M] and the encoder's [B, outputs, 2 T, 2 M] -> [B, outputs, 2 T, 2 M]."""
        x = torch.cat([self.conv1(x), beside], 1)
        for block in self.conv2:
            x = block(x)
        return x


class Recurrent(nn.Module):
    """A bidirectional GRU: [B, T, in] -> [B, T, 2 * width]."""

    def __init__(self, inputs: int, width: int):
        super().__init__()
        self.gru = nn.GRU(inputs, width, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor) -> Tensor:
        """As the class says, float32."""
        out: Tensor = self.gru(x)[0]
        return out


class RmvpeNetwork(nn.Module):
    """float32 [B, 128, T] log mel, T a multiple of 2 ** levels -> salience [B, T, 360], within 0 to 1."""

    def __init__(self, width: int, levels: int, inner: int, blocks: int, recurrent: int, bins: int):
        """`width` is the channels of the first level, `recurrent` those of the GRU in one direction."""
        super().__init__()
        self.levels = levels
        widths = [width * 2**level for level in range(levels)]
        self.unet = nn.Module()
        self.unet.encoder = nn.Module()
        self.unet.encoder.bn = nn.BatchNorm2d(1)
        self.unet.encoder.layers = nn.ModuleList(
            Level(inputs, outputs, blocks) for inputs, outputs in zip([1, *widths], widths, strict=False)
        )
        self.unet.intermediate = nn.Module()
        self.unet.intermediate.layers = nn.ModuleList(
            Level(widths[-1] if i == 0 else 2 * widths[-1], 2 * widths[-1], blocks) for i in range(inner)
        )
        self.unet.decoder = nn.Module()
        self.unet.decoder.layers = nn.ModuleList(Rise(2 * outputs, outputs, blocks) for outputs in reversed(widths))
        self.cnn = nn.Conv2d(width, 3, 3, padding=1)
        self.fc = nn.Sequential(Recurrent(3 * MELS, recurrent), nn.Linear(2 * recurrent, bins))

    def forward(self, mel: Tensor) -> Tensor:
        """As the class says. Raises RuntimeError where T is no multiple."""
        x = self.unet.encoder.bn(mel.mT[:, None])  # type: ignore[operator, union-attr]  # modules without a class
        kept = []
        for level in self.unet.encoder.layers:  # type: ignore[union-attr]  # as above
            kept.append(level(x))
            x = F.avg_pool2d(kept[-1], 2)
        for level in self.unet.intermediate.layers:  # type: ignore[union-attr]  # as above
            x = level(x)
        for rise in self.unet.decoder.layers:  # type: ignore[union-attr]  # as above
            x = rise(x, kept.pop())
        return torch.sigmoid(self.fc(self.cnn(x).transpose(1, 2).flatten(-2)))


def network_of(tensors: Mapping[str, Tensor]) -> RmvpeNetwork:
    """The network that these weights are of, in float32, for inference.

    Raises:
        ValueError: a tensor is missing, is not of this network, or is of another shape.
    """
    tensors = {name: tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")}

    def count(what: str, prefix: str) -> int:
        found = len({match[1] for name in tensors if (match := re.match(rf"{re.escape(prefix)}(\d+)\.", name))})
        if not 1 <= found <= MOST_DEPTH:
            raise ValueError(f"expected 1 to {MOST_DEPTH} {what}, tensors named {prefix}0. and so on; found {found}")
        return found

    def shape(name: str, dimensions: int) -> tuple[int, ...]:
        found = tuple(tensors[name].shape) if name in tensors else ()
        if len(found) != dimensions:
            raise ValueError(f"expected {dimensions} dimensions of {name}; found {found}")
        return found

    sizes = {
        "width": shape("cnn.weight", 4)[1],
        "levels": count("levels of the encoder", "unet.encoder.layers."),
        "inner": count("levels between encoder and decoder", "unet.intermediate.layers."),
        "blocks": count("blocks of a level", "unet.encoder.layers.0.conv."),
        "recurrent": shape("fc.0.gru.weight_hh_l0", 2)[1],
        "bins": shape("fc.1.weight", 2)[0],
    }
    with torch.device("meta"):
        network = RmvpeNetwork(**sizes)
    expected = {name: tensor for name, tensor in network.state_dict().items() if "num_batches_tracked" not in name}
    for name, tensor in expected.items():
        if name not in tensors or tensors[name].shape != tensor.shape:
            found = tuple(tensors[name].shape) if name in tensors else "nothing"
            raise ValueError(f"expected {tuple(tensor.shape)} as {name}; found {found}")
    if unknown := tensors.keys() - expected.keys():
        raise ValueError(f"{len(unknown)} tensors are not of RMVPE: {min(unknown)}")
    counters = {name: torch.zeros((), dtype=torch.int64) for name in network.state_dict() if name not in expected}
    weights = {name: tensors[name].float().clone() for name in expected}
    network.load_state_dict({**weights, **counters}, assign=True)
    return network.eval().requires_grad_(False)
