"""Damage to a file, drawn from a seed: what disks, networks, editors and people do to bytes.

``mutant(valid, seed, number)`` is the whole of it. The same numbers give the same bytes again.
"""

import random
import re

#: Sizes, counts and offsets of a header, beyond all sense or just at an edge.
EXTREMES = (0, 1, -1, 2**7, 2**8 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**62,
            2**63 - 1, 2**63, 2**64 - 1)
#: The same in text, and what is no number.
WORDS = (b"0", b"-1", b"1.5", b"2147483648", b"9223372036854775808", b"1" + b"0" * 5000, b"1e999",
         b"-1e999", b"NaN", b"nan", b"inf", b"Infinity", b"null", b"true", b"false", b'""', b"''",
         b"[]", b"{}", b"0xfff", b"0x" + b"f" * 5000, b"1e-400", b"1979-05-27", b"\\ud800",
         b"\xff", b"\0", b"\xf0\x9f\x98\x80")
OPENING = (b"[", b"{", b"(", b'{"a":', b"a.", b'"', b"#", b",", b"\n", b"-", b"0")
TOKEN = re.compile(rb"[A-Za-z_]+|\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|[^\sA-Za-z_\d]")
HEADER = 128  # bytes from the start where a format keeps its sizes


def mutant(valid, seed, number):
    """The bytes of a valid file after one to four changes."""
    draw = random.Random(f"{seed} {number}")
    data = valid
    for _ in range(draw.choice((1, 1, 1, 2, 2, 3, 4))):
        share_of_text = 0.75 if _is_text(data) else 0.25  # headers hold text in other files too
        data = draw.choice(TEXT if draw.random() < share_of_text else BYTES)(data, draw)
    return data


def _is_text(data):
    return b"\0" not in data[:200]


def _place(data, draw):
    """An offset, more often in the header than behind it."""
    end = len(data) if draw.random() < 0.5 else min(len(data), HEADER)
    return draw.randrange(end + 1)


def _piece(data, draw):
    start = _place(data, draw)
    return start, start + draw.choice((1, 2, 4, 8, 16, 100, 1000, len(data)))


# ------------------------------------------------------------------ changes of any bytes


def flip_bits(data, draw):
    out = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 8, 64)) if out else 0):
        out[min(_place(data, draw), len(out) - 1)] ^= 1 << draw.randrange(8)
    return bytes(out)


def insert(data, draw):
    at = _place(data, draw)
    return data[:at] + draw.randbytes(draw.choice((1, 2, 4, 37, 1000))) + data[at:]


def delete(data, draw):
    start, end = _piece(data, draw)
    return data[:start] + data[end:]


def cut_short(data, draw):
    return data[: _place(data, draw)]


def duplicate(data, draw):
    start, end = _piece(data, draw)
    return data[:end] + data[start:end] * draw.choice((1, 1, 2, 50)) + data[end:]


def blank(data, draw):
    start, end = _piece(data, draw)
    return data[:start] + draw.choice((b"\0", b"\xff")) * len(data[start:end]) + data[end:]


def edit_a_number(data, draw):
    """An integer of 1 to 8 bytes, in either order, becomes an extreme one."""
    width = draw.choice((1, 2, 4, 4, 8))
    at = _place(data, draw)
    value = draw.choice(EXTREMES) % (1 << 8 * width)
    return data[:at] + value.to_bytes(width, draw.choice(("little", "big"))) + data[at + width :]


BYTES = (flip_bits, insert, delete, cut_short, duplicate, blank, edit_a_number, edit_a_number)

# ------------------------------------------------------------------ changes of text


def _tokens(data, draw):
    """Some of the places of the tokens; all of them would take long in a large file."""
    start = draw.randrange(len(data) + 1) if draw.random() < 0.5 else 0
    found = [m.span() for m in TOKEN.finditer(data, start, start + 2000)]
    return found or [(0, 0)]


def replace_a_token(data, draw):
    start, end = draw.choice(_tokens(data, draw))
    return data[:start] + draw.choice(WORDS) + data[end:]


def replace_a_number(data, draw):
    numbers = [(a, b) for a, b in _tokens(data, draw) if data[a:b][:1].isdigit()]
    start, end = draw.choice(numbers or [(0, 0)])
    return data[:start] + draw.choice(WORDS) + data[end:]


def swap_tokens(data, draw):
    tokens = _tokens(data, draw)
    (a, b), (c, d) = sorted((draw.choice(tokens), draw.choice(tokens)))
    if c < b:
        return data
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def copy_a_token(data, draw):
    tokens = _tokens(data, draw)
    (a, b), (c, d) = draw.choice(tokens), draw.choice(tokens)
    return data[:c] + data[a:b] + data[d:]


def drop_a_token(data, draw):
    start, end = draw.choice(_tokens(data, draw))
    return data[:start] + data[end:]


def nest(data, draw):
    """One token again and again: lists in lists in lists."""
    start, _ = draw.choice(_tokens(data, draw))
    return data[:start] + draw.choice(OPENING) * draw.choice((2, 100, 3000, 100_000)) + data[start:]


def swap_lines(data, draw):
    lines = data.splitlines(keepends=True)
    if len(lines) > 1:
        i, j = draw.randrange(len(lines)), draw.randrange(len(lines))
        lines[i], lines[j] = lines[j], lines[i]
    return b"".join(lines)


TEXT = (replace_a_token, replace_a_number, replace_a_number, swap_tokens, copy_a_token,
        drop_a_token, nest, swap_lines)
