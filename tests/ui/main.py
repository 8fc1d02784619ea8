"""Runs the tests of the window, one after another, and says how many passed."""

import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))


def main():
    import desktop

    desktop.begin()
    manager = subprocess.Popen(["openbox"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        loader = unittest.TestLoader()
        if sys.argv[1:]:
            suite = loader.loadTestsFromNames(sys.argv[1:])
        else:
            suite = loader.discover(str(Path(__file__).parent), pattern="test_*.py")
        result = unittest.TextTestRunner(verbosity=2).run(suite)
    finally:
        manager.terminate()
        manager.wait()
    # One whose cleanup fails, too, is one.
    failed = len({test.id() for test, _ in result.failures + result.errors})
    skipped = len(result.skipped)
    for test, why in result.skipped:
        print(f"SKIPPED: {test}: {why}", file=sys.stderr)
    passed = result.testsRun - failed - skipped
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed or not result.testsRun else 0)


main()
