"""A refresh in the window: by keyboard alone, cancelled, with the helper killed, with the stick gone."""

import json
import lzma
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import desktop
import store
from cellar import HELPER, WindowTest, key, wait


class Refresh(WindowTest):
    def setUp(self):
        self.needs("plan")
        self.needs("refresh")

    def opened(self, percent=80):
        stick = self.practice()
        if percent:
            store.fill(stick, percent)
        window = self.window(stick)
        wait(window.gauge, "a gauge")
        window.front()
        return stick, window

    def asked(self):
        stick, window = self.opened()
        key("ctrl+r")
        window.shows("Refresh “")
        wait(lambda: window.usable("Refresh Now"), "the question")
        return stick, window

    def test_by_keyboard_alone(self):
        _, window = self.asked()
        for fact in ("Room for saving", "How long it takes", "There is no way back"):
            window.shows(fact)
        # The button has the keyboard already.
        key("Return")
        window.shows("Done. There Is Room Again!", patience=120)
        window.shows("were free, now")
        key("Return")
        wait(lambda: window.gauge() is not None and window.gauge() < 5, "an empty overlay")

    def test_the_running_systems_stick_asks_for_a_restart(self):
        window = self.window(self.practice(), env=self.waiting("/finished/"))
        wait(window.gauge, "a gauge")
        window.press("Refresh This Stick…")
        window.press("Refresh Now")
        window.shows("Restart, and There Is Room Again", patience=120)
        self.assertNotIn("After", window.texts())
        before = len(desktop.restarts)
        # The button has the keyboard already.
        window.front()
        key("Return")
        wait(lambda: len(desktop.restarts) > before, "a restart")

    def test_a_stick_that_no_longer_starts_is_rescued(self):
        stick = self.practice()
        with open(next(stick.glob("LiveOS/overlay-*")), "r+b") as overlay:
            # As the kernel marks it when it gives it up.
            overlay.seek(4)
            overlay.write(bytes(4))
        window = self.window(stick)
        window.shows("Your stick no longer starts")
        window.shows("What was saved is still there")
        window.press("Refresh This Stick…")
        window.press("Refresh Now")
        window.shows("Done. There Is Room Again!", patience=120)
        window.press("Done")
        wait(lambda: window.gauge() is not None and window.gauge() < 5, "an empty overlay")

    def test_one_that_is_pulled_as_it_ends_is_done(self):
        # It is listed no more when the helper tells that it is refreshed.
        sticks, env = self.plugged({"A": "1-1"}, f"""
"{HELPER}" "$@" | while read -r line; do
    case $line in *finished*) while ! [ -e "$0.gone" ]; do sleep 0.1; done;; esac
    echo "$line"
done""")
        store.fill(sticks["A"], 80)
        helper = Path(env["SUGAR_CELLAR_HELPER"])
        window = self.window(env=env)
        wait(window.gauge, "a gauge")
        window.front()
        window.press("Refresh This Stick…")
        window.press("Refresh Now")
        window.find("Cancel the Refresh")
        helper.with_name("list").write_text('{"sticks":[]}\n')
        key("F5")
        window.shows("The stick is gone")
        Path(f"{helper}.gone").touch()
        window.shows("Done. There Is Room Again!", patience=120)
        history = window.home / "data/sugar-cellar/history.json"
        wait(lambda: re.search(r'"refreshed": ?\d', history.read_text()), "the refresh in the history")

    def test_a_no_changes_nothing(self):
        stick, window = self.asked()
        before = store.overlay(stick).read_bytes()
        window.press("Cancel")
        window.shows("Refresh This Stick…")
        self.assertEqual(store.overlay(stick).read_bytes(), before)

    def test_a_copy_is_kept(self):
        stick, window = self.asked()
        place = self.folder()
        (place / "copies").mkdir()
        window.activate("Keep a Copy…")
        window.find("Keep It Here")
        window.choose(place / "copies")
        window.shows("A copy is in", patience=60)
        kept = {file.name: file.read_bytes() for file in (place / "copies").rglob("*") if file.is_file()}
        overlay = store.overlay(stick)
        image = overlay.with_name("squashfs.img")
        self.assertEqual(kept, {file.name: file.read_bytes() for file in (overlay, image)})
        self.assertTrue(window.usable("Refresh Now"))

    def test_a_low_battery_is_a_warning(self):
        # The tests' own bus has the power's service, too.
        bus = {"DBUS_SYSTEM_BUS_ADDRESS": os.environ["DBUS_SESSION_BUS_ADDRESS"]}
        window = self.window(self.practice(), env=bus)
        wait(window.gauge, "a gauge")
        window.press("Refresh This Stick…")
        window.shows("The battery is low")
        self.assertTrue(window.usable("Refresh Now"))

    def held(self, window):
        """A refresh, its helper held still: there is time to look."""
        window.press("Refresh Now")
        return self.hold(window)

    def hold(self, window):
        pid = window.helper("refresh")
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(lambda: os.path.exists(f"/proc/{pid}") and os.kill(pid, signal.SIGCONT))
        return pid

    def test_cancel_says_how_the_stick_is(self):
        _, window = self.asked()
        pid = self.held(window)
        window.press("Cancel the Refresh")
        os.kill(pid, signal.SIGCONT)
        window.find("Cancelled")
        window.press("Back to the Stick")
        wait(lambda: window.gauge() and window.gauge() >= 80, "the stick as it was")

    def test_killed_in_the_middle(self):
        _, window = self.asked()
        os.kill(self.held(window), signal.SIGKILL)
        window.shows("It Stopped All at Once", patience=5)
        window.press("Back to the Stick")
        wait(window.gauge, "the gauge")

    def test_the_stick_pulled_in_the_middle(self):
        stick, window = self.asked()
        pid = self.held(window)
        shutil.rmtree(stick)
        os.kill(pid, signal.SIGCONT)
        window.find("Show Details")

    def test_it_goes_on_without_the_window(self):
        stick, window = self.asked()
        pid = self.held(window)
        window.front()
        key("ctrl+w")
        window.shows("The Refresh Is Still Running")
        key("Return")
        wait(lambda: not any(n.get_role_name() == "frame" for n in window.nodes()), "no window")
        from cellar import PROGRAMS

        subprocess.run([PROGRAMS / "sugar-cellar"], env=window.env, timeout=20, check=True)
        window.shows("Refreshing “")
        os.kill(pid, signal.SIGCONT)
        window.shows("Done. There Is Room Again!", patience=120)


class OneImage(WindowTest):
    """A stick that holds only one image."""

    def crowded(self):
        """A window whose practice stick seems to hold one image only, and a file of what its helper is asked.

        There is room enough for two, so the plan's answers are changed on the way.
        """
        said = self.folder() / "said"
        helper = said.with_name("helper")
        refusal = '{"code":"no_space","message":"It is too full.","hint":"Make room.","detail":""}'
        helper.write_text(
            f"""#!/bin/sh
echo "$@" >>"{said}"
change='s/"mode":"beside"/"mode":"scratch"/'
case "$*" in
plan*--replace*) ;;
plan*) change="$change;"'s/"refusals":\\[\\]/"refusals":[{refusal}]/' ;;
*) change= ;;
esac
"{HELPER}" "$@" | sed -u "$change"
"""
        )
        helper.chmod(0o755)
        stick = self.practice()
        window = self.window(stick, env={"SUGAR_CELLAR_HELPER": str(helper)})
        wait(window.gauge, "a gauge")
        window.front()
        return stick, window, said

    def test_nothing_without_consent(self):
        stick, window, said = self.crowded()
        before = store.overlay(stick).read_bytes()
        window.press("Refresh This Stick…")
        window.shows("Too Little Room for a Refresh")
        # What is safe is at hand.
        key("Return")
        window.shows("Not Enough Room")
        self.assertNotIn("refresh", said.read_text())
        self.assertEqual(store.overlay(stick).read_bytes(), before)

    def test_by_way_of_a_folder(self):
        _, window, said = self.crowded()
        (place := self.folder() / "scratch").mkdir()
        window.press("Refresh This Stick…")
        window.press("Choose a Folder…")
        window.find("Choose")
        window.choose(place)
        window.shows("Until this ends the stick does not start")
        window.press("Refresh Now")
        window.shows("Until This Ends the Stick Does Not Start")
        self.assertNotIn("refresh", said.read_text())
        # GTK 4.8 complains where a dialog closes while its widgets are read.
        window.press("Replace the Old Part")
        time.sleep(5)
        window.shows("Done. There Is Room Again!", patience=120)
        asked = said.read_text().splitlines()
        for verb in ("plan", "refresh"):
            self.assertTrue(
                any(line.startswith(verb) and f"--scratch {place} --replace" in line for line in asked), asked
            )

    def test_what_was_interrupted_is_completed(self):
        stick, other = self.practice(), self.practice()
        subprocess.run([HELPER, "refresh", other, "--yes"], check=True, capture_output=True, stdin=subprocess.DEVNULL)
        new = (other / "LiveOS/squashfs.img").read_bytes()
        (place := self.folder() / "scratch").mkdir()
        (place / "sugar-cellar-0.img").write_bytes(new)
        # XZ has the same checksum, before its index.
        packed = lzma.compress(new, check=lzma.CHECK_CRC64, preset=0)
        index = (int.from_bytes(packed[-8:-4], "little") + 1) * 4 + 12
        crc64 = int.from_bytes(packed[-index - 8 : -index], "little")
        mark = {"bytes": len(new), "crc64": crc64, "replaces": 0}
        note = {"scratch": "sugar-cellar-0.img", "image": mark}
        (stick / "LiveOS/sugar-cellar.json").write_text(json.dumps(note))
        with open(stick / "LiveOS/squashfs.img", "r+b") as image:
            image.write(bytes(512))
        window = self.window(stick)
        window.shows("The Refresh Was Interrupted")
        window.shows("sugar-cellar-0.img")
        window.press("Choose the Folder…")
        window.find("Choose")
        window.choose(place)
        window.shows("Done. There Is Room Again!", patience=120)
        self.assertEqual((stick / "LiveOS/squashfs.img").read_bytes(), new)
        self.assertEqual(list(place.iterdir()), [])


class Silence(WindowTest):
    def test_a_helper_that_says_nothing_holds_nobody_up(self):
        """The window answers while the plan is worked on for ever."""
        self.needs("plan")
        stick = self.practice()
        window = self.window(stick)
        wait(window.gauge, "a gauge")
        window.front()
        key("ctrl+r")
        began = time.monotonic()
        key("F10")
        window.find("About Sugar Cellar", patience=5)
        self.assertLess(time.monotonic() - began, 5)
