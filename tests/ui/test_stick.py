"""The page of a stick, and what leads to it."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import desktop
import store
from cellar import HELPER, PROGRAMS, WindowTest, key, wait


class Gauge(WindowTest):
    def test_follows_the_disk(self):
        stick = self.practice()
        told = len(desktop.told)
        window = self.window(stick)
        before = wait(window.gauge, "a gauge")
        window.shows(f"Your stick is {round(before)} % full")
        window.shows("There is plenty of room")
        store.fill(stick, 75)
        wait(lambda: 75 <= window.gauge() < 80, "three quarters")
        window.shows("It is filling up")
        store.fill(stick, 92)
        wait(lambda: 92 <= window.gauge() < 95, "nine tenths")
        window.shows("There is little room left")
        # Each level is told once.
        wait(lambda: len(desktop.told) == told + 2, f"two notifications after {desktop.told[:told]}")

    def test_says_what_dmsetup_would(self):
        stick = self.practice()
        window = self.window(stick)
        window.front()
        status = subprocess.run([HELPER, "status", stick, "--json"], capture_output=True, text=True, check=True)
        used = status.stdout.split('"used_sectors":')[1].split(",")[0]
        window.find("More About This Stick")
        wait(lambda: any(f"{used}/131072" in text for text in self.opened(window)), used)

    def opened(self, window):
        texts = window.texts()
        if not any("sectors" in text for text in texts):
            for node in window.nodes():
                if node.get_name() == "More About This Stick" and node.get_action_iface():
                    node.get_action_iface().do_action(0)
            key("Tab")
            focused = window.focused()
            if focused and "More About" in (focused.get_name() or ""):
                key("Return")
        return texts

    def test_a_stopped_helper_does_not_stop_the_window(self):
        stick = self.practice()
        window = self.window(stick)
        wait(window.gauge, "a gauge")
        window.front()
        pids = wait(window.helpers, "a helper")
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            key("F10")
            window.find("About Sugar Cellar", patience=5)
            self.assertLess(time.monotonic() - began, 3)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def test_a_killed_helper_is_noticed_and_can_be_tried_again(self):
        stick = self.practice()
        window = self.window(stick)
        wait(window.gauge, "a gauge")
        for pid in wait(window.helpers, "a helper"):
            os.kill(pid, signal.SIGKILL)
        window.shows("It Stopped All at Once", patience=3)
        window.press("Try Again")
        wait(window.gauge, "the gauge again")

    def test_a_stick_that_goes_away(self):
        stick = self.practice()
        window = self.window(stick)
        wait(window.gauge, "a gauge")
        shutil.rmtree(stick)
        window.find("Try Again")
        self.assertIsNone(window.gauge())

    def test_a_stick_that_waits_asks_for_a_restart(self):
        window = self.window(self.practice(), env=self.waiting())
        window.shows("A refresh is waiting")
        self.assertFalse(window.usable("Refresh This Stick…"))
        before = len(desktop.restarts)
        window.press("Restart to Finish…")
        wait(lambda: len(desktop.restarts) > before, "a restart")

    def test_idle_it_uses_no_time(self):
        window = self.window(self.practice())
        wait(window.gauge, "a gauge")
        time.sleep(2)

        def used():
            fields = open(f"/proc/{window.process.pid}/stat").read().rsplit(")")[-1].split()
            return int(fields[11]) + int(fields[12])

        before = used()
        time.sleep(5)
        ticks = used() - before
        self.assertLessEqual(ticks, 0.01 * 5 * os.sysconf("SC_CLK_TCK"), f"{ticks} ticks in 5 s")


class Sticks(WindowTest):
    def test_without_one_it_says_what_to_do(self):
        window = self.window()
        window.shows("Plug In a Stick")
        self.assertTrue(window.usable("Try a Practice Stick"))

    def test_several_are_told_apart(self):
        one, two = self.practice("Ana"), self.practice("Bo")
        store.fill(two, 80)
        window = self.window(one, two)
        window.shows("It is filling up")
        wait(lambda: [n for n in window.nodes() if n.get_role_name() == "list item" and "Ana" in n.get_name()], "Ana's row")
        window.front()

        def on(name, *keys):
            key(*keys)
            time.sleep(0.3)
            focused = window.focused()
            return focused and (focused.get_name() or "").startswith(name)

        wait(lambda: on("Bo", "Tab"), "the keyboard on Bo's row")
        self.assertTrue(on("Ana", "Up"))
        key("Return")
        window.shows("There is plenty of room")

    def test_the_keyboard_stays_where_it_is_when_a_stick_comes(self):
        ana, bo, carla = self.practice("Ana"), self.practice("Bo"), self.practice("Carla")
        window = self.window(ana, carla)
        names = ("Ana, ", "Bo, ", "Carla, ")
        rows = lambda: [text.split(",")[0] for text in window.texts() if text.startswith(names)]
        wait(lambda: rows() == ["Ana", "Carla"], "two rows")
        window.front()
        on_carla = lambda: window.focused() and window.focused().get_name().startswith("Carla")
        wait(lambda: key("Tab") or on_carla(), "the keyboard on Carla's row")
        subprocess.run([PROGRAMS / "sugar-cellar", bo], env=window.env, timeout=20, check=True)
        wait(lambda: rows() == ["Ana", "Bo", "Carla"], "three rows")
        self.assertTrue(on_carla())

    def test_a_second_start_shows_the_same_window(self):
        stick = self.practice()
        window = self.window()
        window.shows("Plug In a Stick")
        second = subprocess.run([PROGRAMS / "sugar-cellar", stick], env=window.env, timeout=20, capture_output=True)
        self.assertEqual(second.returncode, 0, second.stderr)
        wait(window.gauge, "the stick in the first window")

    def test_no_stick_there(self):
        window = self.window(self.folder())
        window.find("Try Again")
        window.press("Show Details")
        window.find("Details")
        self.assertTrue(window.usable("Copy"))

    def test_nothing_there(self):
        window = self.window("/nowhere/at/all")
        window.find("Try Again")


class PluggedIn(WindowTest):
    """A real stick, mounted as the desktop mounts it: its own file system, behind a loop device."""

    UUID = "5eed5eed-0000-4000-8000-000000000002"

    def setUp(self):
        if os.geteuid() != 0:
            self.skipTest("mounting needs root")
        tree = self.practice("tree")
        overlay = store.overlay(tree)
        overlay.rename(overlay.with_name(f"overlay-CELLAR-{self.UUID}"))
        image = self.folder() / "stick.img"
        make = ["/sbin/mke2fs", "-q", "-t", "ext4", "-L", "CELLAR", "-U", self.UUID, "-d", tree, image, "250M"]
        subprocess.run(make, check=True, capture_output=True)
        device = subprocess.run(["losetup", "-f", "--show", image], check=True, capture_output=True, text=True)
        self.device = device.stdout.strip()
        self.addCleanup(subprocess.run, ["losetup", "-d", self.device])
        self.place = Path(tempfile.mkdtemp(prefix="cellar-", dir="/media"))
        self.addCleanup(self.place.rmdir)
        self.addCleanup(subprocess.run, ["umount", "-q", self.place])

    def plug(self):
        subprocess.run(["mount", self.device, self.place], check=True)

    def pull(self):
        return subprocess.run(["umount", self.place], capture_output=True).returncode == 0

    def test_it_comes_and_goes_and_is_held_meanwhile(self):
        window = self.window(self.place)
        window.find("Try Again")
        self.plug()
        wait(window.gauge, "the gauge of what was plugged in")
        self.assertTrue(self.pull(), "a stick that is only looked at can be unmounted")
        window.find("Try Again")
        self.assertIsNone(window.gauge())
        self.plug()
        wait(window.gauge, "the gauge again")
        window.press("Refresh This Stick…")
        window.press("Refresh Now")
        refresh = window.helper("refresh")
        os.kill(refresh, signal.SIGSTOP)
        self.assertFalse(self.pull(), "nobody unmounts it meanwhile")
        wait(lambda: [flags & 4 for flags, _ in desktop.awake.values()] == [4], "no suspending")
        os.kill(refresh, signal.SIGCONT)
        window.shows("You can pull it out now", patience=60)
        self.assertFalse(os.path.ismount(self.place))
        wait(lambda: not desktop.awake, "suspending allowed again")


class Dropped(WindowTest):
    def test_what_is_dropped_is_opened(self):
        window = self.window()
        window.shows("Plug In a Stick")
        window.front()
        stick = self.practice()
        source = subprocess.Popen(["/usr/bin/python3", Path(__file__).with_name("drag.py"), stick])
        self.addCleanup(source.wait)
        self.addCleanup(source.terminate)

        def found(name):
            search = ["xdotool", "search", "--onlyvisible", "--name", name]
            return subprocess.run(search, capture_output=True, text=True).stdout.split()

        [files] = wait(lambda: found("^Files$"), "the other window")
        [target] = wait(lambda: found("^Sugar Cellar$"), "the window")
        steps = ["windowmove", target, "0", "0", "windowmove", files, "1000", "50", "mousemove", "1075", "125"]
        subprocess.run(["xdotool", *steps], check=True)
        time.sleep(0.5)
        subprocess.run(["xdotool", "mousedown", "1"], check=True)
        for x in range(1060, 400, -30):
            subprocess.run(["xdotool", "mousemove", str(x), "300"], check=True)
            time.sleep(0.02)
        time.sleep(0.5)
        subprocess.run(["xdotool", "mouseup", "1"], check=True)
        wait(window.gauge, "the gauge of what was dropped")


class Practice(WindowTest):
    def test_one_click_makes_one(self):
        window = self.window()
        window.press("Try a Practice Stick")
        window.shows("This is a practice stick", patience=60)
        wait(window.gauge, "a gauge")
        self.assertTrue((window.home / "data/sugar-cellar/practice-stick/LiveOS/squashfs.img").exists())
        home = window.home
        window.stop()
        again = self.window(user_home=home)
        again.shows("This is a practice stick")

    def test_it_can_be_cancelled(self):
        window = self.window()
        window.press("Try a Practice Stick")
        window.press("Cancel")
        window.shows("Plug In a Stick")


class CommandLine(WindowTest):
    def test_commands_are_the_helpers(self):
        for arguments in (["--version"], ["status", "--help"]):
            done = subprocess.run([PROGRAMS / "sugar-cellar", *arguments], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("status", done.stdout)


class Keyboard(WindowTest):
    def test_every_control_has_a_name(self):
        window = self.window(self.practice())
        wait(window.gauge, "a gauge")
        unnamed = []
        for node in window.nodes():
            role = node.get_role_name()
            if role in ("push button", "toggle button", "level bar", "list", "list item", "text", "progress bar"):
                if not node.get_name() and not self.named_within(node):
                    unnamed.append(role)
        self.assertEqual(unnamed, [])

    def named_within(self, node):
        """A row says what is in it; a menu button its only button."""
        names = [node.get_child_at_index(i) for i in range(node.get_child_count())]
        return any(child and (child.get_name() or self.named_within(child)) for child in names)

    def test_the_way_through_the_first_page(self):
        window = self.window(self.practice())
        wait(window.gauge, "a gauge")
        window.front()
        seen = []
        for _ in range(6):
            focused = window.focused()
            seen.append(focused.get_name() if focused else None)
            key("Tab")
        self.assertIn("Refresh This Stick…", [name for name in seen if name])

    def test_shortcuts_and_about(self):
        window = self.window()
        window.shows("Plug In a Stick")
        window.front()
        key("ctrl+question")
        window.shows("Refresh this stick")
        key("Escape")
        key("F10")
        window.find("About Sugar Cellar")
        key("Up", "Return")
        window.shows("Sugar Labs")


if __name__ == "__main__":
    unittest.main()
