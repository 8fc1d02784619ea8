"""What `make bench` measures of the window: how soon it is there, what it takes."""

import os
import select
import statistics
import subprocess
import time

from cellar import PROGRAMS, WindowTest, wait

RUNS = 9
IDLE_SECONDS = 30


def tell(what, figure, limit, aim):
    met = "MISSED" if figure > limit else "met" if figure > aim else "met, and its aim"
    print(f"{met:<17} the window, {what}: {figure:.2f} <= {limit} (aim: {aim})", flush=True)


class Figures(WindowTest):
    def test_first_frame(self):
        stick = self.practice()
        times = []
        # Once more, for what is read from the disk the first time.
        for _ in range(RUNS + 1):
            window = self.folder()
            env = {**os.environ, "HOME": str(window), "XDG_DATA_HOME": str(window), "G_MESSAGES_DEBUG": "sugar-cellar"}
            began = time.monotonic()
            process = subprocess.Popen([PROGRAMS / "sugar-cellar", stick], env=env, stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            self.addCleanup(process.stdout.close)
            said = b""
            while b"first frame" not in said:
                self.assertTrue(select.select([process.stdout], [], [], 20)[0], said)
                said += os.read(process.stdout.fileno(), 4096)
            times.append((time.monotonic() - began) * 1000)
            process.terminate()
            process.wait(10)
        tell("first frame, ms", statistics.median(times[1:]), 400, 300)

    def test_memory_and_idle_time(self):
        window = self.window(self.practice())
        wait(window.gauge, "a gauge")
        pids = [window.process.pid, *window.helpers()]
        time.sleep(3)
        ticks = sum(map(self.used, pids))
        time.sleep(IDLE_SECONDS)
        ticks = sum(map(self.used, pids)) - ticks
        share = ticks / os.sysconf("SC_CLK_TCK") / IDLE_SECONDS * 100
        tell("idle with a live gauge, helper included, % of a core", share, 0.3, 0.3)
        with open(f"/proc/{window.process.pid}/status") as status:
            peak = next(line for line in status if line.startswith("VmHWM"))
        tell("peak memory, MiB", int(peak.split()[1]) / 1024, 150, 150)

    def used(self, pid):
        with open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rsplit(")")[-1].split()
        return int(fields[11]) + int(fields[12])
