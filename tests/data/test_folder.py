"""ImageFolder: one folder for each class, with and without Pillow."""

import struct
import sys
import zlib

import numpy as np
import pytest

from etude.data.folder import ImageFolder
from etude.data.loader import DataLoader

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20


def write(root, **files):
    """write(root, cat_1=bytes or an array): root/cat/1.pgm or root/cat/1.npy"""
    for name, content in files.items():
        folder, stem = name.split("_")
        (root / folder).mkdir(exist_ok=True)
        if isinstance(content, bytes):
            (root / folder / f"{stem}.pgm").write_bytes(content)
        else:
            np.save(root / folder / f"{stem}.npy", content)


def pgm(image, header=b"P5\n# made by a test\n%d %d\n255\n"):
    height, width = image.shape[:2]
    return header % (width, height) + image.tobytes()


def test_classes_are_the_folders_in_order(tmp_path):
    write(tmp_path, dog_2=pgm(GREY), cat_b=pgm(GREY), dog_1=pgm(255 - GREY))
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "README.txt").write_text("files beside the folders are no matter")
    (tmp_path / "cat" / ".DS_Store").write_bytes(b"")
    data = ImageFolder(tmp_path, mode="L")
    assert data.classes == ("cat", "dog")
    assert [(p.name, label) for p, label in data.samples] == [
        ("b.pgm", 0), ("1.pgm", 1), ("2.pgm", 1)]
    x, label = data[2]
    assert label == 1
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, GREY[None].astype(np.float32) / np.float32(255))
    assert repr(data).endswith("3 images, 2 classes)")


def test_arrays_and_ppm_need_no_pillow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    colour = np.stack([GREY, GREY // 2, 255 - GREY])  # (C, H, W)
    write(tmp_path, a_bytes=colour, a_floats=colour.astype(np.float32) / 255,
          a_ppm=pgm(np.ascontiguousarray(colour.transpose(1, 2, 0)), b"P6 %d %d 255\n"))
    data = ImageFolder(tmp_path)
    for i in range(3):
        np.testing.assert_allclose(data[i][0], colour / 255, rtol=1e-6)
    x, y = next(iter(DataLoader(data, batch_size=3)))
    assert x.shape == (3, 3, 3, 4)
    assert y.tolist() == [0, 0, 0]


def test_without_pillow_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    write(tmp_path, a_1=GREY)
    with pytest.raises(ImportError, match=r"resizing images needs Pillow: pip install 'etu"):
        ImageFolder(tmp_path, size=(8, 8))
    (tmp_path / "a" / "2.png").write_bytes(b"")
    with pytest.raises(ImportError, match=r"reading .png needs Pillow.* \.npy, \.pgm and \.ppm"):
        ImageFolder(tmp_path)


def test_png_and_jpeg_are_read_and_resized(tmp_path, pillow):
    from PIL import Image

    (tmp_path / "a").mkdir()
    colour = np.zeros((10, 20, 3), np.uint8)
    colour[:, 10:] = (255, 128, 0)
    Image.fromarray(colour).save(tmp_path / "a" / "1.png")
    Image.fromarray(colour).save(tmp_path / "a" / "2.JPG", quality=95)
    data = ImageFolder(tmp_path)
    np.testing.assert_array_equal(data[0][0], colour.transpose(2, 0, 1).astype(np.float32)
                                  / np.float32(255))
    np.testing.assert_allclose(data[1][0], data[0][0], atol=0.2)
    small = ImageFolder(tmp_path, size=(5, 6))[0][0]
    assert small.shape == (3, 5, 6)
    assert small[0, 0, 0] == 0
    assert small[0, 0, -1] == 1
    assert ImageFolder(tmp_path, mode="L")[0][0].shape == (1, 10, 20)


QUARTERS = np.array([[0, 0.25], [0.5, 1]], np.float32)


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize(("pixels", "suffix"), [
    (np.array([[0, 16384], [32768, 65535]], np.uint16), ".png"),
    (np.array([[0, 16384], [32768, 65535]], np.uint16), ".tif"),
    (np.array([[0, 16384], [32768, 65535]], ">u2"), ".tif"),
    (QUARTERS, ".tif"),
], ids=["PNG of 16 bits", "TIFF of 16 bits", "TIFF of 16 bits, big-endian", "TIFF of floats"])
def test_what_has_more_than_8_bits_is_scaled_and_not_clipped(tmp_path, pillow, pixels, suffix,
                                                             mode):
    from PIL import Image

    (tmp_path / "a").mkdir()
    Image.fromarray(pixels).save(tmp_path / "a" / f"1{suffix}")
    image, _ = ImageFolder(tmp_path, mode=mode)[0]
    assert image.dtype == np.float32
    assert image.shape == ({"L": 1, "RGB": 3}[mode], 2, 2)
    np.testing.assert_allclose(image, np.broadcast_to(QUARTERS, image.shape), atol=1e-5)
    half, _ = ImageFolder(tmp_path, size=(1, 1), mode=mode)[0]
    np.testing.assert_allclose(half, np.full_like(half, 1.75 / 4), atol=1e-3)


def test_a_tiff_of_12_bits_is_white_at_4095(tmp_path, pillow):
    (tmp_path / "a").mkdir()
    entries = [(256, 3), (257, 1), (258, 12), (259, 1), (262, 1), (273, 122), (277, 1), (278, 1),
               (279, 5)]  # a strip of 3 x 1 pixels at byte 122
    tiff = b"II*\x00\x08\x00\x00\x00" + struct.pack("<H", len(entries))
    tiff += b"".join(struct.pack("<HHII", tag, 3, 1, value) for tag, value in entries)
    tiff += b"\x00\x00\x00\x00" + bytes.fromhex("000fff4000")  # 0x000, 0xfff, 0x400
    (tmp_path / "a" / "1.tif").write_bytes(tiff)
    image, _ = ImageFolder(tmp_path, mode="L")[0]
    np.testing.assert_allclose(image, [[[0, 1, 1024 / 4095]]], rtol=1e-6)


@pytest.mark.parametrize(("pixels", "message"), [
    (QUARTERS * 255, r"from 0\.0 to 255\.0, and those of an image from 0 to 1"),
    (QUARTERS - 0.5, r"from -0\.5 to 0\.5"),
    (np.full((2, 2), np.nan, np.float32), "from nan to nan"),
    (np.array([[0, 16384], [32768, 65535]], np.int32), "32-bit or signed integers, and no file"),
])
def test_a_tiff_that_does_not_lie_from_0_to_1_is_named(tmp_path, pillow, pixels, message):
    from PIL import Image

    (tmp_path / "a").mkdir()
    Image.fromarray(pixels).save(tmp_path / "a" / "1.tif")
    with pytest.raises(ValueError, match=r"a/1\.tif: .*" + message):
        ImageFolder(tmp_path)[0]


def test_resizing_an_array_is_resizing_the_png(tmp_path, pillow):
    from PIL import Image

    write(tmp_path, a_1=GREY)
    Image.fromarray(GREY).save(tmp_path / "a" / "2.png")
    data = ImageFolder(tmp_path, size=(6, 8), mode="L")
    assert data[0][0].shape == (1, 6, 8)
    np.testing.assert_allclose(data[0][0], data[1][0], atol=1 / 255)


def test_a_size_is_one_number_or_two(tmp_path, pillow):
    write(tmp_path, a_1=GREY)
    assert ImageFolder(tmp_path, size=2, mode="L")[0][0].shape == (1, 2, 2)
    assert ImageFolder(tmp_path, size=[2, np.int64(3)], mode="L")[0][0].shape == (1, 2, 3)
    for wrong in (0, (1, 2, 3), 2.0):
        with pytest.raises(ValueError, match="ImageFolder: size must be one or two integers >= 1"):
            ImageFolder(tmp_path, size=wrong)


def test_a_png_cut_short_is_named(tmp_path, pillow):
    from PIL import Image

    (tmp_path / "a").mkdir()
    path = tmp_path / "a" / "1.png"
    noise = np.random.default_rng(0).integers(0, 256, (30, 30), np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(ValueError, match=r"a/1\.png: cannot be read as an image"):
        ImageFolder(tmp_path)[0]
    path.write_bytes(b"hello")
    with pytest.raises(ValueError, match=r"a/1\.png: cannot be read as an image"):
        ImageFolder(tmp_path)[0]


def test_folders_that_are_not_what_they_should_be(tmp_path):
    with pytest.raises(FileNotFoundError, match="ImageFolder: no folder"):
        ImageFolder(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="has no folders; it needs one for each class"):
        ImageFolder(tmp_path)
    (tmp_path / "cat").mkdir()
    with pytest.raises(FileNotFoundError, match="cat has no images"):
        ImageFolder(tmp_path)
    (tmp_path / "cat" / "notes.txt").write_text("")
    with pytest.raises(ValueError, match=r"notes.txt: not a kind of image .* It reads \.npy \.pgm"):
        ImageFolder(tmp_path)
    with pytest.raises(ValueError, match="mode is 'RGB' or 'L', got 'CMYK'"):
        ImageFolder(tmp_path, mode="CMYK")


@pytest.mark.parametrize(("content", "message"), [
    (GREY.astype(np.int32), r"an image is uint8 .* this is int32\[3, 4\]"),
    (GREY[None, None], r"this is uint8\[1, 1, 3, 4\]"),
    (pgm(GREY)[:-1], r"4 x 3 pixels of 1 x 8 bits take 12 bytes, the file has 11"),
    (pgm(GREY) + b"x", r"take 12 bytes, the file has 13"),
    (b"P5 4 3 65535\n" + GREY.tobytes() * 2, r"values up to 65535, where at most 255 is read"),
    (b"P2 4 3 255\n1 2 3", r"not a binary PGM or PPM image \(it must start with P5 or P6"),
    (b"P5 4 x 255\n", r"not a binary PGM"),
    (b"P5 # endless", r"not a binary PGM"),
    (b"", r"not a binary PGM"),
    (GREY.astype(np.float32), r"its numbers go from 0\.0 to 220\.0"),
    (np.full((3, 4), np.nan, np.float32), r"its numbers go from nan to nan"),
    (GREY.astype(np.uint16), r"an image is uint8 .* this is uint16"),
    (b"P5 4 3 100\n" + GREY.tobytes(), r"its numbers go from 0\.0 to 2\.2"),
    (np.stack([GREY, GREY]), r"2 channels, but mode='L' has 1; convert the file or"),
])
def test_damaged_images_are_named(tmp_path, content, message):
    write(tmp_path, a_1=content)
    with pytest.raises(ValueError, match=r"a/1\.(npy|pgm): .*" + message):
        ImageFolder(tmp_path, mode="L")[0]


def test_no_pickle_is_ever_loaded(tmp_path):
    write(tmp_path, a_1=np.array([{}], object))
    with pytest.raises(ValueError, match=r"1\.npy: cannot be read as an array: Object arrays"):
        ImageFolder(tmp_path)[0]
    (tmp_path / "a" / "1.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(ValueError, match=r"1\.npy: cannot be read as an array"):
        ImageFolder(tmp_path)[0]


# ------------------------------------------------------------------ headers that promise too much


def npy(header):
    """A .npy file with this text as its header, and 12 bytes of numbers."""
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode() + bytes(12)


@pytest.mark.parametrize(("header", "message"), [
    ("(1099511627776, 1099511627776)", r"takes 1,208,925,819,614,629,174,706,176 bytes after"),
    ("(2, 3)", r"uint8\[2, 3\] takes 6 bytes after the header, the file has 12"),
    ("(0, 12)", "and an image has at least one"),
    ("(-3, -4, 1)", "cannot be read as an array: its sizes are those of no array"),
    ("(1, 0x" + "f" * 5000 + ")", "cannot be read as an array: its sizes are those of no array"),
    ("(" + "1, " * 65 + ")", r"an image is uint8 .* this is uint8\[1, 1"),
    ("(" * 5000, "cannot be read as an array"),
    ("(3, 1e400)", "cannot be read as an array"),
])
def test_an_array_whose_header_does_not_fit_the_file_is_refused_before_it_is_made(
        tmp_path, header, message):
    (tmp_path / "a").mkdir()
    path = tmp_path / "a" / "1.npy"
    path.write_bytes(npy(f"{{'descr': '|u1', 'fortran_order': False, 'shape': {header}}}\n"))
    with pytest.raises(ValueError, match=rf"a/1\.npy: .*({message})"):
        ImageFolder(tmp_path, mode="L")[0]


def test_an_archive_of_arrays_is_no_image(tmp_path):
    (tmp_path / "a").mkdir()
    with open(tmp_path / "a" / "1.npy", "wb") as file:
        np.savez(file, image=GREY)
    with pytest.raises(ValueError, match=r"a/1\.npy: cannot be read as an array: the magic string"):
        ImageFolder(tmp_path)[0]


def png_of(width, height):
    """A PNG that is said to be so large; what follows the header is that of one pixel."""
    def chunk(kind, body):
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    header = struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
            + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b""))


@pytest.mark.parametrize(("width", "height"), [(2**31 - 1, 2**31 - 1), (60_000, 60_000),
                                               (12_000, 12_000), (5_793, 5_793)])
def test_an_image_of_too_many_pixels_is_refused_before_there_is_memory_for_them(
        tmp_path, pillow, width, height):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").write_bytes(png_of(width, height))
    with pytest.raises(ValueError, match=r"a/1\.png: .*(decompression bomb|pixels, where an im)"):
        ImageFolder(tmp_path)[0]
    (tmp_path / "a" / "1.png").write_bytes(png_of(1, 1))
    assert ImageFolder(tmp_path, mode="L")[0][0].shape == (1, 1, 1)


def test_a_gif_with_a_frame_larger_than_its_screen_is_refused(tmp_path, pillow):
    from PIL import Image

    (tmp_path / "a").mkdir()
    path = tmp_path / "a" / "1.gif"
    Image.fromarray(GREY).save(path)
    data = path.read_bytes()
    at = data.index(b",\0\0\0\0") + 5  # the size of the frame
    path.write_bytes(data[:at] + struct.pack("<HH", 60_000, 2_000) + data[at + 4 :])
    with pytest.raises(ValueError, match=r"a/1\.gif: .*(decompression bomb|60000 x 2000 pixels)"):
        ImageFolder(tmp_path)[0]


def test_of_several_frames_the_first_is_the_image(tmp_path, pillow):
    from PIL import Image

    (tmp_path / "a").mkdir()
    others = [Image.fromarray(255 - GREY)] * 50
    Image.fromarray(GREY).save(tmp_path / "a" / "1.gif", save_all=True, append_images=others)
    np.testing.assert_allclose(ImageFolder(tmp_path, mode="L")[0][0], GREY[None] / 255, atol=1e-6)


def test_a_file_that_only_calls_itself_an_image_is_given_to_no_other_decoder(tmp_path, pillow):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    with pytest.raises(ValueError, match=r"a/1\.png: cannot be read as an image: cannot identify"):
        ImageFolder(tmp_path)[0]


def test_an_image_that_is_gone_is_not_called_damaged(tmp_path, pillow):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").write_bytes(png_of(1, 1))
    folder = ImageFolder(tmp_path)
    (tmp_path / "a" / "1.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"a/1\.png"):
        folder[0]


@pytest.mark.parametrize("size", [b"0 3", b"4 0", b"9999999999 3", b"99999999 99999999",
                                  b"9" * 5000 + b" 3"])
def test_a_pgm_of_no_size_or_of_too_large_a_one_is_named(tmp_path, size):
    write(tmp_path, a_1=b"P5 " + size + b" 255\n")
    with pytest.raises(ValueError, match=r"a/1\.pgm: .*(not a binary PGM|where an image has from)"):
        ImageFolder(tmp_path, mode="L")[0]


def test_a_tiff_of_floats_that_are_no_numbers_is_named(tmp_path, pillow):
    from PIL import Image

    (tmp_path / "a").mkdir()
    signalling = np.frombuffer(b"\1\0\x80\x7f" * 4, np.float32).reshape(2, 2)
    Image.fromarray(signalling).save(tmp_path / "a" / "1.tif")
    with pytest.raises(ValueError, match=r"a/1\.tif: its numbers go from nan to nan"):
        ImageFolder(tmp_path)[0]
