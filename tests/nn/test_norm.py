"""Running statistics, and what normalising means, beyond the formulas of test_every_layer.py."""

import numpy as np
import pytest

import etude
from etude import functional as F
from etude import nn

RNG = np.random.default_rng(0)


def batches(count, shape=(6, 3), seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(2, 3, shape) for _ in range(count)]


def norm(**settings):
    return nn.BatchNorm1d(3, dtype="float64", **settings)


def spread(x):
    """Mean and unbiased variance of each channel, by loops over the channels."""
    parts = [x[:, c].ravel() for c in range(x.shape[1])]
    return np.array([p.mean() for p in parts]), np.array([p.var(ddof=1) for p in parts])


@pytest.mark.parametrize("momentum", [0.1, 0.5, 1.0])
def test_running_statistics_move_towards_the_batch_by_momentum(momentum):
    layer = norm(momentum=momentum)
    mean, var = np.zeros(3), np.ones(3)
    for i, x in enumerate(batches(4)):
        layer(etude.tensor(x))
        m, v = spread(x)
        mean, var = mean + momentum * (m - mean), var + momentum * (v - var)
        np.testing.assert_allclose(layer.running_mean.numpy(), mean, rtol=1e-13)
        np.testing.assert_allclose(layer.running_var.numpy(), var, rtol=1e-13)
        assert layer.num_batches_tracked.item() == i + 1


def test_without_momentum_they_are_the_average_over_all_batches():
    layer, given = norm(momentum=None), batches(5)
    for x in given:
        layer(etude.tensor(x))
    means, variances = zip(*map(spread, given), strict=True)
    np.testing.assert_allclose(layer.running_mean.numpy(), np.mean(means, 0), rtol=1e-13)
    np.testing.assert_allclose(layer.running_var.numpy(), np.mean(variances, 0), rtol=1e-13)


def test_momentum_of_zero_leaves_them_alone():
    layer = norm(momentum=0.0)
    layer(etude.tensor(batches(1)[0]))
    assert layer.running_mean.tolist() == [0, 0, 0]
    assert layer.num_batches_tracked.item() == 1


def test_evaluation_uses_them_and_leaves_them_alone():
    layer = norm()
    for x in batches(3):
        layer(etude.tensor(x))
    layer.eval()
    before = {k: t.numpy().copy() for k, t in layer.state_dict().items()}
    x = RNG.standard_normal((1, 3))  # one sample is enough here
    expected = (x - before["running_mean"]) / np.sqrt(before["running_var"] + layer.eps)
    np.testing.assert_allclose(layer(etude.tensor(x)).detach().numpy(), expected, rtol=1e-13)
    assert all(np.array_equal(t.numpy(), before[k]) for k, t in layer.state_dict().items())


def test_evaluation_has_a_gradient():
    layer = norm()
    layer(etude.tensor(batches(1)[0]))
    layer.eval()
    x = etude.tensor(RNG.standard_normal((2, 3)), requires_grad=True)
    assert etude.gradcheck(layer, [x])


def test_without_tracking_every_batch_is_its_own_measure():
    layer = norm(track_running_stats=False, affine=False)
    assert list(layer.state_dict()) == []
    x = etude.tensor(batches(1)[0])
    assert layer(x).tolist() == layer.eval()(x).tolist()


def test_they_are_saved_with_the_weights_and_moved_with_the_layer():
    layer = nn.BatchNorm2d(2)
    layer(etude.tensor(RNG.standard_normal((2, 2, 3, 3)).astype("f")))
    assert list(layer.state_dict()) == ["weight", "bias", "running_mean", "running_var",
                                        "num_batches_tracked"]
    other = nn.BatchNorm2d(2)
    other.load_state_dict(layer.state_dict())
    assert other.running_var.tolist() == layer.running_var.tolist() != [1, 1]
    layer.to("float64")
    assert (layer.running_mean.dtype, layer.num_batches_tracked.dtype) == (
        etude.float64, etude.int64)


def test_their_memory_stays_the_same():
    layer = norm()
    memory = layer.running_mean.array
    layer(etude.tensor(batches(1)[0]))
    assert layer.running_mean.array is memory


def test_no_graph_grows_behind_them():
    layer = norm()
    for x in batches(3):
        layer(etude.tensor(x, requires_grad=True)).sum().backward()
    assert layer.running_mean.is_leaf
    assert not layer.running_mean.requires_grad


def test_a_refused_batch_is_not_counted():
    layer = norm()
    with pytest.raises(ValueError, match="in training each channel needs more than one value"):
        layer(etude.zeros(1, 3, dtype="float64"))
    assert layer.num_batches_tracked.item() == 0
    assert layer.running_var.tolist() == [1, 1, 1]


def test_a_training_step_between_evaluation_and_its_backward_is_noticed():
    layer = norm().eval()
    y = layer(etude.tensor(batches(1)[0], requires_grad=True)).sum()
    layer.train()(etude.tensor(batches(1)[0]))
    with pytest.raises(RuntimeError, match="was written"):
        y.backward()


def test_images_are_measured_over_all_their_pixels():
    x = RNG.normal(5, 2, (4, 3, 2, 5))
    y = nn.BatchNorm2d(3, eps=0, dtype="float64")(etude.tensor(x)).detach().numpy()
    np.testing.assert_allclose(y.mean((0, 2, 3)), 0, atol=1e-14)
    np.testing.assert_allclose(y.var((0, 2, 3)), 1, rtol=1e-13)


def test_group_norm_lies_between_layer_norm_and_instance_norm():
    x = etude.tensor(RNG.normal(1, 2, (2, 4, 3)))
    whole = nn.GroupNorm(1, 4, dtype="float64")(x)
    np.testing.assert_allclose(whole.detach(), nn.LayerNorm((4, 3), dtype="float64")(x).detach(),
                               rtol=1e-14)
    each = nn.GroupNorm(4, 4, dtype="float64")(x).detach().numpy()
    np.testing.assert_allclose(each.mean(2), 0, atol=1e-14)


def test_rms_norm_does_not_care_about_scale_and_does_not_centre():
    x = RNG.uniform(1, 2, (2, 5))
    layer = nn.RMSNorm(5, eps=0, dtype="float64")
    y = layer(etude.tensor(x)).detach().numpy()
    np.testing.assert_allclose((y * y).mean(1), 1, rtol=1e-14)
    np.testing.assert_allclose(layer(etude.tensor(x * 1e3)).detach(), y, rtol=1e-14)
    assert y.mean() > 0.9


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(3).eval(), nn.GroupNorm(3, 3), nn.RMSNorm(3),
                                   nn.LayerNorm(3)], ids=repr)
def test_an_empty_batch_gives_an_empty_batch(layer):
    x = etude.zeros(0, 3, requires_grad=True)
    y = layer(x)
    y.sum().backward()
    assert y.shape == x.grad.shape == (0, 3)


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_an_empty_batch_in_training_moves_no_running_statistics(momentum, backend):
    if backend == "cpu":
        pytest.importorskip("etude_cpu._glue", reason="etude-cpu is not installed",
                            exc_type=ImportError)
    layer = nn.BatchNorm1d(2, momentum=momentum)
    with etude.use(backend):
        assert layer(etude.zeros(0, 2)).shape == (0, 2)
    assert layer.running_mean.tolist() == [0, 0]
    assert layer.running_var.tolist() == [1, 1]
    assert layer.num_batches_tracked.item() == 0


@pytest.mark.parametrize(("make", "message"), [
    (lambda: nn.BatchNorm1d(3)(etude.zeros(2, 4)), r"input float32\[2, 4\], .*with C = 4"),
    (lambda: nn.BatchNorm1d(3)(etude.zeros(2, 3, 4, 4)),
     r"input float32\[2, 3, 4, 4\]; it takes \(N, C\) or \(N, C, L\)"),
    (lambda: nn.BatchNorm2d(3)(etude.zeros(2, 3)), r"\[2, 3\]; it takes \(N, C, H, W\)"),
    (lambda: nn.GroupNorm(2, 3), "num_groups=2 must divide num_channels=3"),
    (lambda: nn.GroupNorm(0, 3), "num_groups must be an integer >= 1, got 0"),
    (lambda: nn.GroupNorm(2, 4, affine=False)(etude.zeros(2, 6)),
     r"GroupNorm: x must be \(N, C, \.\.\.\) with C = 4, got \[2, 6\]"),
    (lambda: nn.functional.group_norm(etude.zeros(2, 4), 3), "num_groups=3 must divide"),
    (lambda: nn.functional.group_norm(etude.zeros(2, 4), 2, etude.ones(1)),
     r"group_norm: weight must have shape \[4\], one number per channel, got \[1\]"),
    (lambda: nn.functional.batch_norm(etude.zeros(2, 4), None, None),
     "evaluation needs running_mean and running_var"),
    (lambda: nn.RMSNorm(3)(etude.zeros(2, 4)), "whose last size is not 3"),
])
def test_what_cannot_be_normalised_is_refused_with_a_reason(make, message):
    with pytest.raises(ValueError, match=message):
        make()


LAYERS = {"LayerNorm": lambda eps: nn.LayerNorm(4, eps), "RMSNorm": lambda eps: nn.RMSNorm(4, eps),
          "GroupNorm": lambda eps: nn.GroupNorm(2, 4, eps),
          "BatchNorm1d": lambda eps: nn.BatchNorm1d(4, eps),
          "BatchNorm2d": lambda eps: nn.BatchNorm2d(4, eps)}
FUNCTIONS = {"layer_norm": lambda x, eps: F.layer_norm(x, 4, eps=eps),
             "rms_norm": lambda x, eps: F.rms_norm(x, 4, eps=eps),
             "group_norm": lambda x, eps: F.group_norm(x, 2, eps=eps),
             "batch_norm": lambda x, eps: F.batch_norm(x, None, None, training=True, eps=eps),
             "batch_norm in evaluation": lambda x, eps: F.batch_norm(
                 x, etude.zeros(4), etude.zeros(4), eps=eps)}


@pytest.mark.parametrize("eps", [-1.0, -1e-9, float("nan")])
def test_an_eps_below_0_is_refused(eps):
    for name, layer in LAYERS.items():
        with pytest.raises(ValueError, match=rf"^{name}: eps must be >= 0, because a root"):
            layer(eps)
    for name, norm in FUNCTIONS.items():
        with pytest.raises(ValueError, match=r"_norm(_eval)?: eps must be >= 0"):
            norm(etude.zeros(3, 4), eps)
        assert norm(etude.ones(3, 4), 0.5).shape == (3, 4), name
