"""The node in docs/extending.md is a node of the pack once its file is there and named."""

import re

from harness.server import REPOSITORY

PAGE = (REPOSITORY / "docs" / "extending.md").read_text(encoding="utf-8")
FAMILY = "expression_wink"


def test_the_examples_node_loads_and_runs(in_host, copy_of_pack, tmp_path):
    (code,) = [code for code in re.findall(r"(?s)```python\n(.*?)```", PAGE) if "comfy_api" in code]
    assert f"`nodes/{FAMILY}.py`" in PAGE
    copy = copy_of_pack(tmp_path / "pack")
    (copy / "nodes" / f"{FAMILY}.py").write_text(code, encoding="utf-8")
    gathered = copy / "nodes" / "__init__.py"
    text = gathered.read_text(encoding="utf-8")
    gathered.write_text(text.replace('    "expression",\n', f'    "expression",\n    "{FAMILY}",\n'), encoding="utf-8")
    answer = in_host(
        f"""
        pack = load({str(copy)!r})
        print("SFSRWink" in node_ids(pack))
        wink = sys.modules[pack.__name__ + ".nodes.{FAMILY}"].SFSRWink
        (expression,) = wink.execute(0.5).args
        print(expression.coefficients.max().item())
        """
    )
    assert answer.stdout.split()[-2:] == ["True", "0.5"]
