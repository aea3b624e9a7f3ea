"""Data sets and the loader: what comes out, in which order, and how it repeats."""

import numpy as np
import pytest

import etude
from etude import data


def numbers(n):
    return data.TensorDataset(etude.arange(n))


def seen(loader):
    return [x.tolist() for x, *_ in loader]


# ------------------------------------------------------------------ the digits


def test_the_digits_are_images_from_0_to_1_and_labels():
    train, test = data.digits()
    assert (len(train), len(test)) == (1442, 355)
    for part in (train, test):
        images, labels = part.tensors
        assert images.shape == (len(part), 1, 8, 8)
        assert images.dtype == etude.float32
        assert images.numpy().min() == 0
        assert images.numpy().max() == 1
        assert labels.shape == (len(part),)
        assert labels.dtype == etude.int64
        assert sorted(set(labels.tolist())) == list(range(10))


def test_every_digit_has_the_same_share_in_both_parts():
    train, test = (np.bincount(part.tensors[1]) for part in data.digits())
    assert np.all(np.abs(test / (train + test) - 0.2) < 0.01)


def test_the_split_is_fixed_and_parts_nothing_twice():
    one, again = data.digits("test"), data.digits("test")
    assert np.array_equal(one.tensors[0], again.tensors[0])
    rows = [image.tobytes() for part in data.digits() for image in part.tensors[0].numpy()]
    assert len(set(rows)) == len(rows) == 1797  # no image of one part is in the other


def test_the_first_digits_look_like_their_labels():
    image, label = data.digits("train")[0]
    assert label.item() == 0
    assert ["".join(" #"[int(v > 0.25)] for v in row) for row in image.numpy()[0]] == [
        "  ###   ",
        "  ##### ",
        "  #  ## ",
        "  #  ## ",
        " ##  ## ",
        "  #  ## ",
        "  ####  ",
        "  ###   "]


def test_another_split_is_refused():
    with pytest.raises(ValueError, match="split must be 'train' or 'test', got 'valid'"):
        data.digits("valid")


def test_the_licence_is_beside_the_data():
    from importlib.resources import files

    text = (files("etude.data") / "digits.LICENSE.txt").read_text()
    assert "CC BY 4.0" in text
    assert "UCI Machine Learning Repository" in text


# ------------------------------------------------------------------ datasets


def test_a_tensor_dataset_pairs_rows():
    set_ = data.TensorDataset(etude.tensor([[1.0], [2.0]]), etude.tensor([3, 4]))
    x, y = set_[1]
    assert (x.tolist(), y.tolist()) == ([2], 4)
    assert len(set_) == 2
    with pytest.raises(IndexError):
        set_[2]


def test_a_tensor_dataset_needs_rows_of_one_number():
    with pytest.raises(ValueError, match=r"same number of rows, got \[3\], \[2, 1\]"):
        data.TensorDataset(etude.ones(3), etude.ones(2, 1))
    with pytest.raises(ValueError, match=r"same number of rows, got \[\]"):
        data.TensorDataset(etude.tensor(1.0))
    with pytest.raises(TypeError, match=r"TensorDataset takes Tensors, got ndarray; etude.tensor"):
        data.TensorDataset(etude.ones(3), np.zeros(3))
    with pytest.raises(ValueError, match="at least one tensor"):
        data.TensorDataset()


# ------------------------------------------------------------------ the loader


def test_without_shuffle_batches_come_in_order_the_last_one_smaller():
    loader = data.DataLoader(numbers(5), batch_size=2)
    assert seen(loader) == [[0, 1], [2, 3], [4]]
    assert len(loader) == 3


def test_drop_last_leaves_out_what_does_not_fill_a_batch():
    loader = data.DataLoader(numbers(5), batch_size=2, drop_last=True)
    assert seen(loader) == [[0, 1], [2, 3]]
    assert len(loader) == 2
    assert len(data.DataLoader(numbers(4), batch_size=2, drop_last=True)) == 2


def test_an_epoch_shows_every_sample_once():
    loader = data.DataLoader(numbers(100), batch_size=7, shuffle=True, seed=1)
    epochs = [[i for batch in seen(loader) for i in batch] for _ in range(2)]
    assert [sorted(e) for e in epochs] == [list(range(100))] * 2
    assert epochs[0] != epochs[1] != list(range(100))


def test_the_order_follows_from_seed_and_epoch_alone():
    one, other = (data.DataLoader(numbers(20), 4, shuffle=True, seed=3) for _ in range(2))
    first, second = seen(one), seen(one)
    etude.rand(10)
    assert seen(other) == first
    other.epoch = 1  # as after loading a checkpoint
    assert seen(other) == second
    assert seen(data.DataLoader(numbers(20), 4, shuffle=True, seed=4)) != first


FROZEN = [0, 2, 1, 5, 4, 3, 6, 7]


def test_the_order_of_a_seed_is_frozen():
    loader = data.DataLoader(numbers(8), shuffle=True, seed=0)
    words = np.random.Philox(key=[0, 0]).random_raw(8)
    assert loader.order(0).tolist() == np.argsort(words).tolist() == FROZEN


def test_half_an_epoch_does_not_disturb_the_next():
    one, other = (data.DataLoader(numbers(20), 4, shuffle=True, seed=3) for _ in range(2))
    next(iter(one))
    seen(other)
    assert seen(one) == seen(other)


def test_without_a_seed_manual_seed_decides():
    def orders(seed):
        etude.manual_seed(seed)
        return [seen(data.DataLoader(numbers(30), 30, shuffle=True)) for _ in range(2)]

    assert orders(1) == orders(1) != orders(2)
    first, second = orders(1)
    assert first != second  # two loaders of one run differ


def test_orders_are_fair():
    loader = data.DataLoader(numbers(6), shuffle=True, seed=11)
    first = np.array([loader.order(e) for e in range(3000)])
    counts = np.array([np.bincount(column, minlength=6) for column in first.T])
    assert np.all(np.abs(counts - 500) < 5 * np.sqrt(500))


def test_a_batch_holds_rows_of_every_tensor_with_their_dtypes():
    images, labels = next(iter(data.DataLoader(data.digits("test"), 4)))
    assert (images.shape, images.dtype) == ((4, 1, 8, 8), etude.float32)
    assert (labels.shape, labels.dtype) == ((4,), etude.int64)
    assert not images.requires_grad


@pytest.mark.parametrize("how", ["batch", "transform", "collate"])
def test_a_batch_in_another_byte_order_is_converted(how):
    x = np.arange(6).reshape(2, 3).astype(">f4")

    class Table:
        def __len__(self):
            return 2

        def __getitem__(self, i):
            return (x[i],)

    class Batches(Table):
        def batch(self, indices):
            return (x[indices],)

    options = {"transform": lambda b, rng: b.astype(">f4")} if how == "transform" else {
        "collate": lambda samples: (np.stack([s for s, in samples]),)} if how == "collate" else {}
    dataset = Batches() if how == "batch" else Table()
    (batch,) = next(iter(data.DataLoader(dataset, 2, **options)))
    assert batch.dtype == etude.float32
    assert batch.dtype.isnative
    assert batch.exp().tolist() == etude.tensor(x.tolist()).exp().tolist()


def test_any_object_with_length_and_samples_is_a_dataset():
    class Squares:
        def __len__(self):
            return 3

        def __getitem__(self, i):
            return float(i * i), i, np.full(2, i, np.int32), etude.tensor([i], dtype="float64")

    x, n, pair, tensor = next(iter(data.DataLoader(Squares(), 3)))
    assert (x.tolist(), x.dtype) == ([0, 1, 4], etude.float32)
    assert (n.tolist(), n.dtype) == ([0, 1, 2], etude.int64)
    assert (pair.tolist(), pair.dtype) == ([[0, 0], [1, 1], [2, 2]], etude.int64)
    assert (tensor.tolist(), tensor.dtype) == ([[0], [1], [2]], etude.float64)


class OneByOne:
    """A dataset of some arrays, read sample by sample."""

    def __init__(self, *arrays):
        self.arrays = arrays

    def __len__(self):
        return len(self.arrays[0])

    def __getitem__(self, i):
        return tuple(a[i] for a in self.arrays)


class AtOnce(OneByOne):
    def batch(self, indices):
        return tuple(a[indices] for a in self.arrays)


def collated(samples):
    return tuple(np.stack(field) for field in zip(*samples, strict=True))


@pytest.mark.parametrize(("given", "dtype"), [
    ("uint8", "int64"), ("int32", "int64"), ("float16", "float32"), (">f4", "float32"),
    (">i8", "int64"), ("bool", "bool"), ("float64", "float64")])
def test_a_batch_has_the_same_dtype_whatever_made_it(given, dtype):
    x = np.array([[1, 0], [0, 1]], given)
    ones = data.TensorDataset(etude.ones(2))
    for loader in (data.DataLoader(OneByOne(x), 2), data.DataLoader(AtOnce(x), 2),
                   data.DataLoader(data.Subset(AtOnce(x), [0, 1]), 2),
                   data.DataLoader(AtOnce(x), 2, collate=collated),
                   data.DataLoader(ones, 2, transform=lambda _, rng: x),
                   data.DataLoader(ones, 2, transform=lambda _, rng: (x, x), workers=1)):
        for field in next(iter(loader)):
            assert field.dtype == dtype
            assert field.tolist() == [[1, 0], [0, 1]]


def test_a_transform_may_give_a_list_or_a_tensor():
    ones = data.TensorDataset(etude.ones(2))
    for transform in (lambda x, rng: x.tolist(), lambda x, rng: etude.tensor(x) * 1):
        ((x,),) = data.DataLoader(ones, 2, transform=transform)
        assert (x.dtype, x.tolist()) == (etude.float32, [1, 1])


def test_numbers_with_and_without_a_fraction_make_float32_in_any_order():
    for samples in ([(0.5,), (1,)], [(1,), (0.5,)], [([0.5, 1],), ([1, 2],)]):
        (x,) = next(iter(data.DataLoader(samples, 2)))
        assert x.dtype == etude.float32
    padded, _ = data.PadCollate()([([0.5, 1.0],), ([2.0],)])
    assert padded.dtype == np.float32


@pytest.mark.parametrize(("make", "message"), [
    (lambda: data.DataLoader(numbers(2), 2, transform=lambda x, rng: None),
     "the transform gave None as field 0; was a return forgotten"),
    (lambda: data.DataLoader(numbers(2), 2, transform=lambda x, rng: "text"),
     "the transform, field 0 of the batch: no tensor can be made from dtype"),
    (lambda: data.DataLoader(numbers(2), 2, transform=lambda x, rng: [[1], [1, 2]]),
     "the transform, field 0 of the batch: .*inhomogeneous"),
    (lambda: data.DataLoader(AtOnce(np.array(["a", "b"])), 2),
     r"batch\(\), field 0 of the batch: no tensor can be made from dtype"),
    (lambda: data.DataLoader(OneByOne(np.ones(2), np.array(["a", "b"])), 2),
     "field 1 of the samples: no tensor can be made from dtype"),
    (lambda: data.DataLoader(numbers(2), 2, collate=lambda samples: np.ones(2)),
     "collate gives the fields of a batch as a tuple of arrays; got ndarray"),
])
def test_what_makes_no_field_is_named(make, message):
    with pytest.raises(TypeError, match=message):
        next(iter(make()))


@pytest.mark.parametrize(("samples", "error", "message"), [
    ([(1, 2), (1,)], ValueError, "the same fields, but some have 1 and some 2"),
    ([(1,), 2], TypeError, "samples as tuples, such as .image, label.; got int"),
    ([1, 2], TypeError, "samples as tuples, such as .image, label.; got int"),
    ([(np.ones(2),), (np.ones(3),)], ValueError, r"field 0 has \[2\] and \[3\]"),
    ([("a",), ("b",)], TypeError, "no tensor can be made from dtype"),
])
def test_samples_that_make_no_batch_say_why(samples, error, message):
    with pytest.raises(error, match=message):
        next(iter(data.DataLoader(samples, 2)))


@pytest.mark.parametrize(("make", "message"), [
    (lambda: data.DataLoader(numbers(3), 0), "batch_size must be an integer >= 1, got 0"),
    (lambda: data.DataLoader(numbers(3), 2.0), "batch_size must be an integer >= 1, got 2.0"),
    (lambda: data.DataLoader([], 2), "the dataset is empty"),
    (lambda: data.DataLoader(numbers(3), 4, drop_last=True), "3 samples are fewer than batch"),
    (lambda: data.DataLoader(numbers(3), seed=-1), "a seed is an integer from 0"),
])
def test_a_loader_that_cannot_work_says_why(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("given", [
    (np.ones((4, 2)), np.zeros(4)), ((np.ones((4, 2)), np.zeros(4)),),
    ((etude.ones(4, 2), etude.zeros(4)), 2)])
def test_arrays_in_the_place_of_a_dataset_are_refused_by_what_makes_one(given):
    with pytest.raises(TypeError, match=r"DataLoader takes a dataset, got .*; write DataLoader\("
                                        r"TensorDataset\(tensor\(X\), tensor\(Y\)\)"):
        data.DataLoader(*given)


@pytest.mark.parametrize("ranks", [1, 2, 3, 5])
def test_the_parts_of_a_batch_make_the_batch(ranks):
    """In the order of one process; of a last batch of one sample all but one part are empty."""
    def loader(part=(0, 1)):
        samples = data.TensorDataset(etude.arange(13), etude.zeros(13, 2))
        made = data.DataLoader(samples, 4, shuffle=True, seed=3)
        made.part = part
        return made

    whole = [x.tolist() for x, _ in loader()]
    parts = [list(loader((rank, ranks))) for rank in range(ranks)]
    for batch, *found in zip(whole, *parts, strict=True):
        assert [i for x, _ in found for i in x.tolist()] == batch
        sizes = [len(x) for x, _ in found]
        assert max(sizes) - min(sizes) <= 1
        assert all(y.shape == (n, 2) for (_, y), n in zip(found, sizes, strict=True))


def test_a_part_has_the_numbers_that_a_transform_drew_for_the_whole():
    def noisy(x, rng):
        return x + rng.normal(size=x.shape)

    def batches(part):
        made = data.DataLoader(data.TensorDataset(etude.zeros(5, 2)), 5, transform=noisy, seed=1)
        made.part = part
        return next(iter(made))[0].tolist()

    assert batches((0, 2)) + batches((1, 2)) == batches((0, 1))


def test_samples_that_come_one_by_one_have_parts_too():
    class Plain:
        def __len__(self):
            return 3

        def __getitem__(self, i):
            return np.full(2, i, np.float32), i

    made = data.DataLoader(Plain(), 2)
    made.part = (0, 2)
    assert [(x.shape, y.tolist()) for x, y in made] == [((1, 2), [0]), ((0, 2), [])]
