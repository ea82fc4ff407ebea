"""Reading files: what was read outlives them, and a change is noticed."""

import os
import subprocess
import sys

import torch
from safetensors.torch import save_file

from sfsr_model.files import read_metadata, read_tensors, state_of


def test_tensors_outlive_a_file_that_is_cut_off(tmp_path):
    path = tmp_path / "ones.safetensors"
    save_file({"ones": torch.ones(1 << 16)}, path, metadata={"who": "me"})
    # In a process of its own, which a window into the file would end.
    code = f"""
import os
from pathlib import Path
from sfsr_model.files import read_tensors
tensors = read_tensors(Path({str(path)!r}))
os.truncate({str(path)!r}, 100)
print(tensors["ones"].sum().item())
"""
    assert read_metadata(path) == {"who": "me"}
    assert read_tensors(path)["ones"].shape == (1 << 16,)
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    assert float(answer.stdout) == 1 << 16


def test_a_file_written_anew_has_another_state(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"1234")
    other.write_bytes(b"1234")
    before = state_of(one, other)
    assert state_of(one, other) == before
    stat = other.stat()
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert state_of(one, other) != before
    assert state_of(one) == before[:1]
