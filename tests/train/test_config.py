"""Configs: every setting checked, every error by its path, and TOML that comes back the same."""

import dataclasses
import tomllib

import pytest

from etude.train import catalog, config, settings
from etude.train.config import RunConfig
from etude.train.settings import ConfigError

ALL = config.example()


def of(text):
    return RunConfig.of(tomllib.loads(text))


# ------------------------------------------------------------------ reading and writing


def test_an_empty_file_is_a_run_with_defaults():
    assert of("") == RunConfig()
    assert RunConfig().model.name == "mlp"


@pytest.mark.parametrize("comments", [False, True])
def test_what_is_written_reads_as_the_same(comments):
    for made in (RunConfig(), ALL, of('[optimizer]\nname = "Adam"\nbetas = [0.8, 0.9]')):
        assert of(made.toml(comments)) == made


def test_the_example_shows_every_setting_and_all_there_is_to_choose_from():
    text = ALL.toml(comments=True)
    for section, cls in config.SECTIONS.items():
        for f in dataclasses.fields(cls):
            if f.name != "options":
                assert f"\n{f.name} = " in text.partition(f"[{section}]")[2]
    for table in (catalog.MODELS, catalog.DATA, catalog.OPTIMIZERS, catalog.SCHEDULERS):
        assert table
        for name in table:
            assert f"#   {name}(" in text
    assert max(map(len, text.splitlines())) <= 100


def test_options_take_the_types_of_what_they_are_for():
    made = of('[optimizer]\nname = "Adam"\nlr = 1\nbetas = [0, 0.5]\n[model]\nhidden = [3, 4]')
    assert made.optimizer.options == {"lr": 1.0, "betas": (0.0, 0.5)}
    assert isinstance(made.optimizer.options["lr"], float)
    assert made.model.options == {"hidden": (3, 4)}


def test_text_and_numbers_survive_toml():
    document = {"a": {"text": 'quote " \\ \n \u00e4 \x7f', "tiny": 1e-300, "inf": float("inf"),
                      "list": [1, 2.5, True, ["x"]], "none": None}, "b.c": {"d": 1}}
    found = tomllib.loads(settings.dump(document))
    assert found["b.c"] == {"d": 1}
    document["a"].pop("none")
    assert found["a"] == document["a"]


def test_what_toml_cannot_say_is_an_error():
    with pytest.raises(TypeError, match="TOML has no form for set"):
        settings.dump({"a": {"b": {1}}})


# ------------------------------------------------------------------ what goes wrong

WRONG = {
    "[trainin]": "trainin: there is no section 'trainin'. Did you mean 'training'? There are: ",
    "[training]\nepoch = 3": "training.epoch: there is no setting 'epoch'. Did you mean 'epochs'?",
    "[training]\nepochs = '3'": "training.epochs must be an integer, got '3'",
    "[training]\nepochs = true": "training.epochs must be an integer, got True",
    "[training]\nepochs = 0": "training.epochs must be >= 1, got 0",
    "[training]\nclip_norm = 'x'": "training.clip_norm must be a number, got 'x'",
    "[training]\nclip_norm = 0": "training.clip_norm must be > 0, got 0.0; leave it out for none",
    "[training]\nclip_norm = -1": "training.clip_norm must be > 0, got -1.0",
    "[training]\nclip_norm = nan": "training.clip_norm must be > 0, got nan",
    "[data]\nvalidation = 1.0": "data.validation must be from 0 to 0.9, got 1.0",
    "[data]\nname = 'digit'": "data.name: there is no data set 'digit'. Did you mean 'digits'? "
                              "There are: digits, names, shakespeare",
    "[data]\nname = 'digits'\nblock = 3": "data.block: there is no setting 'block'",
    "[data]\nbatchsize = 3": "data.batchsize: there is no setting 'batchsize'",
    "[model]\nname = 'lenett'": "model.name: there is no model 'lenett'. Did you mean 'lenet'?",
    "[model]\nhiden = [3]": "model.hiden: there is no setting 'hiden'. Did you mean 'hidden'? "
                            "There are: name, inputs, classes, hidden",
    "[model]\nhidden = 3": "model.hidden must be a list, each an integer, got 3",
    "[model]\nhidden = ['x']": "model.hidden must be a list, each an integer, got ['x']",
    "[optimizer]\nname = 'adamw'": "optimizer.name: there is no optimizer 'adamw'. Did you mean "
                                   "'AdamW'?",
    "[optimizer]\nbetas = [0.9]": "optimizer.betas must be a list of 2, each a number, got [0.9]",
    "[scheduler]\nby = 'batch'": "scheduler.by must be one of 'step', 'epoch', got 'batch'",
    "[scheduler]\nname = 'Cosine'": "scheduler.name: there is no scheduler 'Cosine'",
    "model = 3": "model must be a table, [model], got 3",
    "[tune]\ntrails = 3": "tune.trails: there is no setting 'trails'",
    "[tune.space.optimizer]\nlr = {low = 1}": "optimizer.lr: needs low < high, got 1 and None",
    "[tune.space.optimizer]\nlr = {low = 2, high = 1}": "needs low < high, got 2 and 1",
    "[tune.space.optimizer]\nlr = {low = 0, high = 1, log = true}": "a log range starts above 0",
    "[tune.space.optimizer]\nlr = {}": "tune.space.optimizer.lr: give low and high, or choices",
    "[tune.space.optimizer]\nlr = {low = 0, high = 1, choices = [1]}": "give low and high, or cho",
    "[tune.space.optimizer]\nlr = 3": "tune.space.optimizer.lr: give a table, such as {low = 1e-4",
    "[tune.space.optimizer]\nlr = {low = 0, hgih = 1}": "Did you mean 'high'?",
    "[tune.space.optimizer]\nrate = {low = 0, high = 1}": "tune.space: optimizer.rate: there is no",
    "[tune.space.training]\nepochs = {low = 0, high = 4}": "training.epochs must be >= 1, got 0",
    "[tune.space.model]\nname = {choices = ['mlp', 'rnn']}": "model.name: there is no model 'rnn'",
    "[tune]\nspace = {lr = {low = 1, high = 2}}": "a setting is named by section.key",
}


@pytest.mark.parametrize("text", WRONG, ids=lambda t: t.replace("\n", " "))
def test_what_is_wrong_is_named(text):
    with pytest.raises(ConfigError) as error:
        of(text)
    assert WRONG[text] in str(error.value)


def test_the_file_is_named_and_the_line_where_it_is_no_toml(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text("[model]\nname = mlp\n")
    with pytest.raises(ConfigError, match=r"run.toml is no TOML: .*line 2"):
        RunConfig.read(path)
    path.write_text("[training]\nepochs = 0\n")
    with pytest.raises(ConfigError, match=r"run.toml: training.epochs must be >= 1"):
        RunConfig.read(path)
    path.write_text("[training]", encoding="utf-16")  # as PowerShell's > does
    with pytest.raises(ConfigError, match=r"is no TOML: not UTF-8 text \(byte 0\); save it"):
        RunConfig.read(path)
    path.write_text("[training]\nepochs = 3\n", encoding="utf-8-sig")  # a byte order mark first
    assert RunConfig.read(path).training.epochs == 3
    with pytest.raises(FileNotFoundError):
        RunConfig.read(tmp_path / "no.toml")


@pytest.mark.parametrize(("text", "message"), [
    ("[training]\nepochs = 0x" + "f" * 1900, "training.epochs must be a number of at most 64 bits"),
    ("[optimizer]\nlr = 100000000000000000000000", "optimizer.lr must be a number of at most 64 b"),
    ("[model]\nhidden = [4, -9223372036854775809]", "model.hidden must be a number of at most 64"),
    ("[model]\nhidden = " + "[" * 1900, "is no TOML"),
    ("[model]\n" + "a." * 900 + "b = 1", "nested too deeply|there is no setting"),
    ("[model]\n" + "a." * 100_000 + "b = 1", "is no config: it has 200,013 bytes, and 200,005 in"),
    ("[training]\nepochs = 1" + "0" * 5000, "is no config: it has"),
    ("# a comment\n" * 30_000, "is no config: it has 360,000 bytes, and 11 in one line"),
    ("[tune.space]\n'optimizer.lr' = {low = 1, high = inf}", "low and high must be finite"),
], ids=lambda t: t[:40].replace("\n", " "))
def test_numbers_and_names_without_measure_are_refused_with_the_file(tmp_path, text, message):
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=f"run.toml.*({message})"):
        RunConfig.read(path)


# ------------------------------------------------------------------ changing


def test_override_changes_one_setting_and_checks_it():
    made = ALL.override({"optimizer.lr": 0.5, "training.epochs": 2})
    assert made.optimizer.options["lr"] == 0.5
    assert made.training.epochs == 2
    assert dataclasses.replace(made, optimizer=ALL.optimizer, training=ALL.training) == ALL
    with pytest.raises(ConfigError, match="Did you mean 'lr'"):
        ALL.override({"optimizer.lrr": 0.5})
    with pytest.raises(ConfigError, match=r"lr: a setting is named by section.key, where section"):
        ALL.override({"lr": 0.5})


def test_another_name_drops_the_options_of_the_one_before():
    made = of("[model]\nhidden = [3]\n[data]\nbatch_size = 7")
    made = made.override({"model.name": "lenet", "data.name": "names"})
    assert made.model == config.ModelConfig("lenet")
    assert made.data == config.DataConfig("names", batch_size=7)


def test_a_scheduler_can_be_added():
    assert RunConfig().override({"scheduler.name": "StepLR", "scheduler.step_size": 3}
                                ).scheduler.options == {"step_size": 3}


def test_a_space_is_read_quoted_or_in_tables():
    quoted = of('[tune.space]\n"optimizer.lr" = {low = 1e-3, high = 1, log = true}')
    tables = of("[tune.space.optimizer.lr]\nlow = 1e-3\nhigh = 1\nlog = true")
    assert quoted.tune.space() == tables.tune.space() == {
        "optimizer.lr": config.Dimension(1e-3, 1, True)}
    made = of("[tune.space.model]\nhidden = {choices = [[3], [4, 5]]}")
    assert made.tune.space()["model.hidden"].values() == ([3], [4, 5])
