"""All sticks at once: chosen, refreshed one after another or side by side, and a receipt."""

import csv
import hashlib
import json
import os
import subprocess
import time
import unittest
from pathlib import Path

import store
from cellar import HELPER, WindowTest, called, key, wait


def fill(stick):
    said = subprocess.run([HELPER, "status", stick, "--json"], check=True, capture_output=True).stdout
    return json.loads(said)["overlay"]["percent"]


def sum_of(stick):
    return hashlib.sha256((stick / "LiveOS/squashfs.img").read_bytes()).hexdigest()


class Table(WindowTest):
    def laid(self, *sticks, **options):
        window = self.window(*sticks, **options)
        wait(window.gauge, "a gauge")
        window.front()
        key("ctrl+t")
        window.shows("All Sticks at Once")
        return window

    def test_what_needs_it_is_chosen_and_one_failure_stops_none(self):
        ana, bo, cy = self.practice("Ana"), self.practice("Bo"), self.practice("Cy")
        for stick in (ana, cy):
            store.fill(stick, 80)
        window = self.laid(ana, bo, cy)
        # Bo has plenty of room.
        wait(lambda: window.usable("Refresh 2 Sticks"), "two that need it")
        # Ana's image is cut off meanwhile, as when a stick breaks.
        image = ana / "LiveOS/squashfs.img"
        with open(image, "r+b") as file:
            file.truncate(image.stat().st_size // 2)
        window.press("Refresh 2 Sticks")
        window.shows("Not All Are Done", patience=120)
        window.shows("1 of 2 sticks are refreshed")
        self.assertGreater(fill(bo), 40)
        self.assertLess(fill(cy), 1)
        window.shows("Refreshed: ")

    def test_a_receipt_is_kept(self):
        ana, bo = self.practice("Ana"), self.practice("=Bo")
        for stick in (ana, bo):
            store.fill(stick, 80)
        window = self.laid(ana, bo)
        wait(lambda: window.usable("Refresh 2 Sticks"), "two that need it")
        window.press("Refresh 2 Sticks")
        window.shows("All Done", patience=120)
        folder = self.folder()
        window.front()
        # The button has the keyboard already.
        key("Return")
        window.choose(folder)
        wait(lambda: len(list(folder.iterdir())) == 2, "a page and a list")
        with open(next(folder.glob("*.csv")), newline="") as file:
            rows = sorted(csv.DictReader(file), key=lambda row: row["Stick"])
        self.assertEqual([row["Stick"] for row in rows], ["'=Bo", "Ana"])
        for row in rows:
            self.assertEqual(row["Outcome"], "refreshed")
            self.assertAlmostEqual(float(row["Full before, %"]), 80, delta=1)
            self.assertLess(float(row["Full after, %"]), 1)
        self.assertEqual([row["SHA-256 of the image"] for row in rows], [sum_of(bo), sum_of(ana)])
        page = next(folder.glob("*.html")).read_text()
        self.assertIn("<td>=Bo</td>", page)
        self.assertIn(f"<td>{sum_of(ana)}</td>", page)

    def test_it_is_stopped_after_one(self):
        ana, bo = self.practice("Ana"), self.practice("Bo")
        for stick in (ana, bo):
            store.fill(stick, 80)
        # Slow enough that it can be stopped in time.
        helper = self.folder() / "helper"
        helper.write_text(f'#!/bin/sh\n[ "$1" != refresh ] || sleep 5\nexec "{HELPER}" "$@"\n')
        helper.chmod(0o755)
        window = self.laid(ana, bo, env={"SUGAR_CELLAR_HELPER": str(helper)})
        wait(lambda: window.usable("Refresh 2 Sticks"), "two that need it")
        window.press("Refresh 2 Sticks")
        window.press("Stop After This Stick")
        window.shows("1 of 2 sticks are refreshed", patience=120)
        window.shows("left as it was")
        done, left = sorted(fill(stick) for stick in (ana, bo))
        self.assertLess(done, 1)
        self.assertGreater(left, 70)
        key("alt+Left")
        wait(window.gauge, "the gauge again")

    def noting(self, **ports):
        """As `plugged`; each refresh takes seconds, and notes when it begins and ends."""
        turns = self.folder() / "turns"
        turns.touch()
        self.turns = lambda: turns.read_text().split("\n")[:-1]
        return self.plugged(ports, f"""name=${{2##*/}}
echo "+ $name" >>"{turns}"
sleep 2
"{HELPER}" "$@"
status=$?
echo "- $name" >>"{turns}"
exit $status""")

    def together(self):
        """Which were at work at the same time."""
        now, pairs = set(), set()
        for line in self.turns():
            sign, name = line.split()
            if sign == "+":
                pairs |= {"".join(sorted((name, other))) for other in now}
                now.add(name)
            else:
                now.remove(name)
        return pairs

    @unittest.skipIf(len(os.sched_getaffinity(0)) < 2, "one processor: one at a time")
    def test_ports_go_side_by_side_and_a_hub_takes_turns(self):
        sticks, env = self.noting(A="1-4.1", B="1-4.2", C="2-1")
        for stick in sticks.values():
            store.fill(stick, 80)
        window = self.laid(env=env)
        wait(lambda: window.usable("Refresh 3 Sticks"), "three that need it")
        # One that fails stops none beside it or behind it.
        image = sticks["A"] / "LiveOS/squashfs.img"
        with open(image, "r+b") as file:
            file.truncate(image.stat().st_size // 2)
        window.press("Refresh 3 Sticks")
        window.find("Stop After These Sticks", "push button")
        window.shows("2 of 3 sticks are refreshed", patience=120)
        self.assertIn("AC", self.together())
        self.assertNotIn("AB", self.together())
        self.assertLess(fill(sticks["B"]), 1)
        self.assertLess(fill(sticks["C"]), 1)
        folder = self.folder()
        window.front()
        key("Return")
        window.choose(folder)
        wait(lambda: len(list(folder.iterdir())) == 2, "a page and a list")
        with open(next(folder.glob("*.csv")), newline="") as file:
            rows = list(csv.DictReader(file))
        # As on the table, whoever was done first.
        self.assertEqual([row["Stick"] for row in rows], ["A", "B", "C"])
        sums = [row["SHA-256 of the image"] for row in rows]
        self.assertEqual(sums, ["", sum_of(sticks["B"]), sum_of(sticks["C"])])

    @unittest.skipIf(len(os.sched_getaffinity(0)) < 2, "one processor: one at a time")
    def test_side_by_side_is_switched_off_and_stopped(self):
        sticks, env = self.noting(A="1-1", B="1-2", C="1-3")
        for stick in sticks.values():
            store.fill(stick, 80)
        window = self.laid(env=env)
        wait(lambda: window.usable("Refresh 3 Sticks"), "three that need it")
        # GTK 4.8 calls a switch a toggle button.
        switch = next(node for node in window.nodes() if called(node) == "Several at Once"
                      and node.get_role_name() in ("check box", "toggle button", "switch"))
        switch.get_action_iface().do_action(0)
        window.press("Refresh 3 Sticks")
        wait(lambda: any(line.startswith("- ") for line in self.turns()), "the first one's end", 120)
        window.press("Stop After This Stick")
        window.shows("2 of 3 sticks are refreshed", patience=120)
        window.shows("left as it was")
        self.assertEqual(self.together(), set())
        self.assertEqual(self.turns(), ["+ A", "- A", "+ B", "- B"])

    def test_sticks_at_work_are_left_alone_and_pulled_when_done(self):
        sticks, env = self.noting(A="1-4.1", B="1-4.2")
        for stick in sticks.values():
            store.fill(stick, 80)
        window = self.laid(env=env)
        wait(lambda: window.usable("Refresh 2 Sticks"), "two that need it")
        window.press("Refresh 2 Sticks")
        wait(lambda: "+ A" in self.turns(), "the first one at work")
        window.activate("A, ")
        window.shows("Your stick is 80 % full")
        for _ in range(10):
            self.assertEqual([line for line in window.helpers().values() if "watch" in line], [])
            time.sleep(0.1)
        self.assertNotIn("- A", self.turns())
        key("ctrl+t")
        wait(lambda: "- A" in self.turns(), "the first one's end")
        time.sleep(1)
        found = Path(env["SUGAR_CELLAR_HELPER"]).with_name("list")
        listed = json.loads(found.read_text())
        listed["sticks"] = [one for one in listed["sticks"] if one["label"] != "A"]
        found.write_text(json.dumps(listed) + "\n")
        key("F5")
        window.shows("The stick is gone")
        window.shows("2 of 2 sticks are refreshed", patience=120)
        key("alt+Left")
        window.helper("watch")

    def test_another_stick_in_the_place_of_one_is_left(self):
        sticks, env = self.noting(A="1-1")
        store.fill(sticks["A"], 80)
        found = Path(env["SUGAR_CELLAR_HELPER"]).with_name("list")
        listed = json.loads(found.read_text())
        # What lies there has another UUID, or none.
        listed["sticks"][0]["uuid"] = "0BAD-0BAD"
        found.write_text(json.dumps(listed) + "\n")
        window = self.laid(env=env)
        wait(lambda: window.usable("Refresh 1 Stick"), "one that needs it")
        window.press("Refresh 1 Stick")
        window.shows("This is not the stick that was meant", patience=120)
        window.shows("0 of 1 stick")
        self.assertGreater(fill(sticks["A"]), 70)

    @unittest.skipIf(os.geteuid() == 0, "root is never asked for a password")
    @unittest.skipIf(len(os.sched_getaffinity(0)) < 2, "one processor: one at a time")
    def test_passwords_are_asked_for_one_by_one(self):
        sticks, env = self.noting(A="1-1", B="1-2")
        for stick in sticks.values():
            store.fill(stick, 80)
            (stick / "LiveOS").chmod(0o555)
            self.addCleanup((stick / "LiveOS").chmod, 0o755)
        programs = self.folder()
        asked = programs / "asked"
        # Somebody who takes seconds to type it; then root may write.
        (programs / "pkexec").write_text(f"""#!/bin/sh
echo "? $3" >>"{asked}"
sleep 3
echo "! $3" >>"{asked}"
case $3 in /dev/A) stick="{sticks["A"]}";; *) stick="{sticks["B"]}";; esac
chmod u+w "$stick/LiveOS"
exec "$1" "$2" "$stick" --yes --json
""")
        (programs / "pkexec").chmod(0o755)
        window = self.laid(env={**env, "PATH": f"{programs}:{os.environ['PATH']}"})
        wait(lambda: window.usable("Refresh 2 Sticks"), "two that need it")
        window.press("Refresh 2 Sticks")
        window.shows("2 of 2 sticks are refreshed", patience=120)
        self.assertEqual(asked.read_text().split("\n")[:-1], ["? /dev/A", "! /dev/A", "? /dev/B", "! /dev/B"])

    def test_without_ports_there_is_nothing_to_switch(self):
        window = self.laid(self.practice("Ana"), self.practice("Bo"))
        window.shows("Refresh 0 Sticks")
        self.assertFalse(any("Several at Once" in text for text in window.texts()))

    def test_by_keyboard_one_chooses(self):
        window = self.laid(self.practice("Ana"), self.practice("Bo"))
        wait(lambda: any("Refresh 0 Sticks" in text for text in window.texts()), "none that needs it")
        for _ in range(12):
            focused = window.focused()
            if focused and focused.get_role_name() == "check box":
                break
            key("Tab")
            time.sleep(0.1)
        key("space")
        window.shows("Refresh 1 Stick")
