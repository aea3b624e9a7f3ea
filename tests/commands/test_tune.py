"""etude tune, as a person uses it: a search, its files, stopping it, going on, errors."""

import resource
import sqlite3
import sys
from pathlib import Path

import pytest
from runs_cases import RUN, TUNE, call, files

from etude.train.config import RunConfig
from etude.train.tuning import Watch


@pytest.mark.usefixtures("optuna")
class TestTune:
    def test_a_search_finds_and_writes_the_best(self, here, matplotlib):
        out = call("tune", "tune.toml")
        assert "4 trials over optimizer.lr, model.hidden" in out
        assert sum(line.startswith("trial ") for line in out.splitlines()) == 4
        assert files("runs/tune-tune") == ["best.toml", "config.toml", "study.db", "tune.png"]
        values = [float(line.split("loss ")[1].split()[0]) for line in out.splitlines()
                  if line.startswith("trial ")]
        best = next(line for line in out.splitlines() if line.startswith("The best: trial "))
        assert f"loss {min(values):.4f}" in best
        made = RunConfig.read("runs/tune-tune/best.toml")
        assert made.tune is None
        assert made.model.options["hidden"] in ((8,), (16, 8))
        assert f"optimizer.lr = {made.optimizer.options['lr']:.4g}" in best
        assert "epoch 3: loss" in call("train", "runs/tune-tune/best.toml")

    def test_a_search_goes_on_where_it_was(self, here):
        call("tune", "tune.toml", "--trials", "2")
        out = call("tune", "tune.toml")
        assert "4 trials over optimizer.lr, model.hidden; 2 are done" in out
        assert [line.partition(":")[0] for line in out.splitlines()
                if line.startswith("trial ")] == ["trial 3", "trial 4"]
        assert "trial 5" not in call("tune", "tune.toml")

    def test_ctrl_c_says_how_far_it_came_and_the_same_command_goes_on(self, here, monkeypatch):
        class InTheThird(Watch):
            trials = 0

            def on_epoch(self, run):
                super().on_epoch(run)
                if run.epoch == 2:
                    InTheThird.trials += 1
                if InTheThird.trials == 3:
                    raise KeyboardInterrupt

        monkeypatch.setattr("etude.train.tuning.Watch", InTheThird)
        out = call("tune", "tune.toml", code=130)
        assert "Stopped after 2 of 4 trials. Go on with the same command" in out
        assert "The best so far: trial " in out
        assert f"In {Path('runs/tune-tune')}: config.toml, study.db" in out
        assert "Traceback" not in out
        assert "Aborted" not in out
        assert files("runs/tune-tune") == ["config.toml", "study.db"]
        monkeypatch.undo()
        monkeypatch.chdir(here)
        out = call("tune", "tune.toml")
        assert "; 2 are done" in out
        assert sum(line.startswith("trial ") for line in out.splitlines()) == 2
        assert "best.toml" in files("runs/tune-tune")

    @pytest.mark.parametrize(("damage", "reason"), [
        (lambda whole: b"", "it is empty"),
        (lambda whole: whole[: len(whole) // 2], "malformed"),
        (lambda whole: b"x" * 4096, "file is not a database"),
        (lambda whole: whole[:20_000] + bytes(20_000) + whole[40_000:], ""),
    ])
    def test_a_study_that_is_empty_or_damaged_is_named_and_left(self, here, damage, reason):
        call("tune", "tune.toml", "--trials", "2")
        path = Path("runs/tune-tune/study.db")
        path.write_bytes(damage(path.read_bytes()))
        before = path.read_bytes()
        out = call("tune", "tune.toml", code=1)
        assert "study.db: not the study of this search, or a damaged one (" in out
        assert reason in out
        assert "move it away, and the search begins anew" in out
        assert path.read_bytes() == before
        path.unlink()
        assert "are done" not in call("tune", "tune.toml", "--trials", "1")

    @pytest.mark.parametrize(("change", "reason"), [
        ("UPDATE study_directions SET direction = 'MAXIMIZE'", "it goes the other way: MAXIMIZE"),
        ("DELETE FROM studies", "no study of Etude is in it"),
        ("UPDATE trial_params SET param_name = 'x' WHERE param_name = 'optimizer.lr'",
         "trial 1 has x = "),
        ("UPDATE trial_params SET param_value = 7 WHERE param_name = 'optimizer.lr'",
         r"trial 1 has optimizer.lr = 7.0, which is not in [tune.space]"),
        ("UPDATE trial_params SET distribution_json = '{'", "JSONDecodeError"),
        ("DELETE FROM trial_intermediate_values", "complete, without its settings or its values"),
        ("DROP TABLE trial_params", "trial 1 is complete, without its settings or its values"),
        ("DROP TABLE trials", "no such table: trials"),
    ])
    def test_a_whole_database_that_this_search_did_not_write_is_refused(self, here, change, reason):
        call("tune", "tune.toml", "--trials", "1")
        path = Path("runs/tune-tune/study.db")
        with sqlite3.connect(path) as study:
            study.execute(change)
        study.close()
        out = call("tune", "tune.toml", code=1)
        assert "study.db: not the study of this search, or a damaged one (" in out
        assert reason in out

    def test_a_full_disk_is_said_of_the_study_and_the_same_command_goes_on(self, here):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        room = (20_000, before[1])  # bytes of a file: no more, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, room)
        try:
            assert "File too large: 'runs/tune-tune/study.db'" in call("tune", "tune.toml", code=1)
            assert files("runs/tune-tune") == ["config.toml"]
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            call("tune", "tune.toml", "--trials", "1")
            resource.setrlimit(resource.RLIMIT_FSIZE, room)
            out = call("tune", "tune.toml", code=1)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert "study.db: cannot be written (" in out
        assert "make room and give the same command again" in out
        assert "; 1 are done" in call("tune", "tune.toml")

    def test_a_trial_that_was_killed_is_done_again(self, here):
        call("tune", "tune.toml", "--trials", "1")
        with sqlite3.connect("runs/tune-tune/study.db") as study:
            study.execute("UPDATE trials SET state = 'RUNNING'")
            lr = study.execute("SELECT param_value FROM trial_params WHERE param_name = "
                               "'optimizer.lr'").fetchone()[0]
        study.close()
        out = call("tune", "tune.toml", "--trials", "1")
        assert "trial 2: loss " in out
        assert f"optimizer.lr = {lr:.4g}" in out

    def test_trials_that_fall_behind_end_early(self, here):
        Path("tune.toml").write_text(TUNE.replace("trials = 4", "trials = 8"))
        assert ", ended after epoch" in call("tune", "tune.toml")

    @pytest.mark.filterwarnings("ignore::RuntimeWarning")
    def test_a_loss_that_is_not_finite_fails_its_trial_alone(self, here):
        Path("tune.toml").write_text(RUN.replace("lr = 0.01", 'name = "SGD"') + (
            '[tune]\ntrials = 6\n[tune.space]\n"optimizer.lr" = {choices = [1e30, 0.1]}\n'))
        out = call("tune", "tune.toml")
        assert "failed with optimizer.lr = 1e+30" in out
        assert "with optimizer.lr = 0.1" in out.partition("The best")[2]

    def test_what_is_wrong_is_said(self, here):
        out = call("tune", "run.toml", code=1)
        assert "there is nothing to tune: name settings in [tune.space]" in out
        assert not Path("runs").exists()
        call("tune", "tune.toml", "--trials", "1")
        out = call("tune", "tune.toml", "--set", "training.epochs=1", code=1)
        assert "was begun with other settings" in out
        assert "training.epochs was 3, is 1" in out


def test_without_optuna_the_extra_is_named(here, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert "pip install 'etude[tune]'" in call("tune", "tune.toml", code=1)
    assert not Path("runs").exists()
