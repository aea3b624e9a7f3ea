"""One hand-in through its checks: the answer is asked in a worker, and judged here, afterwards."""
