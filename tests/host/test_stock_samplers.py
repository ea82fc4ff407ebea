"""The samplers that the solver comparison calls stock are ComfyUI's."""

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_stock_samplers_are_the_hosts(host_path, host_version):
    """scripts/compare_samplers.py fails where a result differs by more than 1e-4, or takes another number of evaluations."""
    command = [sys.executable, str(REPOSITORY / "scripts" / "compare_samplers.py"), "--comfyui", str(host_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ComfyUI {host_version}:\n{done.stdout}\n{done.stderr[-2000:]}"
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines()[2:]]
    assert [name for name, *_ in rows] == ["euler", "heun", "dpm_2", "dpmpp_2m", "uni_pc"]
    assert all(float(difference) <= 1e-4 for _, *differences in rows for difference in differences)
