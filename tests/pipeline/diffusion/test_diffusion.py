"""The two objectives and their samplers, against data for which everything is known in closed form.

Where the data of every bin are N(MEAN, DEVIATION^2), the best prediction of noise or velocity is a linear function,
and so is the path that an exact solver takes from noise to data.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from svc.pipeline.diffusion.batch import Batch
from svc.pipeline.diffusion.ddpm import alphas_cumprod
from svc.pipeline.diffusion.diffusion import AuxiliaryDecoder, Diffusion
from svc.pipeline.diffusion.registry import OBJECTIVES, new_objective
from svc.pipeline.diffusion.sampling import sample
from svc.pipeline.diffusion.shape import Architecture, ModelShape
from svc.pipeline.diffusion.wavenet import WaveNet
from torch import Tensor, nn

MEAN, DEVIATION = 0.7, 0.5
ALL = [(objective, method) for objective in OBJECTIVES for method in new_objective(objective).solvers]
ODE = [pair for pair in ALL if pair[1] != "ddpm"]  # the methods that add no noise on the way
SMALL = ModelShape(4, 3, 8, architecture=Architecture(condition=12, channels=16, layers=3))


def small(decoder_layers: int) -> ModelShape:
    return dataclasses.replace(
        SMALL, architecture=dataclasses.replace(SMALL.architecture, decoder_layers=decoder_layers)
    )


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """More threads are slower for such small tensors, and wait for each other on shared cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def untrained(objective: str) -> Diffusion:
    """A model whose network outputs 0: its last convolution begins at zero, except the bias."""
    model = Diffusion(SMALL, new_objective(objective))
    nn.init.zeros_(model.denoiser.get_parameter("output.bias"))
    return model


def make_batch(size: int, frames: int, shape: ModelShape = SMALL, seed: int = 0, padding: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    units = frames // 2 + 1
    mask = torch.ones(size, frames)
    mask[-1, frames - padding :] = 0
    return Batch(
        units=torch.randn(size, units, shape.unit_dim, generator=generator),
        mel2ph=(torch.arange(frames) // 2 + 1).repeat(size, 1) * mask.long(),
        f0=100 + 300 * torch.rand(size, frames, generator=generator),
        voiced=torch.randint(0, 2, (size, frames), generator=generator).float(),
        loudness=-60 * torch.rand(size, frames, generator=generator),
        mask=mask,
        speaker=torch.randint(0, shape.speakers, (size,), generator=generator),
        shift=torch.zeros(size),
        mel=torch.randn(size, frames, shape.bins, generator=generator),
    )


def keep(step: Tensor) -> Tensor:
    """Diff-SVC's share of mel left at a step, between steps as the solvers take it: (B,) -> (B, 1, 1)."""
    products = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
    return torch.from_numpy(np.interp(step.numpy(), np.arange(1000), products))[:, None, None].float()


class Optimum(Diffusion):
    """A model that has learnt N(MEAN, DEVIATION^2) perfectly."""

    def __init__(self, objective: str, depth: float = 1.0):
        super().__init__(small(int(depth < 1)), new_objective(objective), depth)
        self.name = objective
        self.steps: list[float] = []

    def predict(self, x: Tensor, step: Tensor, projected: tuple[Tensor, ...]) -> Tensor:
        self.steps.append(float(step[0]))
        data, noise = shares(self.name, step)
        surprise = (x - data * MEAN) / ((data * DEVIATION) ** 2 + noise**2)
        if self.name == "ddpm":
            return noise * surprise
        return noise * surprise - (MEAN + data * DEVIATION**2 * surprise)


class Guess(AuxiliaryDecoder):
    """A decoder whose guesses are distributed as the data are."""

    def __init__(self) -> None:
        super().__init__(small(1))

    def forward(self, condition: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(77)
        return MEAN + DEVIATION * torch.randn(len(condition), SMALL.bins, condition.shape[2], generator=generator)


def shares(objective: str, step: Tensor) -> tuple[Tensor, Tensor]:
    """How much of the mel and how much of the noise there is at steps (B,): amplitudes, (B, 1, 1) each."""
    if objective == "ddpm":
        return keep(step).sqrt(), (1 - keep(step)).sqrt()
    time = (step / 1000)[:, None, None]
    return 1 - time, time


def end_of_path(objective: str, x: Tensor, step: float) -> Tensor:
    """The end of the exact probability flow from x at a step: between Gaussians it keeps the standard score."""
    data, noise = shares(objective, torch.tensor([step]))
    return MEAN + DEVIATION * (x - data * MEAN) / ((data * DEVIATION) ** 2 + noise**2).sqrt()


def first_noise(batch: Batch, seed: int) -> Tensor:
    shape = (len(batch.mask), SMALL.bins, batch.mask.shape[1])
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def rms(x: Tensor) -> float:
    return float(x.square().mean().sqrt())


# Sampling


@pytest.mark.parametrize(("objective", "method"), ALL)
def test_every_method_draws_the_datas_mean_and_deviation(objective: str, method: str) -> None:
    """In ln magnitude, through the mel's own scale. ddpm's variance, the lower bound of Ho et al., needs more steps."""
    model = Optimum(objective)
    model.mel_mean.fill_(-5.0)
    model.mel_scale.copy_(torch.linspace(1, 3, SMALL.bins))
    drawn = sample(
        model, make_batch(4, 1000), torch.Generator().manual_seed(1), 500 if method == "ddpm" else 100, method
    )
    assert drawn.shape == (4, 1000, SMALL.bins)
    mean, deviation = (drawn.mean((0, 1)) + 5) / model.mel_scale, drawn.std((0, 1)) / model.mel_scale
    np.testing.assert_allclose(mean, MEAN, atol=0.05 * DEVIATION + 0.01)
    np.testing.assert_allclose(deviation, DEVIATION, rtol=0.06)
    assert float(deviation.mean()) == pytest.approx(DEVIATION, rel=0.03)


@pytest.mark.parametrize(("objective", "method"), ODE)
def test_solvers_without_noise_follow_the_exact_path(objective: str, method: str) -> None:
    """Point by point, not only on average; and closer with more steps."""
    batch, error = make_batch(1, 200), []
    for steps in (25, 100):
        model = Optimum(objective)
        drawn = sample(model, batch, torch.Generator().manual_seed(1), steps, method).transpose(1, 2)
        error.append(rms(drawn - end_of_path(objective, first_noise(batch, 1), model.steps[0])))
    assert error[1] < 0.035 * DEVIATION
    assert error[1] < max(error[0], 0.005)


@pytest.mark.parametrize(
    ("objective", "method"),
    ODE,
)
@pytest.mark.parametrize("steps", [10, 40])
def test_a_shallow_start_takes_up_the_path_where_the_guess_was_noised(objective: str, method: str, steps: int) -> None:
    """The guess, noised as the first step says, is carried to where the exact path from there ends."""
    depth, batch, model, decoder = 0.4, make_batch(1, 500), Optimum(objective, 0.4), Guess()
    model.decoder = decoder
    drawn = sample(model, batch, torch.Generator().manual_seed(1), steps, method).transpose(1, 2)
    start = model.steps[0]
    assert start == pytest.approx(1000 * depth, abs=1000 * depth / steps + 1)
    data, noise = shares(objective, torch.tensor([start]))
    noised = data * decoder(torch.zeros(1, 1, 500)) + noise * first_noise(batch, 1)
    tolerance = {10: 0.11, 40: 0.03} if method in ("ddim", "euler") else {10: 0.03, 40: 0.003}  # first or second order
    assert rms(drawn - end_of_path(objective, noised, start)) < tolerance[steps] * DEVIATION
    assert float(drawn.mean()) == pytest.approx(MEAN, abs=0.02)


@pytest.mark.parametrize("depth", [1.0, 0.4])
@pytest.mark.parametrize(("objective", "method"), ALL)
def test_one_seed_gives_one_sample(objective: str, method: str, depth: float) -> None:
    torch.manual_seed(0)
    model = Diffusion(small(1), new_objective(objective), depth)
    nn.init.normal_(model.denoiser.output.weight, std=0.1)
    batch = make_batch(2, 12)
    first, again, other = (sample(model, batch, torch.Generator().manual_seed(s), 6, method) for s in (5, 5, 6))
    assert torch.isfinite(first).all()
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


@pytest.mark.parametrize("steps", [1, 30, 600, 1000])
@pytest.mark.parametrize(("objective", "method"), ALL)
def test_any_number_of_steps_begins_at_noise_and_finds_the_mean(objective: str, method: str, steps: int) -> None:
    """Render takes 1 to 1000 steps. One step gives the mean at best, so only the mean is asked for."""
    model = Optimum(objective)
    drawn = sample(model, make_batch(4, 100), torch.Generator().manual_seed(1), steps, method)
    assert model.steps[0] > 900
    assert float(drawn.mean()) == pytest.approx(MEAN, abs=0.05)


def test_the_steps_that_suffice_follow_the_depth() -> None:
    assert [new_objective("flow").default_steps(depth) for depth in (0.1, 0.3, 0.4, 1.0)] == [4, 4, 4, 10]
    assert new_objective("ddpm").default_steps(1.0) == 20


@pytest.mark.parametrize(("objective", "depth"), [("flow", 1.0), ("flow", 0.4), ("ddpm", 1.0)])
def test_steps_left_out_are_as_many_as_suffice(objective: str, depth: float) -> None:
    drawn = []
    for steps in (None, new_objective(objective).default_steps(depth)):
        model = Optimum(objective, depth)
        model.decoder = Guess()
        drawn.append(sample(model, make_batch(1, 50), torch.Generator().manual_seed(1), steps))
        assert len(model.steps) == new_objective(objective).default_steps(depth)
    assert torch.equal(*drawn)


def test_a_method_of_the_other_objective_is_refused() -> None:
    for objective, other in (("ddpm", "flow"), ("flow", "ddpm")):
        for method in new_objective(other).solvers:
            with pytest.raises(ValueError, match="is not known; choose"):
                new_objective(objective).scheduler(method, 10)


# The objectives


def test_noise_schedule_is_diff_svcs() -> None:
    np.testing.assert_allclose(alphas_cumprod(), np.cumprod(1 - np.linspace(1e-4, 0.02, 1000)), rtol=2e-4)


@pytest.mark.parametrize("milliseconds", [0, 1, 150, 500, 730, 999, 1000])
def test_a_flow_without_a_network_is_the_best_linear_guess(milliseconds: int) -> None:
    """Least squares of noise - mel on their mixture, over many draws of variance 1, against an untrained model."""
    generator = torch.Generator().manual_seed(2)
    mel, noise = torch.randn(2, 1, SMALL.bins, 40_000, generator=generator, dtype=torch.float64)
    mixture = torch.lerp(mel, noise, milliseconds / 1000)
    slope = float((mixture * (noise - mel)).sum() / mixture.square().sum())
    model = untrained("flow").double()
    x = torch.ones(1, SMALL.bins, 5, dtype=torch.float64)
    projected = model.denoiser.project(torch.zeros(1, SMALL.architecture.condition, 5, dtype=torch.float64))
    with torch.no_grad():
        predicted = model.predict(x, torch.tensor([milliseconds], dtype=torch.float64), projected)
    np.testing.assert_allclose(predicted, slope, atol=0.01)


@pytest.mark.parametrize("milliseconds", [1, 300, 999])
def test_the_flows_network_hears_variance_one(milliseconds: int) -> None:
    """A denoiser's input and its target both have variance 1: Karras et al., section 5."""
    generator = torch.Generator().manual_seed(3)
    mel, noise = torch.randn(2, 1, SMALL.bins, 20_000, generator=generator)
    time, model = milliseconds / 1000, Diffusion(SMALL, new_objective("flow"))
    heard: list[Tensor] = []

    class Spy(WaveNet):
        def forward(self, x: Tensor, step: Tensor, projected: tuple[Tensor, ...]) -> Tensor:
            heard.append(x)
            return torch.zeros_like(x)

    model.denoiser = Spy(SMALL.bins, 4, 4, 1, 1)
    mixture = torch.lerp(mel, noise, time)
    linear = model.predict(mixture, torch.tensor([float(milliseconds)]), ())
    assert rms(heard[0]) == pytest.approx(1, abs=0.02)
    weight = (time**2 + (1 - time) ** 2) ** -0.5
    assert rms((noise - mel - linear) / weight) == pytest.approx(1, abs=0.02)


def test_an_untrained_ddpm_loses_the_noises_variance() -> None:
    model, batch = untrained("ddpm"), make_batch(64, 100)
    with torch.no_grad():
        loss = model.loss(batch, torch.Generator().manual_seed(1))
    assert float(loss) == pytest.approx(1, rel=0.02)


def test_an_untrained_flow_loses_what_no_linear_guess_can_tell() -> None:
    """For mel and noise of variance 1 that is 1 / (t^2 + (1 - t)^2), averaged over t = sigmoid(N(0, 1))."""
    model, batch = untrained("flow"), make_batch(64, 100)
    time = 1 / (1 + np.exp(-np.random.default_rng(0).normal(size=200_000)))
    truth = np.mean(1 / (time**2 + (1 - time) ** 2))
    with torch.no_grad():
        loss = model.loss(batch, torch.Generator().manual_seed(1))
    assert float(loss) == pytest.approx(truth, rel=0.03)


def test_the_decoders_share_of_the_loss_is_its_mean_absolute_error() -> None:
    torch.manual_seed(0)
    batch = make_batch(3, 20, padding=6)
    assert batch.mel is not None
    model = Diffusion(small(2), new_objective("ddpm"), 0.5)
    losses = []
    with torch.no_grad():
        condition = model.condition(batch)
        assert model.decoder is not None
        off = (model.decoder(condition).transpose(1, 2) - batch.mel).abs().mean(-1)
        for decoder in (model.decoder, None):
            model.decoder = decoder
            losses.append(float(model.loss(batch, torch.Generator().manual_seed(1))))
    assert losses[0] - losses[1] == pytest.approx(float((off * batch.mask).sum() / batch.mask.sum()), rel=1e-4)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("depth", [1.0, 0.3])
def test_noise_steps_are_drawn_down_to_the_depth_and_no_further(objective: str, depth: float) -> None:
    torch.manual_seed(0)
    model, seen = Diffusion(small(1), new_objective(objective), depth), list[Tensor]()
    model.denoiser.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[1]))
    with torch.no_grad():
        for seed in range(20):
            model.loss(make_batch(32, 4), torch.Generator().manual_seed(seed))
    steps = torch.cat(seen)
    assert steps.min() >= 0
    assert steps.max() <= 1000 * depth
    assert steps.max() > 900 * depth
    assert float(steps.float().median()) == pytest.approx(500 * depth, rel=0.05)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_mel_of_padded_frames_weighs_nothing(objective: str) -> None:
    """The untrained network does not use neighbours, so only the loss's own weights matter."""
    torch.manual_seed(0)
    model = Diffusion(small(1), new_objective(objective))

    def loss(batch: Batch) -> float:
        with torch.no_grad():
            return float(model.loss(batch, torch.Generator().manual_seed(1)))

    batch, padded, sounding = (make_batch(2, 30, padding=10) for _ in range(3))
    assert padded.mel is not None
    assert sounding.mel is not None
    padded.mel[1, 20:] += 100
    sounding.mel[1, 19] += 1
    assert loss(padded) == loss(batch)
    assert loss(sounding) != loss(batch)


def test_the_loss_is_a_mean_over_the_frames_that_count() -> None:
    """Not over all: masking half of a batch's frames leaves an untrained ddpm's loss at the noise's variance."""
    model, batch = untrained("ddpm"), make_batch(64, 100)
    batch.mask = torch.zeros(64, 100)
    batch.mask[:, :50] = 1
    with torch.no_grad():
        assert float(model.loss(batch, torch.Generator().manual_seed(1))) == pytest.approx(1, rel=0.03)


def test_normalise_and_denormalise_undo_each_other() -> None:
    model = Diffusion(SMALL, new_objective("flow"))
    model.mel_mean.copy_(torch.linspace(-6, -2, SMALL.bins))
    model.mel_scale.copy_(torch.linspace(0.5, 3, SMALL.bins))
    mel = torch.randn(2, 9, SMALL.bins) * 3
    normal = model.normalise(mel)
    assert normal.shape == (2, SMALL.bins, 9)
    torch.testing.assert_close(normal[1, 3], (mel[1, :, 3] - model.mel_mean[3]) / model.mel_scale[3])
    torch.testing.assert_close(model.denormalise(normal), mel)


@pytest.mark.parametrize(("depth", "layers"), [(0.5, 0), (0.0, 1), (1.5, 1), (-0.1, 0)])
def test_a_depth_that_cannot_be_is_refused(depth: float, layers: int) -> None:
    """Less than 1 starts from a decoder's guess, so there must be a decoder."""
    with pytest.raises(ValueError, match="depth"):
        Diffusion(small(layers), new_objective("flow"), depth)


def test_an_unknown_objective_is_refused() -> None:
    with pytest.raises(ValueError, match="choose flow or ddpm"):
        new_objective("score")


# The condition


def condition_of(model: Diffusion, batch: Batch) -> Tensor:
    with torch.no_grad():
        return model.condition(batch)


def test_a_speaker_is_a_mixture_of_one_and_mixtures_lie_between() -> None:
    torch.manual_seed(0)
    model, batch = Diffusion(SMALL, new_objective("flow")), make_batch(2, 10)
    alone = condition_of(model, batch)
    mixed = dataclasses.replace(batch, speaker=nn.functional.one_hot(batch.speaker, 3).float())
    torch.testing.assert_close(condition_of(model, mixed), alone)
    other = dataclasses.replace(batch, speaker=torch.tensor([[0.0, 1, 0], [0, 0.5, 0.5]]))
    assert not torch.allclose(condition_of(model, other), alone)


def test_what_stands_in_padding_does_not_reach_the_condition() -> None:
    torch.manual_seed(0)
    model, batch = Diffusion(SMALL, new_objective("flow")), make_batch(2, 30, padding=10)
    dirty = make_batch(2, 30, padding=10)
    dirty.f0[1, 20:], dirty.voiced[1, 20:], dirty.loudness[1, 20:], dirty.mel2ph[1, 20:] = 1000, 1, 0, 3
    assert torch.equal(condition_of(model, dirty), condition_of(model, batch))


@pytest.mark.parametrize("name", ["f0", "voiced", "loudness", "units", "shift"])
def test_everything_a_voice_is_made_of_is_heard(name: str) -> None:
    torch.manual_seed(0)
    model, batch = Diffusion(SMALL, new_objective("flow")), make_batch(1, 10)
    changed = dataclasses.replace(batch, **{name: getattr(batch, name) * 0.9 + 0.05})
    assert not torch.allclose(condition_of(model, changed), condition_of(model, batch), atol=1e-4)


# Learning


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_tiny_batch_is_learnt_by_heart_and_drawn_again(objective: str) -> None:
    """Two mels, 16 times each in a batch, overfitted: the loss falls, and what is sampled for their conditions
    resembles them and not each other.
    """
    torch.manual_seed(0)
    shape = ModelShape(4, 3, 8, architecture=Architecture(condition=24, channels=32, layers=4))
    model, batch, generator = (
        Diffusion(shape, new_objective(objective)),
        make_batch(2, 16, shape),
        torch.Generator().manual_seed(1),
    )
    assert batch.mel is not None
    many = Batch(**{f.name: torch.cat([getattr(batch, f.name)] * 16) for f in dataclasses.fields(Batch)})
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    losses = []
    for _ in range(250):
        optimizer.zero_grad()
        loss = model.loss(many, generator)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-30:]) < 0.2 * np.mean(losses[:10])
    drawn = sample(model, batch, torch.Generator().manual_seed(2), 20)
    match = np.corrcoef(drawn.flatten(1).numpy(), batch.mel.flatten(1).numpy())[:2, 2:]
    assert np.diagonal(match).min() > 0.9
    assert max(abs(match[0, 1]), abs(match[1, 0])) < 0.3


# Speakers


@pytest.mark.parametrize("kind", ["speaker by number", "mixture", "mixture at every frame"])
def test_a_speaker_and_a_mixture_of_that_one_alone_are_the_same(kind: str) -> None:
    torch.manual_seed(0)
    model, batch = Diffusion(SMALL, new_objective("flow")), make_batch(2, 10)
    alone = torch.nn.functional.one_hot(batch.speaker, SMALL.speakers).float()
    forms = {"speaker by number": batch.speaker, "mixture": alone}
    forms["mixture at every frame"] = alone[:, None].expand(-1, 10, -1)
    given = condition_of(model, dataclasses.replace(batch, speaker=forms[kind]))
    torch.testing.assert_close(given, condition_of(model, batch))


def test_a_mixture_is_the_sum_of_its_shares() -> None:
    torch.manual_seed(0)
    model, batch = Diffusion(SMALL, new_objective("flow")), make_batch(1, 10)
    weights = torch.tensor([[0.25, 0.75, 0.0]])
    mixed = condition_of(model, dataclasses.replace(batch, speaker=weights))
    with torch.no_grad():
        model.condition.speaker.weight[2] = weights[0] @ model.condition.speaker.weight
    torch.testing.assert_close(mixed, condition_of(model, dataclasses.replace(batch, speaker=torch.tensor([2]))))


# Units that the model projects itself


def test_a_projection_trained_with_the_model_learns() -> None:
    torch.manual_seed(0)
    shape = dataclasses.replace(SMALL, unit_dim=12, projected=3)
    model, batch = Diffusion(shape, new_objective("flow")), make_batch(2, 10, shape)
    nn.init.normal_(model.denoiser.output.weight)
    model.loss(batch, torch.Generator().manual_seed(1)).backward()
    assert model.condition.projected.weight.shape == (3, 12)
    gradient = model.get_parameter("condition.projected.weight").grad
    assert gradient is not None
    assert gradient.abs().sum() > 0
