"""Both frameworks side by side: conversion, comparison, and what tolerance they are held to."""

import numpy as np
import torch

import etude

torch.set_num_threads(1)
TIGHT = {"rtol": 1e-11, "atol": 1e-12}


def to_torch(x, grad=False):
    """A torch tensor with the values of an array; anything else as it is."""
    if not isinstance(x, np.ndarray):
        return x
    t = torch.from_numpy(np.array(x, order="C"))
    return t.requires_grad_(grad and t.is_floating_point())


def to_etude(x, grad=False):
    if not isinstance(x, np.ndarray):
        return x
    return etude.tensor(x, requires_grad=grad and x.dtype.kind == "f")


def host(t):
    return t.detach().numpy()


def close(mine, theirs, where="", **tolerance):
    a, b = host(mine), host(theirs)
    assert a.shape == b.shape, where
    if a.dtype.kind != "f":
        assert a.dtype == b.dtype, where
        assert np.array_equal(a, b), where
    np.testing.assert_allclose(a, b, err_msg=where, **(tolerance or TIGHT))


def backward(mine, theirs, seed=1):
    """Backward from both outputs with the same random gradient."""
    g = np.random.default_rng(seed).standard_normal(mine.shape)
    mine.backward(etude.tensor(g, dtype=mine.dtype))
    theirs.backward(torch.from_numpy(np.asarray(g)).to(theirs.dtype))


def same_gradient(mine, theirs, where="", **tolerance):
    """Etude's None is a gradient of zeros, and so is PyTorch's."""
    if theirs.grad is None or mine.grad is None:
        for g in (mine.grad, theirs.grad):
            assert g is None or not host(g).any(), where
    else:
        close(mine.grad, theirs.grad, where, **tolerance)
