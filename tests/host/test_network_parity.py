"""ComfyUI's UNet, inpainting path and autoencoder give what diffusers' do on the same weights."""

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_host_and_plain_pytorch_agree(host_path, host_version):
    """scripts/compare_networks.py fails where anything differs by more than 1e-4 of the largest value."""
    command = [sys.executable, str(REPOSITORY / "scripts" / "compare_networks.py"), "--comfyui", str(host_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ComfyUI {host_version}:\n{done.stdout}\n{done.stderr[-2000:]}"
    rows = [line.split("|")[1:3] for line in done.stdout.splitlines()[2:]]
    assert [name.strip() for name, _ in rows] == ["latents", "decoded pictures", "x0 from eps", "x0 from v"]
    assert all(float(difference) <= 1e-4 for _, difference in rows)
