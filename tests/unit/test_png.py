"""PNG files of 16 bits, read by programs that are not this one."""

import io

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from sfsr_model.png import encode_png16


@pytest.mark.parametrize("channels", [3, 4])
def test_every_value_comes_back(channels):
    picture = torch.rand(5, 7, channels, generator=torch.Generator().manual_seed(0))
    picture[0, 0], picture[0, 1] = -0.5, 1.5
    read = cv2.imdecode(np.frombuffer(encode_png16(picture), np.uint8), cv2.IMREAD_UNCHANGED)
    assert read.dtype == np.uint16
    order = [2, 1, 0, 3][:channels]  # OpenCV's is blue first
    assert np.abs(read[..., order] / 65535 - picture.clamp(0, 1).numpy()).max() <= 0.5 / 65535 + 1e-6


def test_texts_are_read_where_pillow_looks_for_them():
    coded = encode_png16(torch.zeros(2, 3, 3), [(b"tEXt", b"prompt\0{}")])
    with Image.open(io.BytesIO(coded)) as picture:
        picture.load()
        assert (picture.size, picture.text) == ((3, 2), {"prompt": "{}"})


def test_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"expected \[H, W, 3 or 4\], found shape \(2, 2, 1\)"):
        encode_png16(torch.zeros(2, 2, 1))
