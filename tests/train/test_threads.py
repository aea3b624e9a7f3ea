"""Eight threads: inference with one model, and separate models in training, give the bits that each
gives alone.
"""

import threading

import numpy as np
import pytest

import etude
from etude import data, models, nn, optim, train

THREADS = 8


def together(work):
    """work(0), ..., work(7), all at once, each in a thread of its own."""
    found, errors, start = {}, [], threading.Barrier(THREADS)

    def one(k):
        try:
            start.wait()
            found[k] = work(k)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=one, args=(k,)) for k in range(THREADS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors, errors
    return [found[k] for k in range(THREADS)]


def lenet(k):
    etude.manual_seed(k)
    model = models.lenet()
    return nn.Sequential(model, nn.Dropout(0.1, generator=etude.Generator(k)))


def fitted(model, k, folder=None):
    """Everything that is random has a seed of its own: the default generator is the process's."""
    few = data.Subset(data.digits("train"), range(96))
    loader = data.DataLoader(few, 32, shuffle=True, seed=k, workers=k % 3)
    optimizer = [optim.AdamW, optim.SGD, optim.RMSprop][k % 3](model.parameters(), lr=1e-3)
    history = train.fit(model, loader, optimizer, test=data.DataLoader(few, 96), progress=False,
                        clip_norm=1.0,
                        checkpoints=None if folder is None else train.Checkpoints(folder / str(k)))
    return (history.loss, history.epochs[-1].test,
            [t.numpy().tobytes() for t in model.state_dict().values()])


@pytest.mark.usefixtures("safetensors")
def test_eight_models_train_and_save_at_once_as_each_does_alone(backend, tmp_path):
    etude.set_default_backend(backend)
    alone = [fitted(lenet(k), k) for k in range(THREADS)]
    made = [lenet(k) for k in range(THREADS)]
    assert together(lambda k: fitted(made[k], k, tmp_path)) == alone
    for k in range(THREADS):
        twin = lenet(k)
        etude.load_weights(train.Checkpoints(tmp_path / str(k)).paths()[-1], twin)
        assert [t.numpy().tobytes() for t in twin.state_dict().values()] == alone[k][2]


@pytest.fixture(autouse=True)
def _same_default(same_default):
    """The backend is chosen for the process, and given back."""


def test_eight_threads_ask_one_model_and_get_the_answer_of_one(backend):
    etude.set_default_backend(backend)
    model = lenet(3)
    model.eval()
    images = data.digits("test").batch(np.arange(80))[0]

    def answers(k):
        with etude.no_grad():
            return [model(etude.tensor(images[i : i + 10])).numpy().tobytes()
                    for i in range(0, 80, 10)]

    alone = answers(0)
    for found in together(answers):
        assert found == alone

