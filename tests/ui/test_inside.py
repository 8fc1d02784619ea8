"""What is inside a stick, and a tidy from there."""

import json
import subprocess
import time

import store
from cellar import HELPER, WindowTest, key, wait


def explained(stick):
    """What the helper says of it."""
    said = subprocess.run([HELPER, "explain", stick, "--quick", "--json"], check=True, capture_output=True,
                          stdin=subprocess.DEVNULL).stdout
    return json.loads(said.splitlines()[-1])["explanation"]


def used(stick):
    said = subprocess.run([HELPER, "status", stick, "--json"], check=True, capture_output=True).stdout
    return json.loads(said)["overlay"]["used_sectors"]


def status(stick):
    said = subprocess.run([HELPER, "status", stick, "--json"], check=True, capture_output=True).stdout
    return json.loads(said)["overlay"]["percent"]


def sum_of(explanation, start):
    return sum(entry["sectors"] for entry in explanation["entries"] if (entry["path"] + "/").startswith(start))


def percent(explanation, sectors):
    return f"{100 * sectors / explanation['used_sectors']:.0f} %"


class Inside(WindowTest):
    def inside(self, stick, **options):
        window = self.window(stick, **options)
        wait(window.gauge, "a gauge")
        window.front()
        window.activate("What's Inside…")
        return window

    def test_one_walks_into_folders_and_back(self):
        stick = self.practice()
        all_of_it = explained(stick)
        window = self.inside(stick)
        window.shows("are in use. This is what they hold.")
        home = sum_of(all_of_it, "home/")
        window.shows(percent(all_of_it, home))
        window.activate("home")
        window.shows("Everything › home")
        window.shows(f"{percent(all_of_it, home)} of what is in use.")
        wait(lambda: window.focused() and window.focused().get_name().startswith("liveuser"), "the keyboard in the list")
        key("Return")
        window.shows("Everything › home › liveuser")
        pictures = sum_of(all_of_it, "home/liveuser/Pictures/")
        window.shows(percent(all_of_it, pictures))
        key("alt+Left")
        window.hides("› liveuser")
        # Back where one came from.
        wait(lambda: window.focused() and window.focused().get_name().startswith("liveuser"), "the row again")
        key("alt+Left")
        window.shows("This is what they hold.")
        key("alt+Left")
        wait(window.gauge, "the gauge again")

    def test_by_kind_it_is_the_same_sum(self):
        stick = self.practice()
        all_of_it = explained(stick)
        window = self.inside(stick)
        window.shows("This is what they hold.")
        window.press("By Kind")
        journal = next(kind["sectors"] for kind in all_of_it["kinds"] if kind["kind"] == "journal")
        window.shows("Journal entries")
        window.shows(percent(all_of_it, journal))
        window.activate("Journal entries")
        window.shows("Everything › Journal entries")
        # More of them than are shown at once.
        window.shows("smaller ones")

    def test_the_map_is_clicked(self):
        window = self.inside(self.practice())
        window.shows("This is what they hold.")
        found = subprocess.run(["xdotool", "search", "--onlyvisible", "--pid", str(window.process.pid)],
                               capture_output=True, text=True).stdout.split()
        subprocess.run(["xdotool", "windowsize", found[0], "820", "860", "windowmove", found[0], "0", "0"], check=True)
        time.sleep(1)
        # Most of the map is the learner's home.
        subprocess.run(["xdotool", "mousemove", "250", "400", "click", "1"], check=True)
        window.shows("Everything › home")

    def test_tidying_up_gives_room_back(self):
        stick = self.practice()
        before = used(stick)
        window = self.inside(stick)
        gone = explained(stick)["sums"]["deleted_sectors"]
        self.assertGreater(gone, 0)
        window.shows("Deleting alone gives nothing back")
        window.press("Tidy Up This Stick")
        window.shows("were given back")
        fill = wait(window.gauge, "a gauge")
        after = used(stick)
        self.assertLessEqual(after, before - gone)
        wait(lambda: abs(window.gauge() - 100 * after / 131072) < 1, f"the gauge to fall from {fill}")
        window.activate("What's Inside…")
        window.shows("This is what they hold.")
        self.assertNotIn("Tidy Up This Stick", window.texts())

    def test_what_cannot_be_read_is_told(self):
        stick = self.practice()
        window = self.window(stick)
        wait(window.gauge, "a gauge")
        window.front()
        self.spoil(stick)
        window.activate("What's Inside…")
        window.shows("Something on the Stick Is Damaged")
        window.press("Back")
        wait(window.gauge, "the gauge again")

    def test_a_tidy_is_of_the_stick_that_was_tidied(self):
        ana, bo = self.practice("Ana"), self.practice("Bo")
        # Bo is as full as he was when Ana is done.
        store.fill(bo, 80)
        helper = self.folder() / "helper"
        go = self.folder() / "go"
        helper.write_text(f"""#!/bin/sh
[ "$1" = tidy ] && while ! [ -e "{go}" ]; do sleep 0.1; done
exec "{HELPER}" "$@"
""")
        helper.chmod(0o755)
        window = self.window(bo, ana, env={"SUGAR_CELLAR_HELPER": str(helper)})
        wait(window.gauge, "a gauge")
        window.front()
        window.activate("What's Inside…")
        window.press("Tidy Up This Stick")
        window.helper("tidy")
        window.activate("Bo, ")
        window.shows("Your stick is 80 % full")
        key("ctrl+i")
        window.shows("A stick is being tidied up.")
        go.touch()
        window.shows("were given back")
        rows = lambda: [text for text in window.texts() if text.startswith(("Ana, ", "Bo, "))]
        wait(lambda: any(row.startswith("Ana, ") and f"{status(ana):.0f} %" in row for row in rows()), "Ana's room")
        window.shows("Your stick is 80 % full")
        self.assertTrue(any(row.startswith("Bo, 80 %") for row in rows()))

    def test_a_helper_that_says_nothing_is_told(self):
        stick = self.practice()
        helper = self.folder() / "helper"
        helper.write_text(f'#!/bin/sh\n[ "$1" = explain ] || exec "{HELPER}" "$@"\n')
        helper.chmod(0o755)
        window = self.inside(stick, env={"SUGAR_CELLAR_HELPER": str(helper)})
        window.shows("It Stopped All at Once", patience=10)

    def test_it_is_left_while_it_looks(self):
        helper = self.folder() / "helper"
        helper.write_text(f'#!/bin/sh\n[ "$1" != explain ] || sleep 3\nexec "{HELPER}" "$@"\n')
        helper.chmod(0o755)
        window = self.inside(self.practice(), env={"SUGAR_CELLAR_HELPER": str(helper)})
        window.shows("Looking Inside…")
        key("alt+Left")
        wait(window.gauge, "the gauge again")
        time.sleep(4)
        self.assertTrue(window.gauge())
