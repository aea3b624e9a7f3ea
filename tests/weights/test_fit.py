"""Weights go to the places that their names and shapes say: all, or none and a table that says why.

No PyTorch here: what it computes with them is compared in tests/torch.
"""

import json
import re

import numpy as np
import pytest

import etude
from etude import models, nn, weights
from etude.train.checkpoint import CheckpointError
from etude.weights.layouts import NAMES, layouts
from etude.weights.save import named_there


def gpt():
    return models.gpt(7, 5, 2, 2, 8)


def values(model):
    return {k: t.numpy().copy() for k, t in model.state_dict().items()}


def same(a, b):
    assert list(a) == list(b)
    for k in a:
        np.testing.assert_array_equal(a[k], b[k])


def refusal(source, model, names=None):
    """The error of a load, after which the model must be as before."""
    before = values(model)
    with pytest.raises(CheckpointError) as caught:
        etude.load_torch(source, model, names)
    same(values(model), before)
    return str(caught.value)


# ------------------------------------------------------------------ layouts

MODELS = {"gpt2": gpt, "nanogpt": gpt, "resnet": lambda: models.resnet20(1, 10, 2)}


@pytest.mark.parametrize("name", NAMES)
def test_a_layout_has_a_place_for_each_weight_and_is_found_out(name):
    there, ours, other = MODELS[name](), MODELS[name](), MODELS[name]()
    state = named_there(there, name)
    for names in (None, name):
        assert etude.load_torch(state, ours, names) is ours
        same(values(ours), values(there))
        ours.load_state_dict(other.state_dict())
    assert len(state) == len(values(there)) + (name != "resnet")  # and the output layer


def test_the_names_and_shapes_of_gpt2():
    state = named_there(gpt(), "gpt2")
    shapes = {k: a.shape for k, a in state.items()}
    block = "transformer.h.1."
    assert shapes[block + "attn.c_attn.weight"] == (8, 24)
    assert shapes[block + "attn.c_attn.bias"] == (24,)
    assert shapes[block + "mlp.c_fc.weight"] == (8, 32)
    assert shapes["lm_head.weight"] == shapes["transformer.wte.weight"] == (7, 8)
    assert named_there(gpt(), "nanogpt")[block + "attn.c_attn.weight"].shape == (24, 8)
    assert all(a.flags.c_contiguous for a in state.values())


def test_the_body_of_a_gpt2_without_its_head_and_with_masks():
    there, ours = gpt(), gpt()
    state = {k.removeprefix("transformer."): a for k, a in named_there(there, "gpt2").items()
             if k != "lm_head.weight"}
    state |= {"h.0.attn.bias": np.tril(np.ones((1, 1, 5, 5), bool)),
              "h.0.attn.masked_bias": np.float32(-1e4)}
    etude.load_torch(state, ours)
    same(values(ours), values(there))


def test_a_shared_weight_under_either_name():
    there, ours = gpt(), gpt()
    state = named_there(there, "gpt2")
    for name in ("lm_head.weight", "transformer.wte.weight"):
        etude.load_torch({k: a for k, a in state.items() if k != name}, ours)
        same(values(ours), values(there))
    state["lm_head.weight"] = state["lm_head.weight"] + 1
    assert ("lm_head.weight and transformer.wte.weight differ, and here they are one weight, "
            "tokens.weight") in refusal(state, gpt())


def test_the_stages_of_a_resnet():
    names = [k for k in named_there(models.resnet20(1, 10, 3), "resnet") if k.endswith("weight")]
    assert {"conv1.weight", "bn1.weight", "layer1.2.conv2.weight", "layer3.0.downsample.0.weight",
            "layer3.0.downsample.1.weight", "layer3.2.bn2.weight", "fc.weight"} <= {*names}
    assert not [k for k in names if re.match(r"\d", k)]


def test_a_layout_is_for_its_own_models():
    for name in NAMES:
        with pytest.raises(ValueError, match=f"the layout '{name}' has no place for the weights"):
            etude.load_torch({}, models.mlp(3, 2), name)
        with pytest.raises(ValueError, match=f"the layout '{name}' has no place for the weights"):
            named_there(models.char_rnn(5, 4), name)
    with pytest.raises(ValueError, match="there is no layout 'gpt3'"):
        etude.load_torch({}, gpt(), "gpt3")
    assert len(layouts(models.mlp(3, 2))) == 1


# ------------------------------------------------------------------ names of a user's own


def plain(*names):
    """What a hand-written model of PyTorch with these layers has, for mlp(3, 4, 2)."""
    first, second = names
    return {f"{first}.weight": np.ones((4, 3), "f4"), f"{first}.bias": np.ones(4, "f4"),
            f"{second}.weight": np.ones((2, 4), "f4"), f"{second}.bias": np.ones(2, "f4")}


def test_names_of_layers_and_of_weights():
    for names in ({"fc1": "1", "out": "3"},
                  {"fc1.weight": "1.weight", "fc1.bias": "1.bias", "out": "3"}):
        model = etude.load_torch(plain("fc1", "out"), models.mlp(3, 4, 2), names)
        assert all((a == 1).all() for a in values(model).values())
    assert etude.load_torch(plain("1", "out"), models.mlp(3, 4, 2), {"out": "3"})
    assert set(named_there(models.mlp(3, 4, 2), {"fc1": "1"})) == {"fc1.weight", "fc1.bias",
                                                                   "3.weight", "3.bias"}


def test_a_number_in_names_stands_for_itself():
    there, ours = gpt(), gpt()
    names = {"layers.#.self_attn": "blocks.#.attention", "layers.#.linear1": "blocks.#.mlp.0"}
    state = named_there(there, names)
    assert "layers.1.self_attn.out_proj.bias" in state
    etude.load_torch(state, ours, names)
    same(values(ours), values(there))


def test_a_name_that_the_model_has_not():
    with pytest.raises(ValueError, match=r"names says 'fc1' is '1\.wieght' here, but this Sequent"
                                         r"ial has no weight of that name\. Did you mean '1\.wei"):
        etude.load_torch(plain("fc1", "3"), models.mlp(3, 4, 2), {"fc1": "1.wieght"})


def test_what_agrees_in_order_is_proposed_and_not_done():
    told = refusal(plain("fc1", "fc2"), models.mlp(3, 4, 2))
    assert told.endswith("In their order all shapes agree. If the layers correspond, give "
                         "names={'fc1': '1', 'fc2': '3'}")
    assert "In their order" not in refusal(plain("fc1", "fc2") | {"more": np.ones(1)},
                                           models.mlp(3, 4, 2))


def test_a_name_of_a_wrapper_is_taken_off():
    state = {f"module._orig_mod.{k}": a for k, a in plain("1", "3").items()}
    assert values(etude.load_torch(state, models.mlp(3, 4, 2)))["1.bias"].tolist() == [1] * 4


# ------------------------------------------------------------------ what does not fit


def test_everything_that_does_not_fit_is_in_one_table():
    state = plain("1", "3")
    state["3.weights"] = state.pop("3.weight")
    state["1.bias"] = np.ones(5, "f4")
    state["head"] = np.ones((2, 2), "f4")
    assert refusal(state, models.mlp(3, 4, 2)).splitlines() == [
        "the state_dict: does not fit this Sequential; nothing was loaded. Of its 5 entries and "
        "the 4 of the model, compared by the names of Etude:",
        "  shape       1.bias     [4] in the model, [5] there",
        "  missing     3.weight   [2, 4]; is it 3.weights?",
        "  unexpected  3.weights  [2, 4]",
        "  unexpected  head       [2, 2]"]


def test_a_long_table_is_cut():
    told = refusal({}, models.gpt(7, 5, 4, 2, 8))
    assert "  and 28 more" in told
    assert len(told.splitlines()) == 1 + 24 + 1


def test_the_layout_that_comes_nearest_is_the_one_that_is_told():
    state = named_there(gpt(), "nanogpt")
    del state["transformer.h.1.mlp.c_fc.bias"]
    told = refusal(state, gpt())
    assert "compared by the names of the layout 'nanogpt':" in told
    assert told.splitlines()[1] == "  missing     transformer.h.1.mlp.c_fc.bias  [32]"
    assert len(told.splitlines()) == 2


def test_a_square_matrix_does_not_hide_that_a_layout_is_transposed():
    """c_proj is square, so its shape says nothing; c_attn says whose it is."""
    there, ours = gpt(), gpt()
    for name in ("gpt2", "nanogpt"):
        state = named_there(there, name)
        etude.load_torch(state, ours)
        same(values(ours), values(there))


def test_dtypes_are_widened_and_never_narrowed():
    state = {"weight": np.ones((1, 2), "f4"), "bias": np.ones(1, "f2")}
    assert etude.load_torch(state, nn.Linear(2, 1).double()).weight.dtype == np.float64
    told = refusal(state | {"weight": np.ones((1, 2))}, nn.Linear(2, 1))
    assert "weight is float64, and weight of the model is float32, which would lose digits" in told
    assert "model.double()" in told
    told = refusal(state | {"weight": np.ones((1, 2), "i8")}, nn.Linear(2, 1))
    assert "weight is int64" in told
    for dtype in ("c8", "u8", "S3"):
        assert "for which Etude has no exact place" in refusal({"weight": np.ones(2, dtype)},
                                                               nn.Linear(2, 1))


def test_a_dict_of_tensors_is_a_copy_in_dtypes_of_ours():
    a = np.arange(6, dtype="f4").reshape(2, 3)
    found = etude.load_torch({"a": a, "t": etude.from_numpy(a).T, "i": np.int16(3)})
    a[:] = 0
    assert found["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found["t"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert (found["i"].dtype, found["i"].item()) == (etude.int64, 3)


def test_what_load_torch_is_given():
    with pytest.raises(TypeError, match="the source comes first, then the model"):
        etude.load_torch({}, {})
    with pytest.raises(TypeError, match="names say where weights go in a model"):
        etude.load_torch({}, names="gpt2")


# ------------------------------------------------------------------ the sizes of a GPT-2


def test_a_config_gives_the_gpt_that_holds_the_weights(tmp_path):
    config = {"model_type": "gpt2", "vocab_size": 7, "n_positions": 5, "n_layer": 2, "n_head": 2,
              "n_embd": 8, "activation_function": "gelu_new", "resid_pdrop": 0.1}
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    for given in (config, path, str(path)):
        model = weights.gpt2(given)
        assert model.blocks[0].attention.num_heads == 2
        etude.load_torch(named_there(gpt(), "gpt2"), model)


@pytest.mark.parametrize(("setting", "value"), [
    ("model_type", "llama"), ("activation_function", "gelu"), ("layer_norm_epsilon", 1e-6),
    ("scale_attn_by_inverse_layer_idx", True), ("tie_word_embeddings", False), ("n_inner", 9),
    ("n_layer", 0), ("n_head", "2"), ("n_embd", 8.0), ("n_layer", True)])
def test_a_config_of_another_model_is_refused(setting, value):
    with pytest.raises(ValueError, match=f"the config: {setting} (is|must be)"):
        weights.gpt2({"n_embd": 8, "n_head": 2, setting: value})


def test_a_config_that_is_none(tmp_path):
    path = tmp_path / "config.json"
    for text, words in (("{", "no JSON file"), ("[1]", "must be an object of settings, got list")):
        path.write_text(text)
        with pytest.raises(ValueError, match=f"config.json: {words}"):
            weights.gpt2(path)
