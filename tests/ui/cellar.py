"""The window under test: started, read and driven through AT-SPI and the keyboard."""

import atexit
import json
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
import warnings
from pathlib import Path

import gi

gi.require_version("Atspi", "2.0")
from gi.repository import Atspi, GLib  # noqa: E402

# at-spi2-core 2.46 deprecates the interfaces that it offers in no other way to Python.
warnings.simplefilter("ignore", DeprecationWarning)

PROGRAMS = Path(os.environ["CELLAR_PROGRAMS"])
HELPER = Path(os.environ.get("SUGAR_CELLAR_HELPER", PROGRAMS / "sugar-cellar-helper"))
PATIENCE = 60
# Isolates that keep "41 %" in order; a screen reader passes over them.
INVISIBLE = re.compile("[\u2066-\u2069]")
LEVELS = re.compile(r"(Gtk|Gdk|Gsk|GLib|GLib-GObject|GLib-GIO|Adwaita|Pango|sugar-cellar)[^\n]*-(WARNING|CRITICAL)[^\n]*")
# What the desktop of a test lacks, and no fault of the window.
HARMLESS = re.compile("dconf|Vulkan|libEGL|MESA|accessibility bus")


def words(text):
    """What is read of a text."""
    return INVISIBLE.sub("", text or "").replace("\u00a0", " ")


def called(node):
    """A node's name. GTK 4.8 calls a button with a mnemonic "_Copy Copy"."""
    name = words(node.get_name()).replace("_", "")
    half = len(name) // 2
    return name[:half] if name[:half] == name[half + 1 :] and name[half : half + 1] == " " else name


def wait(what, why, patience=PATIENCE):
    """Waits until what() is true and gives it back."""
    end = time.monotonic() + patience
    while True:
        try:
            value = what()
        except GLib.Error:  # It went away while it was read.
            value = None
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited for {why}")
        time.sleep(0.05)


def key(*keys):
    """Presses keys, as the person at the keyboard does."""
    subprocess.run(["xdotool", "key", "--delay", "30", *keys], check=True)


def type_text(text):
    subprocess.run(["xdotool", "type", "--delay", "20", text], check=True)


def walk(node, depth=0):
    """The node and everything below it that is not hidden (GTK 4.8 tells "showing" of windows only)."""
    yield node
    if depth > 40:
        return
    try:
        count = node.get_child_count()
    except GLib.Error:
        return
    for index in range(count):
        try:
            child = node.get_child_at_index(index)
            if child is None or not child.get_state_set().contains(Atspi.StateType.VISIBLE):
                continue
        except GLib.Error:
            continue
        yield from walk(child, depth + 1)


class Window:
    """A running window."""

    def __init__(self, test, *arguments, env=(), wrapper=(), user_home=None):
        self.test = test
        self.home = Path(user_home or tempfile.mkdtemp(prefix="cellar-ui-"))
        if user_home is None:
            test.addCleanup(shutil.rmtree, self.home, ignore_errors=True)
        self.env = {
            **os.environ,
            "HOME": str(self.home),
            "XDG_DATA_HOME": str(self.home / "data"),
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "XDG_CACHE_HOME": str(self.home / "cache"),
            **dict(env),
        }
        self.log = open(self.home / f"log-{time.monotonic_ns()}", "w+b")
        self.process = subprocess.Popen(
            [*wrapper, PROGRAMS / "sugar-cellar", *arguments],
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )
        test.addCleanup(self.stop)
        self.wrapped = bool(wrapper)

    def app(self):
        """Its accessible application."""
        desktop = Atspi.get_desktop(0)
        for index in range(desktop.get_child_count()):
            app = desktop.get_child_at_index(index)
            if app is None:
                continue
            if self.wrapped and app.get_name() == "sugar-cellar" or app.get_process_id() == self.process.pid:
                return app
        return None

    def nodes(self):
        app = self.app()
        if app is None:
            return
        for index in range(app.get_child_count()):
            top = app.get_child_at_index(index)
            if top is not None:
                yield from walk(top)

    def texts(self):
        """Every text that is shown."""
        return [words(node.get_name()) for node in self.nodes() if node.get_name()]

    def shows(self, text, patience=PATIENCE):
        """Waits for a text that holds `text`."""
        try:
            return wait(lambda: next((t for t in self.texts() if text in t), None), text, patience)
        except AssertionError:
            ended = self.process.poll()
            if ended is not None:
                raise AssertionError(f"never showed {text!r}; it ended with {ended}: {self.said()}") from None
            raise AssertionError(f"never showed {text!r}; it shows {self.texts()}") from None

    def hides(self, text):
        wait(lambda: not any(text in shown for shown in self.texts()), f"no {text!r}")

    def find(self, name, role=None, patience=PATIENCE):
        """Waits for a node that is named so."""

        def look():
            for node in self.nodes():
                if called(node) == name and (role is None or node.get_role_name() == role):
                    return node
            return None

        return wait(look, f"{role or 'something'} named {name!r}", patience)

    def press(self, name):
        """Presses a button as a screen reader does."""
        button = wait(lambda: self.usable(name), f"a button {name!r} that can be pressed")
        button.get_action_iface().do_action(0)

    def activate(self, name):
        """Activates a row, by the keyboard."""

        def there():
            focused = self.focused()
            return focused and called(focused).startswith(name)

        before = None
        for _ in range(20):
            if there():
                break
            # Down a list as far as it goes, and on to what comes behind it.
            focused = self.focused()
            in_list = focused and focused.get_role_name() == "list item" and focused != before
            before = focused
            key("Down" if in_list else "Tab")
            time.sleep(0.1)
        self.test.assertTrue(there(), f"the keyboard on {name!r}")
        key("Return")

    def choose(self, path):
        """Chooses a path in GTK's file chooser, by the keyboard."""

        def typing():
            key("ctrl+l")
            return self.takes_text()

        wait(typing, "a place to type a path in")
        type_text(str(path))
        key("Return")
        # GTK 4.8 complains, or falls over, where a dialog closes while its widgets are read.
        time.sleep(5)

    def save(self, button, path):
        """Presses what saves, and saves under a path in GTK's file chooser, by the keyboard."""
        self.press(button)
        wait(self.takes_text, "a place to type a path in")
        key("ctrl+a")
        type_text(str(path))
        key("Return")
        wait(path.exists, f"the file {path.name}")
        # As in choose(); but what says where the file is goes again.
        time.sleep(2)

    def takes_text(self):
        """Whether the keyboard writes into something."""
        focused = self.focused()
        return focused and focused.get_role_name() == "text"

    def usable(self, name):
        for node in self.nodes():
            if called(node) == name and "button" in node.get_role_name():
                if node.get_state_set().contains(Atspi.StateType.SENSITIVE) and node.get_action_iface():
                    return node
        return None

    def gauge(self):
        """The gauge's value."""
        for node in self.nodes():
            if node.get_role_name() == "level bar":
                return node.get_value_iface().get_current_value()
        return None

    def focused(self):
        """What has the keyboard."""
        for node in self.nodes():
            if node.get_state_set().contains(Atspi.StateType.FOCUSED) and node.get_role_name() not in ("frame", "window"):
                return node
        return None

    def front(self):
        """Brings the window to the keyboard."""

        def active():
            found = subprocess.run(
                ["xdotool", "search", "--onlyvisible", "--name", "."], capture_output=True, text=True
            ).stdout.split()
            for window in found:
                pid = subprocess.run(["xdotool", "getwindowpid", window], capture_output=True, text=True).stdout.strip()
                if pid == str(self.process.pid) or self.wrapped and pid:
                    subprocess.run(["xdotool", "windowactivate", "--sync", window], capture_output=True)
                    return True
            return False

        wait(active, "the window on the display")
        wait(lambda: any(n.get_state_set().contains(Atspi.StateType.ACTIVE) for n in self.nodes()), "an active window")

    def complaints(self):
        """Warnings that GTK and its like wrote."""
        return [m.group(0) for m in LEVELS.finditer(self.said()) if not HARMLESS.search(m.group(0))]

    def said(self):
        """All that it wrote."""
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def helpers(self):
        """What each of its helpers was started with, by process id."""
        found = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True)
        helpers = {}
        for pid in map(int, found.stdout.split()):
            try:
                helpers[pid] = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
            except (FileNotFoundError, ProcessLookupError):  # It ended.
                continue
        return helpers

    def helper(self, command):
        """Waits for a helper that was started for `command`, and gives its process id."""

        def found():
            return next((pid for pid, line in self.helpers().items() if command in line), None)

        return wait(found, f"a helper that does {command}")

    def stop(self):
        """Ends it; a warning in its log fails the test."""
        if self.log.closed:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        complaints = self.complaints()
        self.log.close()
        self.test.assertEqual(complaints, [])


class WindowTest(unittest.TestCase):
    """A test with windows and practice sticks."""

    master = None

    def folder(self):
        path = Path(tempfile.mkdtemp(prefix="cellar-ui-"))
        self.addCleanup(shutil.rmtree, path, ignore_errors=True)
        return path

    def practice(self, name="stick"):
        """A real practice stick: a copy of one that is made once."""
        if WindowTest.master is None:
            made = Path(tempfile.mkdtemp(prefix="cellar-ui-")) / "stick"
            atexit.register(shutil.rmtree, made.parent, ignore_errors=True)
            subprocess.run([HELPER, "practice", made, "--json"], check=True, capture_output=True, stdin=subprocess.DEVNULL)
            WindowTest.master = made
        stick = self.folder() / name
        subprocess.run(["cp", "-r", "--sparse=always", WindowTest.master, stick], check=True)
        return stick

    def window(self, *arguments, **options):
        return Window(self, *arguments, **options)

    def waiting(self, lines=""):
        """The environment of a window whose sticks wait for the shutdown, as the running system's does.

        No system runs from a practice stick, so its helper's answers are changed on the way: `lines`, as
        sed names them, or all.
        """
        helper = self.folder() / "helper"
        helper.write_text(f"""#!/bin/sh\n"{HELPER}" "$@" | sed -u '{lines}s/"pending":null/"pending":"finish"/g'\n""")
        helper.chmod(0o755)
        return {"SUGAR_CELLAR_HELPER": str(helper)}

    def plugged(self, ports, refresh=f'exec "{HELPER}" "$@"'):
        """Sticks in these ports, by name, and the environment of a window whose helper finds them there.

        `refresh` is what its shell does for a refresh.
        """
        sticks = {name: self.practice(name) for name in ports}
        found = [{"path": f"/dev/{name}", "device": f"/dev/{name}", "mounted": str(sticks[name]), "label": name,
                  "file_system": "vfat", "bytes": 8000000000, "booted": False, "model": None, "port": port}
                 for name, port in ports.items()]
        folder = self.folder()
        (folder / "list").write_text(json.dumps({"sticks": found}) + "\n")
        helper = folder / "helper"
        helper.write_text(f"""#!/bin/sh
[ "$1" != list ] || exec cat "{folder}/list"
[ "$1" = refresh ] || exec "{HELPER}" "$@"
{refresh}
""")
        helper.chmod(0o755)
        return sticks, {"SUGAR_CELLAR_HELPER": str(helper)}

    def booted(self, stick, cases=""):
        """The environment of a window that takes `stick` for the one that the computer was started from.

        No system runs from a practice stick: its helper's answers are changed on the way, by these cases of the
        shell's as well.
        """
        found = {"path": "live", "device": None, "label": "Ana", "bytes": 0, "mounted": None, "booted": True,
                 "file_system": "vfat", "model": None, "port": None}
        listed = json.dumps({"sticks": [found]})
        helper = self.folder() / "helper"
        helper.write_text(f"""#!/bin/sh
case "$1 $2" in
    list*) echo '{listed}' ;;
    "watch live") shift 2; exec "{HELPER}" watch "{stick}" "$@" ;;
{cases}
    "explain live") shift 2; exec "{HELPER}" explain "{stick}" "$@" ;;
    *) exec "{HELPER}" "$@" ;;
esac
""")
        helper.chmod(0o755)
        return {"SUGAR_CELLAR_HELPER": str(helper)}

    def spoil(self, stick):
        """Overwrites the root's folder, in the overlay and in the image: the file system there makes no sense."""
        with open(next(stick.glob("LiveOS/overlay-*")), "r+b") as file:
            file.seek(2 * 4096)
            file.write(b"\xff" * 4096)

    def needs(self, verb):
        """Skips, loudly, where the helper cannot do it."""
        done = subprocess.run([HELPER, verb, "--help"], capture_output=True, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            self.skipTest(f"the helper has no {verb}")
