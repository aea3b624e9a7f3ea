"""etude train, as a person uses it: files, words, resuming, errors."""

import importlib
import json
import math
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from runs_cases import RUN, call, files, invoke
from shell import MAIN, python

import etude
from etude.data import CharTokenizer
from etude.train import config, experiment
from etude.train.config import RunConfig

# ------------------------------------------------------------------ train


def test_a_run_fills_its_folder_and_says_where(here, matplotlib):
    out = call("train", "run.toml")
    assert "mlp (1,210 parameters) on digits: 1,298 samples, 144 to watch it, 355 to test" in out
    assert "epoch 3: loss " in out
    assert "validation accuracy" in out
    assert ("In runs/run: config.toml, history.json, weights.safetensors, checkpoints/, loss.png"
            in out)
    assert files("runs/run") == ["checkpoints", "config.toml", "history.json", "loss.png",
                                 "weights.safetensors"]
    assert files("runs/run/checkpoints") == [f"step-{n:08d}.safetensors" for n in (7, 14, 21)]
    assert RunConfig.read("runs/run/config.toml") == RunConfig.read("run.toml")
    found = json.loads(Path("runs/run/history.json").read_text())
    assert len(found["steps"]["loss"]) == 21
    assert len(found["epochs"]) == 3
    assert found["epochs"][2]["validation"]["samples"] == 144
    assert 0 < found["test"]["accuracy"] <= 1
    made = experiment.build(RunConfig.read("run.toml"))
    etude.load_weights("runs/run/weights.safetensors", made.model)
    assert math.isclose(etude.train.evaluate(made.model, made.test).loss, found["test"]["loss"])


def test_without_matplotlib_there_is_no_picture_and_a_sentence(here, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "etude.inspect.plots", raising=False)
    monkeypatch.delattr(etude.inspect, "plots", raising=False)
    out = call("train", "run.toml", "--set", "training.epochs=1")
    assert "There is no loss.png: matplotlib is not installed. pip install 'etude[plots]'" in out
    assert "loss.png" not in files("runs/run")


def test_without_safetensors_the_extra_is_named_before_anything_is_trained_or_written(here,
                                                                                      monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    out = call("train", "run.toml", code=1)
    assert "safetensors is not installed: pip install 'etude[checkpoint]'" in out
    assert "epoch 1" not in out
    assert files("runs/run") == []


def test_the_command_line_starts_without_matplotlib():
    code = "import sys; sys.modules['matplotlib'] = None; from etude.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", code, "train", "--example"], capture_output=True,
                          text=True, check=True)
    assert "[model]" in done.stdout


def test_the_example_is_a_run(here):
    Path("example.toml").write_text(call("train", "--example"))
    assert RunConfig.read("example.toml") == config.example()
    assert "epoch 1: loss" in call("train", "example.toml", "--set", "training.epochs=1")


def test_a_dry_run_checks_everything_and_writes_nothing(here):
    out = call("train", "run.toml", "--dry-run", "--set", "optimizer.lr=0.5")
    assert "Linear(64, 16)" in out
    assert "The first batch has a loss of " in out
    assert "the run goes into runs/run" in out
    assert "lr = 0.5" in out
    assert not Path("runs").exists()


def test_several_processes_need_a_plugin(here):
    status, out, err = python(MAIN, "train", "run.toml", "--distributed", ETUDE_PLUGINS="none")
    assert (status, out) == (2, "")
    assert "--distributed needs etude-mpi, which is not installed, or did not load: pip" in err


def test_settings_are_changed_on_the_command_line(here):
    call("train", "run.toml", "--set", "training.epochs=1", "--set", "model.hidden=[4]", "--set",
         "optimizer.name=SGD", "--out", "other")
    made = RunConfig.read("other/config.toml")
    assert made.training.epochs == 1
    assert made.model.options == {"hidden": (4,)}
    assert made.optimizer == config.OptimizerConfig("SGD")


def test_a_language_model_takes_its_sizes_from_the_data(here):
    out = call("train", "gpt.toml", "--set", "data.validation=0.5")
    assert "epoch 1: loss " in out
    assert "gpt (" in out
    assert "tokenizer.json" in out
    assert CharTokenizer.load("runs/gpt/tokenizer.json").encode("\nab").tolist() == [0, 1, 2]


def ctrl_c(monkeypatch, step):
    """Somebody types Ctrl-C right after this step."""
    count = iter(range(1, 1000))

    def stepped(self, epoch, loss):
        if next(count) == step:
            raise KeyboardInterrupt

    monkeypatch.setattr("etude.train.progress.Report.step", stepped)


def same_run(first, second):
    weights = [Path(f, "weights.safetensors").read_bytes() for f in (first, second)]
    found = [json.loads(Path(f, "history.json").read_text()) for f in (first, second)]
    assert weights[0] == weights[1]
    assert found[0]["steps"]["loss"] == found[1]["steps"]["loss"]
    assert found[0]["test"] == found[1]["test"]
    assert [e["validation"] for e in found[0]["epochs"]] == [
        e["validation"] for e in found[1]["epochs"]]


@pytest.mark.parametrize("step", [4, 7, 16])
def test_a_stopped_run_says_how_to_go_on_and_goes_on_bit_for_bit(here, monkeypatch, step):
    call("train", "run.toml", "--out", "whole")
    ctrl_c(monkeypatch, step)
    words = ["train", "run.toml", "--set", "training.checkpoint_steps=1", "--out", "parts"]
    out = call(*words, code=130)  # as shells have it after Ctrl-C
    assert f"after {step} steps; the model keeps what it learned" in out
    assert "Go on with: etude train run.toml --out parts --resume" in out
    assert json.loads(Path("parts/history.json").read_text())["interrupted"]
    monkeypatch.undo()
    monkeypatch.chdir(here)
    out = call("train", "run.toml", "--out", "parts", "--resume")
    assert f"step-{step - 1:08d}.safetensors, after step {step - 1}" in out
    same_run("whole", "parts")


def test_a_killed_run_goes_on_bit_for_bit(here):
    words = ["train", "run.toml", "--set", "training.epochs=80"]
    often = ["--set", "training.checkpoint_steps=1", "--out", "parts"]
    child = subprocess.Popen([sys.executable, "-m", "etude", *words, *often],
                             stdout=subprocess.PIPE)
    with child:
        while b"epoch 2" not in (line := child.stdout.readline()):
            assert line
        child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    assert "resumed from" in call(*words, "--out", "parts", "--resume")
    call(*words, "--out", "whole")
    same_run("whole", "parts")


def stop(*args, **kwargs):
    raise KeyboardInterrupt


def test_ctrl_c_while_data_are_loaded_leaves_nothing(here, monkeypatch):
    monkeypatch.setattr("etude.train.experiment.build", stop)
    out = call("train", "run.toml", code=130)
    assert "Stopped before the first checkpoint; the same command begins anew" in out
    assert "Traceback" not in out
    assert not Path("runs").exists()
    monkeypatch.undo()
    monkeypatch.chdir(here)
    assert "epoch 1: loss" in call("train", "run.toml")


def test_ctrl_c_while_results_are_written_says_how_to_go_on(here, monkeypatch):
    monkeypatch.setattr("etude.train.experiment.save_weights", stop)
    out = call("train", "run.toml", code=130)
    assert "Stopped. Go on with: etude train run.toml --out runs/run --resume" in out
    assert "weights.safetensors" not in files("runs/run")
    monkeypatch.undo()
    monkeypatch.chdir(here)
    call("train", "run.toml", "--resume")
    assert "weights.safetensors" in files("runs/run")


@pytest.mark.parametrize("where", ["etude.commands.Commands.resolve_command",
                                   "etude.train.config.RunConfig.read"])
def test_ctrl_c_anywhere_else_is_a_word_and_a_status(here, monkeypatch, where):
    monkeypatch.setattr(where, stop)
    assert call("train", "run.toml", "--dry-run", code=130).strip() == "Stopped."


@pytest.mark.parametrize("module", ["etude.core.table", "etude.commands", "click"])
def test_ctrl_c_during_the_imports_is_a_sentence_and_a_status(module):
    code = ("import sys, importlib.abc\n"
            "class Stop(importlib.abc.MetaPathFinder):\n"
            "    def find_spec(self, name, path, target=None):\n"
            f"        if name == {module!r}: raise KeyboardInterrupt\n"
            "sys.meta_path.insert(0, Stop())\n"
            "from importlib.metadata import entry_points\n"
            "[command] = entry_points(group='console_scripts', name='etude')\n"
            "command.load()()")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "\nStopped before it began.\n"


def test_resume_without_a_run_starts_one(here):
    out = call("train", "run.toml", "--resume", "--set", "training.epochs=1")
    assert "There is no run in runs/run to resume; this one starts from the beginning" in out


def test_early_stopping_is_told(here):
    out = call("train", "run.toml", "--set", "optimizer.lr=0", "--set", "training.patience=1")
    assert "stopped after epoch 2: loss has been no better than" in out


def test_a_backend_is_chosen_and_what_it_lacks_is_told(here):
    Path("mine.py").write_text("import etude\n@etude.implements('relu')\ndef relu(x):\n"
                               "    return x * (x > 0)\n")
    out = call("train", "run.toml", "--backend", "mine.py", "--set", "training.epochs=1")
    assert "The reference stood in for the backend:" in out
    assert "linear (float32)" in out
    assert "  relu (" not in out
    assert RunConfig.read("runs/run/config.toml").training.backend == "mine.py"


# ------------------------------------------------------------------ errors of train

ERRORS = {
    ("--set", "training.epoch=3"): "training.epoch: there is no setting 'epoch'. Did you mean",
    ("--set", "training.epochs"): "--set takes KEY=VALUE, such as optimizer.lr=0.01, got",
    ("--set", "data.name=mnits"): "there is no data set 'mnits'. Did you mean 'mnist'?",
    ("--set", "data.name=shakespeare"): "[model] mlp needs inputs and classes, and the data "
                                        "'shakespeare' only say vocab, block_size",
    ("--set", "model.classes=3"): "labels run from 0 to 2",
    ("--set", "model.inputs=3"): "the model 'mlp' does not fit the data 'digits', whose batches "
                                 "are float32[200, 1, 8, 8]: ",
    ("--set", "optimizer.lr=-1"): "[optimizer] AdamW: lr must be >= 0, got -1.0",
    ("--set", "scheduler.name=StepLR"): "[scheduler]",
    ("--set", "scheduler.name=ReduceLROnPlateau"): 'set by = "epoch"',
    ("--backend", "gpu9"): "gpu9",
    ("--set", "optimizer.name=SGD", "--set", "optimizer.lr=1e30"): "Try a smaller learning rate",
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("words", ERRORS, ids=" ".join)
def test_an_error_is_a_sentence(here, words):
    result = invoke("train", "run.toml", *words)
    assert result.exit_code in (1, 2)
    assert ERRORS[words] in " ".join(result.output.split())
    assert "Traceback" not in result.output
    if "1e30" not in words[-1]:
        assert not Path("runs").exists()


def test_a_missing_data_set_says_what_to_do(here, monkeypatch):
    monkeypatch.setenv("ETUDE_DATA", str(here / "nothing"))
    mnist = importlib.import_module("etude.data.mnist")
    monkeypatch.setattr(mnist, "MNIST", mnist.MNIST._replace(folders=()))
    out = call("train", "run.toml", "--set", "data.name=mnist", code=1)
    assert "MNIST" in out
    assert "download" in out
    assert not Path("runs").exists()


def test_no_config_and_no_file(here):
    assert "'etude train --example > run.toml' makes one" in call("train", code=2)


CSV = """
[data]
name = "csv"
train = "{train}"
test = "table.csv"
label = "kind"
batch_size = 5
"""


@pytest.mark.parametrize(("file", "sentence"), [
    ("no.toml", "Error: no.toml: there is no such file"),
    ("", "Error: . is a folder, and this must be a file"),
    ("no_table.toml", "Error: no.csv: there is no such file"),
    ("folder.toml", "Error: . is a folder, and this must be a file"),
])
def test_a_file_that_is_not_there_and_a_folder_are_said_in_words(here, file, sentence):
    Path("no_table.toml").write_text(CSV.format(train="no.csv"))
    Path("folder.toml").write_text(CSV.format(train="."))
    assert call("train", file, code=1).strip() == sentence


def test_a_run_on_a_table_leaves_the_names_of_its_classes(here):
    kinds = ["even", "odd, \u00fc"]
    lines = "".join(f'{i},"{kinds[i % 2]}"\n' for i in range(20))
    Path("table.csv").write_text("x,kind\n" + lines, encoding="utf-8")
    Path("table.toml").write_text(CSV.format(train="table.csv") + '[model]\nname = "mlp"\n')
    out = call("train", "table.toml", "--set", "training.epochs=1")
    assert "checkpoints/, classes.json" in out
    assert json.loads(Path("runs/table/classes.json").read_bytes()) == kinds


def test_a_folder_with_a_run_is_not_overwritten(here):
    call("train", "run.toml", "--set", "training.epochs=1")
    before = {p: p.read_bytes() for p in Path("runs").rglob("*") if p.is_file()}
    out = call("train", "run.toml", code=1)
    assert "runs/run has a run in it, up to step-00000007.safetensors. Go on with it: --resume" \
        in out
    out = call("train", "run.toml", "--resume", "--set", "training.seed=1", code=1)
    assert "training.seed was 0, is 1" in out
    assert "training.epochs" not in out  # more epochs are no other run
    assert before == {p: p.read_bytes() for p in Path("runs").rglob("*") if p.is_file()}


def everything():
    return {p: p.read_bytes() for p in Path("runs").rglob("*") if p.is_file()}


def refused(*words):
    """What ``etude train`` says that refuses, and its rehearsal, too; neither changes a file."""
    before = everything()
    out = call("train", "run.toml", *words, code=1)
    assert call("train", "run.toml", *words, "--dry-run", code=1) == out
    assert everything() == before
    return out


def test_a_damaged_checkpoint_is_named_and_nothing_changes(here):
    call("train", "run.toml", "--set", "training.epochs=2")
    newest = Path("runs/run/checkpoints/step-00000014.safetensors")
    newest.write_bytes(newest.read_bytes()[:-7])
    out = refused("--resume")  # with 3 epochs, which config.toml has not
    assert "step-00000014.safetensors: damaged, cut short" in out
    assert "The checkpoint before it is" in out


def test_a_resume_with_other_data_leaves_the_config_as_it_was(here):
    Path("table.toml").write_text(CSV.format(train="table.csv"))
    rows = [f"{i},{-i},{'ab'[i % 2]}\n" for i in range(20)]
    Path("table.csv").write_text("x,y,kind\n" + "".join(rows))
    words = ["train", "table.toml", "--out", "runs/table"]
    call(*words, "--set", "training.epochs=1")
    before = everything()
    Path("table.csv").write_text("x,y,kind\n" + "".join(rows * 2))
    out = call(*words, "--resume", code=1)  # with 10 epochs
    assert "the run's loader has samples = 18, this one's has 36" in out
    assert "The checkpoint before it" not in out
    assert everything() == before


def test_other_settings_do_not_send_to_an_older_checkpoint(here):
    call("train", "run.toml")
    path = Path("runs/run/config.toml")
    path.write_text(path.read_text().replace("lr = 0.01", "lr = 0.5"))
    out = refused("--resume", "--set", "optimizer.lr=0.5")
    assert "the run had other settings: optimizer.lr was 0.01, is 0.5" in out
    assert "The checkpoint before it" not in out


def test_a_config_that_was_edited_in_the_folder_is_told_from_the_settings_of_the_run(here):
    call("train", "run.toml", "--set", "training.epochs=1")
    path = Path("runs/run/config.toml")
    path.write_text(path.read_text().replace("lr = 0.01", "lr = 0.5"))
    out = refused("--resume")
    assert "runs/run/config.toml was edited since the run was made" in out
    assert "optimizer.lr was 0.01, is 0.5" in out
    assert "or delete the file" in out
    path.unlink()
    assert "optimizer.lr was 0.01, is 0.5" in refused("--resume", "--set", "optimizer.lr=0.5")
    assert "epoch 3: loss" in call("train", "run.toml", "--resume")
    assert RunConfig.read(path) == RunConfig.read("run.toml")


def test_checkpoints_of_no_known_settings_are_not_gone_on_with(here):
    made = experiment.build(RunConfig.read("run.toml"))
    etude.train.fit(made.model, made.loader, made.optimizer, progress=False,
                    checkpoints=etude.train.Checkpoints("runs/run/checkpoints"))
    assert "has checkpoints and no config.toml, and they do not say which" in refused("--resume")
    text = RUN.replace("lr = 0.01", "lr = 0.5")
    Path("runs/run/config.toml").write_text(text)
    assert "optimizer.lr was 0.5, is 0.01" in refused("--resume")


def test_fewer_epochs_than_are_done_is_nothing_to_do(here, monkeypatch):
    call("train", "run.toml")
    out = refused("--resume", "--set", "training.epochs=1")
    assert ("step-00000021.safetensors: the run has 3 epochs behind it, and training.epochs is 1, "
            "so there is nothing to do. To train on, give 4 or more") in out
    assert ("it has done 3 epochs already, of 3, so there is nothing left to train"
            in call("train", "run.toml", "--resume"))
    shutil.rmtree("runs/run")
    ctrl_c(monkeypatch, 16)
    call("train", "run.toml", "--set", "training.checkpoint_steps=1", code=130)
    monkeypatch.undo()
    monkeypatch.chdir(here)
    assert ("the run has 2 epochs and a part of the next behind it, and training.epochs is 2"
            in refused("--resume", "--set", "training.epochs=2"))


def test_results_without_checkpoints_are_not_overwritten(here):
    call("train", "run.toml", "--set", "training.epochs=1")
    shutil.rmtree("runs/run/checkpoints")
    for words in ([], ["--resume"]):
        out = refused(*words)
        assert ("runs/run has history.json and weights.safetensors of a run, and no checkpoints "
                "to go on from. Put its checkpoints/ back to go on") in out


def test_a_rehearsed_resume_looks_at_the_folder(here):
    call("train", "run.toml", "--set", "training.epochs=1")
    before = everything()
    out = call("train", "run.toml", "--resume", "--dry-run")
    assert "Without --dry-run the run goes on in runs/run" in out
    assert everything() == before
    assert "runs/run has a run in it" in refused()
    assert "training.backend was '', is 'reference'" in refused("--resume", "--backend",
                                                               "reference")
    Path("runs/run/config.toml").write_text("[model")
    assert "runs/run/config.toml" in refused("--resume")


@pytest.mark.parametrize("size", ["1000000000000000", "9223372036854775807"])
def test_a_model_beyond_all_memory_is_said_of_its_section(here, size):
    out = call("train", "run.toml", "--set", f"model.hidden=[{size}]", code=1)
    assert "Error: [model] " in out
    assert not Path("runs").exists()
