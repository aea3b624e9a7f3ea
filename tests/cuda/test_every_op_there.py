"""Every op of the device column agrees with the reference, however its operands lie, while the
host cannot reach the device's memory.
"""

import subprocess
import sys
from pathlib import Path

CASES = Path(__file__).with_name("device_cases.py")


def test_every_op_agrees_in_every_layout_and_no_host_code_touches_an_array(lab_column, monkeypatch):
    monkeypatch.setenv("LAB_NO_TOUCH", "1")
    done = subprocess.run([sys.executable, str(CASES), "gpu-lab", "layouts"], capture_output=True,
                          text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    calls, wrong = done.stdout.splitlines()[-1].split(", ")
    assert wrong == "0 ops wrong", done.stdout
    assert int(calls.split()[0]) > 900


def test_every_op_that_the_table_has_a_kernel_for_is_there(lab_column):
    sys.path.insert(0, str(CASES.parents[1] / "cpu"))
    from cpu_cases import calls

    missing = {name for name, _, _ in calls("float32")} - set(lab_column.ops)
    assert not missing
    for name in ("embedding", "gather", "contiguous", "cat", "one_hot"):
        assert "int64" in lab_column.dtypes[name] or name in ("embedding", "gather"), name
