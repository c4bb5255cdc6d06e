#!/usr/bin/python3
"""Writes image_golden.txt: images and what preprocessing must make of them, computed here with
numpy in double precision, from the words of engine/image.h and not from its code.

A case is one line of settings, one of pixels (as they lie in memory, stride included) and one of
the expected numbers. Run: make_golden.py > image_golden.txt"""
import numpy as np

CASES = [
    # name, image (w, h, channels, extra bytes a row), input (w, h, color, crop)
    ("same", (5, 4, 3, 0), (5, 4, "rgb", "none")),
    ("up", (3, 2, 3, 0), (7, 5, "rgb", "none")),
    ("down", (11, 9, 3, 0), (4, 3, "rgb", "none")),
    ("far_down", (40, 30, 1, 0), (3, 3, "gray", "none")),
    ("one_pixel", (1, 1, 3, 0), (4, 4, "rgb", "none")),
    ("to_one_pixel", (6, 5, 3, 0), (1, 1, "rgb", "none")),
    ("wide_crop", (13, 4, 3, 0), (3, 4, "rgb", "center")),
    ("tall_crop", (4, 13, 3, 0), (5, 3, "rgb", "center")),
    ("odd_crop", (10, 7, 1, 0), (6, 6, "gray", "center")),
    ("no_crop_needed", (8, 6, 3, 0), (4, 3, "rgb", "center")),
    ("thin_crop", (1, 50, 1, 0), (30, 1, "gray", "center")),
    ("stride", (5, 4, 3, 9), (4, 6, "rgb", "none")),
    ("gray_stride", (7, 3, 1, 1), (3, 5, "gray", "center")),
    ("gray_to_rgb", (6, 5, 1, 0), (5, 4, "rgb", "none")),
    ("gray_to_bgr", (6, 5, 1, 2), (5, 4, "bgr", "none")),
    ("rgb_to_gray", (6, 5, 3, 0), (5, 4, "gray", "none")),
    ("rgb_to_bgr", (6, 5, 3, 0), (5, 4, "bgr", "none")),
    ("same_bgr", (5, 4, 3, 2), (5, 4, "bgr", "none")),
    ("same_after_crop", (9, 4, 3, 0), (5, 4, "rgb", "center")),
    ("same_gray", (4, 7, 1, 3), (4, 5, "gray", "center")),
]
MEAN, STD = [0.5, 0.4, 0.3], [0.25, 0.2, 0.3]


def resize_matrix(src, dst):
    """Rows of weights: half-pixel centres, edges repeated."""
    m = np.zeros((dst, src))
    for d in range(dst):
        at = (d + 0.5) * src / dst - 0.5
        low = int(np.floor(at))
        share = at - low
        m[d, min(max(low, 0), src - 1)] += 1 - share
        m[d, min(max(low + 1, 0), src - 1)] += share
    return m


def crop(image, width, height):
    h, w = image.shape[:2]
    if w * height > h * width:
        part = max(1, h * width // height)
        x = (w - part) // 2
        return image[:, x:x + part]
    part = max(1, w * height // width)
    y = (h - part) // 2
    return image[y:y + part]


def expected(image, width, height, color, how):
    v = image.astype(np.float64)
    if how == "center":
        v = crop(v, width, height)
    rows, columns = resize_matrix(v.shape[0], height), resize_matrix(v.shape[1], width)
    v = np.einsum("ab,bcd,ec->aed", rows, v, columns)
    if color == "gray" and v.shape[2] == 3:
        v = (v @ np.array([0.299, 0.587, 0.114]))[:, :, None]
    if color != "gray" and v.shape[2] == 1:
        v = np.repeat(v, 3, axis=2)
    if color == "bgr":
        v = v[:, :, ::-1]
    n = v.shape[2]
    return (v / 255 - np.array(MEAN[:n])) / np.array(STD[:n])


def main():
    rng = np.random.RandomState(20)
    for name, (w, h, c, extra), (width, height, color, how) in CASES:
        memory = rng.randint(0, 256, size=(h, w * c + extra), dtype=np.uint8)
        image = memory[:, :w * c].reshape(h, w, c)
        out = expected(image, width, height, color, how)
        stride = 0 if extra == 0 else w * c + extra
        print(name, w, h, c, stride, memory.size, width, height, color, how, out.size)
        print(*memory.reshape(-1))
        print(*["%.9g" % x for x in out.reshape(-1)])


main()
