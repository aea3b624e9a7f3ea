#!/usr/bin/env bash
# The C kernels rebuilt with a sanitizer and run through the conformance kit (smoke; with the thread sanitizer its
# kind of cases "threads") and the tests of what the kit does not see, the host and replays; `tox -e sanitizers` calls it twice:
#   sanitize.sh address,undefined [pytest arguments]      out of bounds, use after free, overflow, bad shifts
#   sanitize.sh thread [pytest arguments]                 data races between the threads of the pool
# Python is not instrumented, so the sanitizer's runtime must be in memory before it starts; leaks are not
# looked for, since the interpreter keeps memory until it exits. The first report ends the run.
set -euo pipefail
kind=$1
shift
cc=${CC:-gcc}
isa=portable # one instruction set is enough to find what C gets wrong; AVX2 where the machine has it
! grep -qw avx2 /proc/cpuinfo || isa=avx2

echo "Building the C kernels ($isa) with -fsanitize=$kind"
CFLAGS="-fsanitize=$kind -fno-sanitize-recover=all -fno-omit-frame-pointer -g -O1" \
  LDFLAGS="-fsanitize=$kind" \
  python -m pip install -qq --no-deps --force-reinstall \
    --config-settings="build-dir=build/sanitize-${kind%%,*}" \
    --config-settings=cmake.build-type=Debug \
    --config-settings=cmake.define.ETUDE_ISAS="$isa" ./plugins/etude-cpu

runtime() { "$cc" -print-file-name="lib$1.so"; }
case $kind in
  thread) preload=$(runtime tsan) ;;
  *) preload="$(runtime asan) $(runtime ubsan)" ;;
esac
# The quarantine of freed memory would look like a leak to the kit.
export ASAN_OPTIONS=detect_leaks=0:halt_on_error=1:quarantine_size_mb=1
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:die_after_fork=0
# NumPy's BLAS synchronises its threads in ways the thread sanitizer cannot see: give it one.
export OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1
[ "$kind" = thread ] && kinds=(--kinds threads) || kinds=()
python tests/sanitize_kit.py "$kind" "$preload" "${kinds[@]}"
LD_PRELOAD=$preload python -m pytest -p no:cacheprovider -q --capture=sys tests/cpu/test_{host,library}.py tests/replay/native tests/replay/passes/test_fuse.py "$@"
