"""What a stick held earlier, and what is expected."""

import csv
import json
from datetime import timedelta

import past
import store
from cellar import WindowTest, key, wait


class History(WindowTest):
    def opened(self, stick, home, **options):
        window = self.window(stick, user_home=home, **options)
        wait(window.gauge, "a gauge")
        window.front()
        return window

    def rows(self, window):
        """The list's lines, the newest first; a tooltip of the chart has more of them."""
        texts = [text for text in window.texts() if "\n" not in text]
        return [text for text in texts if " %" in text and "B" in text and "·" in text]

    def test_a_range_and_three_ways_to_look_back(self):
        stick, home = self.practice(), self.folder()
        now = past.status(stick)["overlay"]["percent"]
        past.plant(home, stick, [now * part for part in (0.2, 0.3, 0.5, 0.6, 0.8, 0.9, 0.95)])
        window = self.opened(stick, home)
        told = window.shows("If it goes on like this, it is full in")
        key("ctrl+h")
        window.shows(told)
        window.shows("in the last seven days")
        week = wait(lambda: self.rows(window), "the days of a week")
        self.assertEqual(len(week), 7)
        window.press("Term")
        window.shows("have been added since ")
        wait(lambda: len(self.rows(window)) == 8, "all days")
        window.press("Day")
        window.shows("in the last 24 hours" if past.wall().hour == 13 else "added since")
        wait(lambda: len(self.rows(window)) <= 3, "the looks of a day")
        key("alt+Left")
        wait(window.gauge, "the gauge again")
        window.hides("Save as CSV…")

    def test_the_list_is_walked_by_the_keyboard(self):
        stick, home = self.practice(), self.folder()
        past.plant(home, stick, [10, 20, 30])
        window = self.opened(stick, home)
        window.activate("History…")
        window.activate(past.wall().strftime("%A"))
        key("Down")
        yesterday = (past.wall() - timedelta(days=1)).strftime("%A")
        wait(lambda: window.focused() and window.focused().get_name().startswith(yesterday), "the row below")

    def test_a_refresh_is_a_mark_and_nothing_is_forgotten(self):
        stick, home = self.practice(), self.folder()
        past.plant(home, stick, [10, 20, 30])
        window = self.opened(stick, home)
        key("ctrl+r")
        window.press("Refresh Now")
        window.shows("There Is Room Again", patience=120)
        window.press("Back")
        wait(window.gauge, "the gauge again")
        window.activate("History…")
        window.shows("· refreshed")
        rows = self.rows(window)
        self.assertTrue(any(row.startswith("10 %") or " 10 %" in row for row in rows), rows)
        window.stop()
        kept = json.loads(past.file(home).read_text())[past.name(stick)]
        self.assertEqual(list(kept["marks"].values()), ["refresh"])
        self.assertGreaterEqual(len(kept["points"]), 5)

    def test_it_follows_the_stick(self):
        stick, home = self.practice(), self.folder()
        window = self.opened(stick, home)
        window.activate("History…")
        window.shows("It was looked at for the first time")
        store.fill(stick, 75)
        wait(lambda: any("75 %" in row for row in self.rows(window)), "what is on it now")
        window.shows("have been added since")

    def test_a_file_of_an_earlier_version_is_read(self):
        stick, home = self.practice(), self.folder()
        today = int(past.wall().timestamp()) // 86400
        total = past.status(stick)["overlay"]["total_sectors"]
        days = {today - back: total * (40 - 10 * back) // 100 for back in (3, 2, 1)}
        past.write(home, {past.name(stick): {"days": days, "warned": 0, "refreshed": None}})
        window = self.opened(stick, home)
        window.activate("History…")
        for percent in ("10 %", "20 %", "30 %"):
            window.shows(percent)

    def test_it_is_saved_for_a_spreadsheet(self):
        stick, home = self.practice(), self.folder()
        past.plant(home, stick, [80, 90, 2, 10, 20], marks=[2])
        target = self.folder() / "past.csv"
        window = self.opened(stick, home)
        window.activate("History…")
        window.save("Save as CSV…", target)
        lines = list(csv.reader(target.open()))
        self.assertEqual(lines[0], ["When", "Used bytes", "Bytes altogether", "Full, %", "Event"])
        first = past.wall() - timedelta(days=5)
        total = past.status(stick)["overlay"]["total_sectors"]
        self.assertEqual(lines[1], [f"{first:%Y-%m-%d} 13:00", str(int(total * 0.8) * 512), str(total * 512), "80.0", ""])
        self.assertEqual([line[4] for line in lines[1:]], ["", "", "refreshed", "", "", ""])
        window.shows("The history is in")

    def test_a_damaged_file_is_an_empty_one(self):
        stick, home = self.practice(), self.folder()
        past.write(home, {})
        past.file(home).write_text("{")
        window = self.opened(stick, home)
        window.activate("History…")
        window.shows("It was looked at for the first time")
