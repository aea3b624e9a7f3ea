"""What goes wrong on a device is one clear error of ours, and the next call works."""

FORKED = """
import os
import etude
x = etude.ones(3, device="gpu-lab")
pid = os.fork()
if not pid:
    try:
        x * 2
        os._exit(1)
    except RuntimeError as error:
        print(error, flush=True)
        os._exit(0 if "forked" in str(error) else 2)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), (x * 2).tolist())
"""


def test_a_child_of_a_process_that_used_the_device_is_told_so(fresh, lab_column):
    done = fresh(FORKED)
    assert done.stdout.splitlines()[-1] == "0 [2.0, 2.0, 2.0]", done.stdout + done.stderr
