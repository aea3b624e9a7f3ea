"""Transforms of images: what each does, that it repeats, and what it refuses."""

import numpy as np
import pytest

from etude.core.errors import DTypeError, ShapeError
from etude.data.transforms import (
    Compose,
    Normalize,
    RandomCrop,
    RandomErasing,
    RandomHorizontalFlip,
    RandomRotation,
    ToFloat,
)

RANDOM = [RandomHorizontalFlip(), RandomCrop(6, padding=2), RandomRotation(20),
          RandomErasing(1.0), Compose(RandomCrop(7), RandomErasing(), RandomHorizontalFlip(0.9))]


def rng(seed=0):
    return np.random.default_rng(seed)


def images(B=5, C=3, H=8, W=8, dtype=np.float32):
    return rng(1).random((B, C, H, W)).astype(dtype)


class Fixed:
    """A generator that always draws ``value``, where the range allows."""

    def __init__(self, value):
        self.value = value

    def random(self, n):
        return np.full(n, self.value)

    def uniform(self, low, high, n):
        return np.clip(np.full(n, self.value), low, high)

    def integers(self, low, high, n):
        return np.clip(np.full(n, self.value), low, high - 1).astype(int)


# ------------------------------------------------------------------------- what all share


@pytest.mark.parametrize("transform", RANDOM, ids=repr)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_same_seed_repeats_and_another_differs(transform, dtype):
    x = images(dtype=dtype)
    before = x.copy()
    first = transform(x, rng(3))
    np.testing.assert_array_equal(first, transform(x, rng(3)))
    assert not np.array_equal(first, transform(x, rng(4)))
    assert first.dtype == dtype
    np.testing.assert_array_equal(x, before)  # nothing was written into the input
    assert not np.shares_memory(first, x)


@pytest.mark.parametrize("transform", RANDOM, ids=repr)
def test_one_image_is_a_batch_of_one(transform):
    x = images()
    np.testing.assert_array_equal(transform(x[0], rng(3)), transform(x[:1], rng(3))[0])


@pytest.mark.parametrize("transform", RANDOM, ids=repr)
def test_the_images_of_a_batch_are_changed_differently(transform):
    x = np.broadcast_to(images(B=1), (30, 3, 8, 8))
    y = transform(x, rng(3))
    assert len(np.unique(y.reshape(30, -1), axis=0)) > 1


@pytest.mark.parametrize("transform", RANDOM[:4], ids=repr)
def test_random_changes_need_a_generator(transform):
    with pytest.raises(ValueError, match=f"{type(transform).__name__} draws random numbers: call "):
        transform(images())


@pytest.mark.parametrize("transform", [*RANDOM[:4], ToFloat(), Normalize(0.5, 0.5)], ids=repr)
def test_shapes_that_are_no_images_are_refused(transform):
    for shape in ((8, 8), (1, 1, 3, 8, 8)):
        with pytest.raises(ShapeError, match=r"needs an image \(C, H, W\) or a batch .*, got"):
            transform(np.zeros(shape, np.float32), rng())


def test_an_empty_batch_stays_empty():
    for transform in RANDOM[:4]:
        assert len(transform(images(B=0), rng())) == 0


def test_bytes_are_refused_where_they_would_be_rounded():
    x = np.zeros((1, 8, 8), np.uint8)
    for transform in (Normalize(0, 1), RandomRotation(5)):
        with pytest.raises(DTypeError, match=r"got uint8; put ToFloat\(\) before it"):
            transform(x, rng())
    for transform in (RandomCrop(8), RandomHorizontalFlip(), RandomErasing()):
        assert transform(x, rng()).dtype == np.uint8
    for transform in RANDOM[:4]:
        with pytest.raises(DTypeError, match="complex64"):
            transform(x.astype(np.complex64), rng())


# ------------------------------------------------------------------------- one by one


def test_to_float_scales_bytes_to_0_1():
    y = ToFloat()(np.array([[[0, 51, 255]]], np.uint8))
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, np.array([[[0, 51, 255]]], np.float32) / np.float32(255))
    assert ToFloat(16)(np.full((1, 1, 1), 16, np.int64)).item() == 1


def test_normalize_goes_by_channel():
    x = images()
    y = Normalize([0.1, 0.2, 0.3], [1, 2, 4])(x)
    for c, (mean, std) in enumerate([(0.1, 1), (0.2, 2), (0.3, 4)]):
        np.testing.assert_allclose(y[:, c], (x[:, c] - mean) / std, rtol=1e-5)
    assert y.dtype == np.float32
    np.testing.assert_allclose(Normalize(0.5, 2)(x[0]), (x[0] - 0.5) / 2, rtol=1e-6)
    with pytest.raises(ShapeError, match="mean has 2 channels, the images have 3"):
        Normalize([0, 0], [1, 1])(x)
    with pytest.raises(ShapeError, match=r"got shapes \[2\] and \[1\]"):
        Normalize([0, 0], 1)
    with pytest.raises(ValueError, match=r"std must be positive, got \[1.0, 0.0\]"):
        Normalize([0, 0], [1, 0])


def test_flip_mirrors_each_image_or_leaves_it():
    x = images(B=400)
    y = RandomHorizontalFlip(0.25)(x, rng())
    flipped = (y == x[..., ::-1]).all((1, 2, 3))
    same = (y == x).all((1, 2, 3))
    assert (flipped ^ same).all()
    assert 60 < flipped.sum() < 140
    np.testing.assert_array_equal(RandomHorizontalFlip(1.0)(x, rng()), x[..., ::-1])
    np.testing.assert_array_equal(RandomHorizontalFlip(0.0)(x, rng()), x)
    with pytest.raises(ValueError, match=r"p is from 0 to 1, got 1\.5"):
        RandomHorizontalFlip(1.5)


def test_a_crop_is_a_window_of_the_padded_image_and_every_place_occurs():
    x = images(B=600, C=2, H=4, W=5)
    y = RandomCrop((4, 5), padding=1, fill=-1)(x, rng())
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-1)
    places = set()
    for before, after in zip(padded, y):
        found = [(i, j) for i in range(3) for j in range(3)
                 if np.array_equal(before[:, i : i + 4, j : j + 5], after)]
        assert len(found) == 1
        places.update(found)
    assert len(places) == 9
    assert RandomCrop(3)(x, rng()).shape == (600, 2, 3, 3)


@pytest.mark.parametrize("size", [9, (8, 9)])
def test_a_crop_that_does_not_fit_is_refused(size):
    with pytest.raises(ShapeError, match=r"does not fit into images of 8 x 8 \(with padding 0\)"):
        RandomCrop(size)(images(), rng())


def test_a_quarter_turn_is_exact_and_none_changes_nothing():
    x = images()
    for turns in (1, -1):
        y = RandomRotation(90)(x, Fixed(90 * turns))
        np.testing.assert_allclose(y, np.rot90(x, turns, (2, 3)), atol=1e-6)
    np.testing.assert_array_equal(RandomRotation(0)(x, rng()), x)
    wide = images(H=5, W=9)
    assert RandomRotation(45)(wide, rng()).shape == wide.shape


def test_a_turn_agrees_with_a_loop_over_pixels():
    x = images(B=1, C=2, H=6, W=7)[0]
    angle = np.radians(17.0)
    want = np.empty_like(x)
    for i in range(6):
        for j in range(7):
            down, right = i - 2.5, j - 3.0
            r = 2.5 + np.cos(angle) * down + np.sin(angle) * right
            c = 3.0 - np.sin(angle) * down + np.cos(angle) * right
            total = 0
            for a in (int(np.floor(r)), int(np.floor(r)) + 1):
                for b in (int(np.floor(c)), int(np.floor(c)) + 1):
                    inside = 0 <= a < 6 and 0 <= b < 7
                    pixel = x[:, a, b] if inside else 0.25
                    total = total + pixel * (1 - abs(r - a)) * (1 - abs(c - b))
            want[:, i, j] = total
    got = RandomRotation(20, fill=0.25)(x, Fixed(17.0))
    np.testing.assert_allclose(got, want, atol=1e-6)


def test_erasing_covers_one_rectangle_of_the_size_asked_for():
    x = images(B=300, H=20, W=20) + 1
    y = RandomErasing(p=0.5, area=(0.1, 0.2), fill=-7)(x, rng())
    erased = y != x
    assert (y[erased] == -7).all()
    assert 110 < erased.any((1, 2, 3)).sum() < 190
    for mask in erased[erased.any((1, 2, 3))]:
        assert (mask == mask[0]).all()  # in every channel alike
        rows, columns = mask[0].any(1), mask[0].any(0)
        np.testing.assert_array_equal(mask[0], rows[:, None] & columns)
        for line in (rows, columns):  # without gaps
            assert np.diff(line.astype(int), prepend=0, append=0).clip(0).sum() == 1
        assert 0.08 < mask[0].mean() < 0.23
    assert not (RandomErasing(0.0)(x, rng()) != x).any()
    with pytest.raises(ValueError, match=r"area is \(least, largest\), from 0 to 1, got \(0"):
        RandomErasing(area=(0.5, 0.2))
    with pytest.raises(ValueError, match="p is from 0 to 1"):
        RandomErasing(-0.1)


def test_compose_goes_from_left_to_right_with_one_generator():
    x = images()
    both = Compose(RandomCrop(6), Normalize(0.5, 0.5))
    np.testing.assert_array_equal(both(x, rng()), Normalize(0.5, 0.5)(RandomCrop(6)(x, rng())))
    assert repr(both) == ("Compose(RandomCrop(size=6, padding=0, fill=0.0), "
                          "Normalize([0.5], [0.5]))")
    assert Compose(ToFloat())(np.full((1, 2, 2), 255, np.uint8)).max() == 1
