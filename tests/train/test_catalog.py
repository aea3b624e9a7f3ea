"""Data sets of one's own, from a config: a share to test with, and errors that name the key."""

from pathlib import Path

import numpy as np
import pytest

from etude.data.text import names
from etude.train import catalog
from etude.train.config import RunConfig
from etude.train.experiment import build
from etude.train.settings import ConfigError


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a table of 40 lines and 20 images in 2 classes; the test is in it."""
    monkeypatch.chdir(tmp_path)
    lines = [f"{i},{-i},note {i},{'ab'[i % 2]}" for i in range(40)]
    Path("table.csv").write_text("\n".join(["x,y,remark,kind", *lines]))
    for i in range(20):
        folder = Path("pictures", "cat" if i % 2 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / f"{i}.npy", np.full((3, 4, 4), i, np.uint8))
    return tmp_path


def made(**settings):
    return build(RunConfig.of({"data": settings}))


def rows(dataset):
    return sorted(float(np.ravel(dataset[i][0])[0]) for i in range(len(dataset)))


def test_a_share_of_a_table_is_set_apart_to_test_with(here):
    table = {"train": "table.csv", "label": "kind", "columns": ("x", "y")}
    data = catalog.csv(**table, test=0.25)
    assert (len(data.train), len(data.test)) == (30, 10)
    assert sorted(rows(data.train) + rows(data.test)) == list(range(40))
    assert data.facts == {"inputs": 2, "classes": 2}
    again, other = catalog.csv(**table, test=0.25), catalog.csv(**table, test=0.25, seed=1)
    assert rows(again.test) == rows(data.test)
    assert rows(other.test) != rows(data.test)
    assert len(catalog.csv(**table).test) == 8


def test_a_share_of_a_folder_of_images_is_set_apart(here):
    data = catalog.images("pictures", test=0.3)
    assert (len(data.train), len(data.test)) == (14, 6)
    assert len(set(rows(data.train) + rows(data.test))) == 20
    assert data.facts["classes"] == 2
    assert len(catalog.images("pictures", test="pictures").test) == 20


def test_a_run_on_a_table_of_ones_own_needs_three_settings(here):
    experiment = made(name="csv", train="table.csv", label="kind", columns=["x", "y"])
    assert len(experiment.data.test) == 8
    assert len(experiment.validation.dataset) == 3
    experiment.try_batch()


@pytest.mark.parametrize(("settings", "message"), [
    ({"train": "table.csv"}, "data.label is missing: csv needs it"),
    ({"label": "kind"}, "data.train is missing: csv needs it"),
    ({"train": "table.csv", "label": "kind", "columns": ["x"], "test": 1.5},
     "[data] test = 1.5 must be a share between 0 and 1 that leaves samples on both sides; there "
     "are 40"),
    ({"train": "table.csv", "label": "kind", "columns": ["x"], "test": 0.001},
     "[data] test = 0.001 must be"),
    ({"train": "table.csv", "label": "kind", "columns": ["x"], "test": 0}, "[data] test = 0 must"),
    ({"train": "table.csv", "label": "kind", "columns": ["x"], "validation": 0.001},
     "[data] validation = 0.001 must be a share"),
    ({"train": "table.csv", "label": "kind", "test": True}, "data.test must be text or a number"),
    ({"train": "table.csv", "label": "kind"}, "'note 0' in column 'remark' is no number; name the "
                                              "columns that are features with columns=[...]"),
    ({"train": "table.csv", "label": "kind", "columns": ["x"], "kind": "number"},
     "'a' in column 'kind' is no number; kind='class' takes names"),
])
def test_what_is_wrong_names_its_key(here, settings, message):
    with pytest.raises(ConfigError) as error:
        made(name="csv", **settings)
    assert message in str(error.value)


def test_a_text_keeps_its_tokenizer():
    data = catalog.names(block=8)
    assert data.tokenizer.characters == "\n" + "".join(sorted(set("".join(names()))))
    assert data.facts["vocab"] == data.tokenizer.vocab_size
    assert catalog.digits().tokenizer is None
