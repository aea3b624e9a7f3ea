"""Everything works on a device that NumPy cannot reach, and equals the host bit for bit."""

import copy
import dataclasses
import gc
import threading

import numpy as np
import pytest
from opaque_backend import PAD, buffers_in_use, opaque_backend

import etude
from etude import data, models, nn, optim, train
from etude.core.array import DeviceArray


class Everything(nn.Module):
    """A model with every layer there is."""

    def __init__(self):
        self.features = nn.Sequential(
            nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.GELU(), nn.MaxPool2d(3, 1, 1), nn.Tanh())
        self.head = nn.Sequential(
            nn.Flatten(), nn.LayerNorm(64), nn.Dropout(0.2), nn.Linear(64, 16), nn.Sigmoid(),
            nn.LayerNorm(16, bias=False), nn.ReLU(), nn.Linear(16, 10, bias=False))

    def forward(self, x):
        return self.head(self.features(x))


def learn(device, make, optimizer, epochs=1):
    """The model, optimiser and history of a short run on ``device``."""
    etude.manual_seed(7)
    training, test = data.digits()
    model = make().to(device)
    steps = optimizer(model.parameters())
    history = train.fit(model, data.DataLoader(training, 128, shuffle=True, device=device), steps,
                        epochs=epochs, progress=False,
                        test=data.DataLoader(test, 200, device=device))
    return model, steps, history


RUNS = {
    "lenet-adamw": (models.lenet, lambda p: optim.AdamW(p, lr=3e-3)),
    "lenet-sgd": (models.lenet, lambda p: optim.SGD(p, lr=0.1, momentum=0.9)),
    "every-layer": (Everything, lambda p: optim.AdamW(p, lr=3e-3, weight_decay=0.1)),
}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_training_equals_the_host_bit_for_bit(run, traffic):
    host, host_steps, expected = learn("cpu", *run)
    model, steps, history = learn("opaque", *run)
    assert history.loss == expected.loss
    assert history.epochs[0].test == expected.epochs[0].test
    for (name, p), q in zip(model.named_parameters(), host.parameters(), strict=True):
        assert p.device == p.grad.device == "opaque"
        assert np.array_equal(p.detach().numpy(), q.detach().numpy()), name
        assert np.array_equal(p.grad.numpy(), q.grad.numpy()), name
    for mine, theirs in zip(steps.state, host_steps.state, strict=True):
        for name in steps.moments:
            assert mine[name].device == "opaque"
            assert np.array_equal(mine[name].numpy(), theirs[name].numpy())


def test_a_step_brings_back_two_numbers_and_nothing_else(traffic):
    make, optimizer = RUNS["lenet-adamw"]
    etude.manual_seed(0)
    model = make().to("opaque")
    batches = list(data.DataLoader(data.digits("train"), 128, device="opaque"))
    traffic.clear()
    train.fit(model, batches, optimizer(model.parameters()), progress=False)
    assert traffic["download"] == 2 * len(batches)  # the loss, and how many were right
    moments = 2 * len(list(model.parameters()))
    assert traffic["upload"] == 2 * len(batches) + moments  # hyper, backward's 1, and the zeros


def test_a_run_leaves_no_memory_behind(traffic):
    before = buffers_in_use()
    kept = learn("opaque", *RUNS["lenet-adamw"])
    assert buffers_in_use() > before
    del kept
    gc.collect()
    assert buffers_in_use() == before


@pytest.mark.parametrize("touch", [
    np.asarray, np.array, np.exp, np.sum, np.max, np.ravel, np.isnan, np.copy, memoryview, float,
    lambda x: x + np.ones(3), lambda x: np.ones(3) * x, lambda x: np.copyto(np.ones(3), x),
    lambda x: np.add(np.ones(3), 1, out=x), lambda x: np.concatenate([x, x]), lambda x: x[0],
    lambda x: np.frombuffer(x.buffer), lambda x: np.array([x, x], np.float32),
])
def test_numpy_cannot_touch_a_device_array(touch, traffic):
    x = etude.ones(3, device="opaque").data
    traffic.clear()
    with pytest.raises((TypeError, ValueError)):
        touch(x)
    assert not traffic


def test_the_error_says_how_to_get_a_copy(traffic):
    with pytest.raises(TypeError, match=r"NumPy cannot read DeviceArray\(float32\[3\] on 'opaque'\)"
                                        r".* take a copy with Tensor\.numpy\(\) or \.to\('cpu'\)"):
        np.asarray(etude.ones(3, device="opaque").data)


def test_views_are_records_over_one_buffer(traffic):
    x = etude.arange(24.0, device="opaque").reshape(2, 3, 4)
    views = [x.permute(2, 0, 1), x[1], x[:, ::-1, 1:3], x[:, None, 0].expand(2, 5, 4),
             x.T, x.reshape(6, 4), *x.split(2, dim=2)]
    host = etude.arange(24.0).reshape(2, 3, 4)
    expected = [host.permute(2, 0, 1), host[1], host[:, ::-1, 1:3],
                host[:, None, 0].expand(2, 5, 4), host.T, host.reshape(6, 4),
                *host.split(2, dim=2)]
    for view, e in zip(views, expected, strict=True):
        assert isinstance(view.data, DeviceArray)
        assert view.data.buffer is x.data.buffer
        assert view.tolist() == e.tolist()
    assert x.data.offset == PAD
    assert x.permute(2, 0, 1).reshape(24).data.buffer is not x.data.buffer  # had to be copied


def test_a_state_moves_between_device_and_host(traffic):
    model, steps, _ = learn("opaque", *RUNS["lenet-adamw"])
    twin = models.lenet()
    twin.load_state_dict(model.state_dict())
    x, y = next(iter(data.DataLoader(data.digits("test"), 50)))
    assert np.array_equal(twin(x).detach().numpy(), model(x.to("opaque")).detach().numpy())
    again = optim.AdamW(twin.parameters(), lr=3e-3)
    again.load_state_dict(steps.state_dict())
    for m, o, inputs in ((model, steps, (x.to("opaque"), y.to("opaque"))), (twin, again, (x, y))):
        o.zero_grad()
        etude.cross_entropy(m(inputs[0]), inputs[1]).backward()
        o.step()
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        assert np.array_equal(p.detach().numpy(), q.detach().numpy())


def test_a_model_that_moves_after_some_steps_takes_its_optimiser_along(traffic):
    model, steps, _ = learn("opaque", *RUNS["lenet-adamw"])
    model.to("cpu")
    assert all(p.device == p.grad.device == "cpu" for p in model.parameters())
    steps.step()
    assert all(s["m"].device == "cpu" for s in steps.state)


def test_first_values_drawn_on_the_device_are_those_of_the_host(traffic):
    def draw(device):
        x = etude.zeros(7, 5, device=device)
        nn.init.kaiming_uniform_(x, generator=etude.Generator(3))
        return x.numpy()

    assert np.array_equal(draw("opaque"), draw("cpu"))


def test_a_penalty_on_the_gradient_works_there(traffic):
    def slopes(device):
        x = etude.tensor([[0.5, -1.0, 2.0]], requires_grad=True, device=device)
        target = etude.tensor([1], device=device)
        (g,) = etude.grad(etude.cross_entropy(x, target), x, create_graph=True)
        (g * g).sum().backward()
        return x.grad.numpy()

    assert np.array_equal(slopes("opaque"), slopes("cpu"))


def test_a_gradient_flows_through_a_move(traffic):
    x = etude.tensor([1.0, 2.0], requires_grad=True)
    (x.to("opaque") * 3).sum().backward()
    assert x.grad.device == "cpu"
    assert x.grad.tolist() == [3, 3]


def test_mixed_devices_are_an_error(traffic):
    model = models.mlp(4, 2).to("opaque")
    with pytest.raises(RuntimeError, match=r"operands on different devices \(cpu, opaque\); move"):
        model(etude.ones(1, 4))
    with pytest.raises(RuntimeError, match="keeps its data in the host's memory, got a tensor on"):
        data.TensorDataset(etude.ones(3, device="opaque"))


def test_nan_is_found_on_the_device(traffic):
    x = etude.tensor([-1.0], device="opaque")
    with etude.check_nan(), np.errstate(all="ignore"), pytest.raises(
            FloatingPointError, match=r"log \(column opaque\) made the first NaN"):
        x.log()


def test_an_op_the_device_lacks_is_an_error_or_a_counted_copy_if_allowed():
    backend, _ = opaque_backend(without=("tanh",))
    with etude.use(backend):
        x = etude.ones(2, device="opaque")
        with pytest.raises(RuntimeError, match=r"tanh is not implemented by opaque on device "
                                               r"'opaque'\. Move the tensors with \.to\('cpu'\)"):
            x.tanh()
    with etude.use(backend, strict=True), pytest.raises(RuntimeError, match="strict mode: tanh"):
        etude.ones(2, device="opaque").tanh()
    with etude.use(backend, fallback=True) as used:
        y = etude.ones(2, device="opaque").tanh()
        assert y.device == "opaque"
        assert y.tolist() == etude.ones(2).tanh().tolist()
        assert used.fallbacks == {("tanh", "float32", "not implemented"): 1}


def test_without_a_backend_the_device_is_unknown():
    with pytest.raises(RuntimeError, match="no installed backend offers the device 'opaque'"):
        nn.Linear(1, 1).to("opaque")


def test_a_deep_copy_has_memory_of_its_own(traffic):
    layer = nn.Linear(1, 1).to("opaque")
    before = buffers_in_use()
    twin = copy.deepcopy(layer)
    with etude.no_grad():
        twin.bias.copy_(etude.tensor([5.0], device="opaque"))
    assert twin.bias.item() == 5
    assert layer.bias.item() != 5
    del twin
    gc.collect()
    assert buffers_in_use() == before


@pytest.mark.parametrize("workers", [0, 2])
def test_the_threads_that_prepare_batches_also_copy_them_to_the_device(workers):
    column, _ = opaque_backend()
    threads = set()

    def upload(x):
        threads.add(threading.current_thread().name.rpartition("_")[0])
        return column.upload(x)

    with etude.use(dataclasses.replace(column, upload=upload)):
        loader = data.DataLoader(data.digits("test"), 50, device="opaque", workers=workers)
        host = data.DataLoader(data.digits("test"), 50)
        for (x, y), (a, b) in zip(loader, host, strict=True):
            assert x.device == y.device == "opaque"
            assert np.array_equal(x.numpy(), a.numpy())
            assert np.array_equal(y.numpy(), b.numpy())
    assert threads == ({"etude-data"} if workers else {""})
