"""All sticks at once: chosen, refreshed one after another, and a receipt."""

import csv
import json
import subprocess
import time

import store
from cellar import HELPER, WindowTest, key, wait


def fill(stick):
    said = subprocess.run([HELPER, "status", stick, "--json"], check=True, capture_output=True).stdout
    return json.loads(said)["overlay"]["percent"]


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
        page = next(folder.glob("*.html")).read_text()
        self.assertIn("<td>=Bo</td>", page)

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
