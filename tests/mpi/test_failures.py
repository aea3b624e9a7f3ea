"""A rank that dies, hangs, raises or differs ends the run: one error, which says which and why."""

import os
import re
import shlex
import signal
import sys
import time

from launched import rank_of, ready, wait_for

CONFIG = """
[model]
name = "mlp"
hidden = [32]
[data]
name = "digits"
[optimizer]
name = "SGD"
lr = 0.1
[training]
epochs = 4000
checkpoint_steps = 5
checkpoint_epochs = 0
"""


def sent(mpirun, rank, number, **env):
    """What three ranks print when ``rank`` gets a signal in the middle, and the seconds until the
    end."""
    (mpirun.folder / "run.toml").write_text(CONFIG)
    process = mpirun.start(3, "-m", "etude", "train", "run.toml", "--out", "run", "--distributed",
                           **env)
    wait_for(lambda: ready(mpirun.folder), "checkpoint")
    wanted = rank_of(process, rank)
    begin = time.monotonic()
    os.kill(wanted, number)
    _, err = mpirun.ended(process, status=1)
    return err, wanted, time.monotonic() - begin


def errors(text):
    return re.findall(r"^Error: .*", text, re.M)


def test_a_killed_rank_is_named_and_ends_the_others(mpirun):
    for rank in (1, 0):
        err, pid, seconds = sent(mpirun, rank, signal.SIGKILL)
        assert len(errors(err)) == 1, err
        assert f"rank {rank} (process {pid} on " in errors(err)[0]
        assert errors(err)[0].endswith("died")
        assert "mpirun -n 3 etude train run.toml --out run --resume --distributed" in err
        assert seconds < 10
        for path in (mpirun.folder / "run/checkpoints").iterdir():
            path.unlink()


def test_a_rank_that_hangs_is_named(mpirun):
    err, pid, _ = sent(mpirun, 1, signal.SIGSTOP, ETUDE_MPI_SECONDS="2")
    assert len(errors(err)) == 1, err
    assert f"rank 1 (process {pid} on " in errors(err)[0]
    assert "did not come within 2 s" in errors(err)[0]


def script(mpirun, body):
    path = mpirun.folder / "script.py"
    path.write_text(f"import etude, etude_mpi\nfrom etude import nn\n"
                    f"with etude_mpi.join() as ranks:\n    {body}\n")
    return path


def test_a_rank_that_raises_says_why_and_where(mpirun):
    path = script(mpirun, "if ranks.rank == 1: raise KeyError('lost')\n    ranks.counts(1)")
    _, err = mpirun(3, path, status=1)
    assert len(errors(err)) == 1, err
    assert errors(err)[0].startswith("Error: rank 1 of 3 failed: Traceback")
    assert "script.py" in err
    assert "KeyError: 'lost'" in err


def test_what_fails_alike_on_every_rank_is_said_once(mpirun):
    (mpirun.folder / "bad.toml").write_text("[model]\nname = 'mpl'\n")
    _, err = mpirun.train(2, "bad.toml", status=1)
    assert len(errors(err)) == 1, err
    assert "there is no model 'mpl'. Did you mean 'mlp'?" in errors(err)[0]
    assert "rank" not in errors(err)[0]


def test_a_rank_that_leaves_is_no_success(mpirun):
    _, err = mpirun(2, script(mpirun, "if ranks.rank: raise SystemExit(3)\n    ranks.counts(1)"),
                    status=1)
    assert errors(err) == ["Error: rank 1 of 2 failed: it left with the status 3"]


def test_another_model_is_an_error_that_names_what_differs(mpirun):
    body = "etude_mpi.DistributedDataParallel(nn.Linear(2, 2 + ranks.rank), ranks)"
    _, err = mpirun(2, script(mpirun, body), status=1)
    assert len(errors(err)) == 1, err
    assert "rank 1 has another model than rank 0" in errors(err)[0]
    assert "'float32[2, 2]' on rank 0, and on rank 1 'float32[3, 2]'" in errors(err)[0]


def test_another_config_data_or_version_is_an_error(mpirun):
    base = CONFIG.replace("4000", "1")
    (mpirun.folder / "0.toml").write_text(base)
    for change, what in ((("lr = 0.1", "lr = 0.2"), "optimizer.lr is 0.1 on rank 0, and on rank 1 "
                                                    "0.2"),
                         (("[optimizer]", "validation = 0.2\n[optimizer]"), "data.validation")):
        (mpirun.folder / "1.toml").write_text(base.replace(*change))
        command = (f"exec {shlex.quote(sys.executable)} -m etude train $OMPI_COMM_WORLD_RANK.toml "
                   f"--out run --distributed")
        process = mpirun.start(2, "-c", f"import os; os.execvp('sh', ['sh', '-c', {command!r}])")
        _, err = mpirun.ended(process, status=1)
        assert len(errors(err)) == 1, err
        assert what in errors(err)[0]
    path = script(mpirun, "from etude_mpi.agree import same\n    same(ranks, 'version of a package'"
                          ", {'numpy': str(ranks.rank)}, 'Install the same')")
    _, err = mpirun(2, path, status=1)
    assert "rank 1 has another version of a package than rank 0: numpy is '0' on rank 0" in err


def test_other_numbers_in_the_data_are_an_error(mpirun):
    body = ("from etude import data, optim, train\n    layer = nn.Linear(2, 2)\n    samples = "
            "data.TensorDataset(etude.full((9, 2), float(ranks.rank)), etude.arange(9) % 2)\n    "
            "train.fit(layer, data.DataLoader(samples, 4), optim.SGD(layer.parameters(), 0.1), "
            "team=etude_mpi.MPITeam(ranks))")
    _, err = mpirun(2, script(mpirun, body), status=1)
    assert len(errors(err)) == 1, err
    assert "rank 1 has another data set (loader) than rank 0: digest is " in errors(err)[0]


def test_batch_norm_of_a_strange_kind_is_refused_by_name(mpirun):
    body = ("class Mine(nn.BatchNorm1d):\n        pass\n    etude_mpi.DistributedDataParallel("
            "nn.Sequential(nn.Linear(2, 2), Mine(2)), ranks)")
    _, err = mpirun(2, script(mpirun, body), status=1)
    assert "1 is a Mine, made of BatchNorm1d" in err


def test_noise_in_a_forward_pass_is_refused(mpirun):
    body = ("class Noisy(nn.Linear):\n        def forward(self, x):\n            return "
            "super().forward(x + etude.randn(x.shape))\n    etude_mpi.DistributedDataParallel("
            "Noisy(2, 2), ranks)(etude.ones(4, 2))")
    _, err = mpirun(2, script(mpirun, body), status=1)
    assert "randn in a forward pass that several processes share" in err
