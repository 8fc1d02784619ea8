"""Pictures of every page, in every dress: `make screenshots` runs it."""

import os
import signal
import subprocess
import time
from pathlib import Path

import past
import store
from cellar import HELPER, WindowTest, key, wait

FOLDER = Path(os.environ.get("CELLAR_PICTURES", "target/screenshots"))
# Name: width, height, environment, GTK's font, language.
DRESSES = {
    "light": (820, 860, {}, "Cantarell 11", None),
    "dark": (820, 860, {"ADW_DEBUG_COLOR_SCHEME": "prefer-dark"}, "Cantarell 11", None),
    "contrast": (820, 860, {"ADW_DEBUG_HIGH_CONTRAST": "1"}, "Cantarell 11", None),
    "narrow": (360, 720, {}, "Cantarell 11", None),
    "wide": (1280, 900, {}, "Cantarell 11", None),
    "large": (700, 960, {}, "Cantarell 11", None),
    "rtl": (820, 860, {}, "Cantarell 11", "he_IL"),
    "spanish": (820, 860, {}, "Cantarell 11", "es_ES"),
    "french": (360, 800, {}, "Cantarell 11", "fr_FR"),
}


def dress(home, name):
    """What to start the window with, so that it is dressed so."""
    width, height, env, font, language = DRESSES[name]
    config = home / "config/gtk-4.0"
    config.mkdir(parents=True)
    (config / "settings.ini").write_text(f"[Settings]\ngtk-font-name={font}\n")
    if name == "large":
        # As the desktop's switch for large text does it, and more.
        (home / ".Xdefaults").write_text("Xft.dpi: 168\n")
    env = dict(env)
    if language:
        made = home / "locales" / f"{language}.UTF-8"
        made.parent.mkdir()
        subprocess.run(["localedef", "-i", language, "-f", "UTF-8", made], check=True, stderr=subprocess.DEVNULL)
        env |= {"LOCPATH": str(made.parent), "LC_ALL": f"{language}.UTF-8"}
        short = language[:2]
        po = Path(__file__).parents[2] / f"po/{short}.po"
        if not po.exists():
            # GLib leaves GTK untranslated, and so from left to right, where the program has no
            # translation: an empty one is enough.
            po = home / "empty.po"
            po.write_text('msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n')
        messages = home / f"texts/{short}/LC_MESSAGES"
        messages.mkdir(parents=True)
        subprocess.run(["msgfmt", "-o", messages / "sugar-cellar.mo", po], check=True)
        env["TEXTDOMAINDIR"] = str(home / "texts")
    return width, height, env


class Pictures(WindowTest):
    """One test a dress, so that one that fails leaves the others."""

    def dressed(self, *arguments, also=(), before=None):
        home = self.folder()
        width, height, env = dress(home, self.name)
        if before:
            before(home)
        window = self.window(*arguments, env={**env, **dict(also)}, user_home=home)
        window.size = (width, height)
        return window

    def take(self, window, page, settle=1.2):
        """A picture of the window as it is now, and of what lies over it."""
        if not hasattr(window, "placed"):
            window.front()
            found = subprocess.run(["xdotool", "search", "--onlyvisible", "--pid", str(window.process.pid)],
                                   capture_output=True, text=True).stdout.split()
            width, height = map(str, window.size)
            subprocess.run(["xdotool", "windowsize", found[0], width, height, "windowmove", found[0], "0", "0"])
            window.placed = True
        time.sleep(settle)
        target = FOLDER / self.name
        target.mkdir(parents=True, exist_ok=True)
        crop = f"{window.size[0]}x{window.size[1]}+0+0"
        subprocess.run(["import", "-window", "root", "-crop", crop, "+repage", target / f"{page}.png"], check=True)

    def pages(self):
        window = self.dressed()
        wait(lambda: any("button" in n.get_role_name() for n in window.nodes()), "a page")
        self.take(window, "none")
        key("ctrl+question")
        self.take(window, "shortcuts")
        window.stop()

        stick = self.practice("Ana")
        window = self.dressed(stick)
        wait(window.gauge, "a gauge")
        self.take(window, "stick")
        key("F10")
        self.take(window, "menu")
        key("Escape")
        self.take_inside(window)
        self.take_space(window)
        self.take_lesson(window)
        store.fill(stick, 75)
        wait(lambda: window.gauge() >= 75, "three quarters")
        self.take(window, "filling", 2)
        store.fill(stick, 93)
        wait(lambda: window.gauge() >= 93, "nine tenths")
        self.take(window, "nearly-full", 2)
        key("ctrl+r")
        time.sleep(4)
        self.take(window, "question")
        key("Return")
        self.take_running(window)
        wait(lambda: not self.refreshing(window), "the end", 180)
        self.take(window, "done", 2)
        window.stop()

        self.take_history()

        window = self.dressed(self.practice("Ana"), also=self.waiting())
        wait(window.gauge, "a gauge")
        self.take(window, "waiting")
        window.stop()

        window = self.dressed(self.practice("Ana"), also=self.waiting("/finished/"))
        wait(window.gauge, "a gauge")
        window.front()
        key("ctrl+r")
        time.sleep(4)
        key("Return")
        time.sleep(8)
        self.take(window, "restart")
        window.stop()

        sticks, env = self.plugged({"Ana": "1-1.2", "Bo": "1-1.4", "Cy": "2-3"}, f'sleep 2; exec "{HELPER}" "$@"')
        for name in ("Bo", "Cy"):
            store.fill(sticks[name], 80)
        window = self.dressed(also=env)
        wait(window.gauge, "a gauge")
        self.take(window, "several", 2)
        key("ctrl+t")
        time.sleep(3)
        self.take(window, "table")
        window.press("Refresh 2 Sticks" if self.name not in ("spanish", "french") else next(
            text for text in window.texts() if text.endswith(("2 memorias", "2 clés"))))
        time.sleep(3.2)
        self.take(window, "table-working", 0.2)
        wait(lambda: window.process.poll() is None and not self.refreshing(window), "the end", 180)
        self.take(window, "table-done", 3)
        window.stop()

        window = self.dressed(self.folder())
        time.sleep(3)
        self.take(window, "trouble")
        window.stop()

    def take_inside(self, window):
        window.front()
        key("ctrl+i")
        time.sleep(3)
        self.take(window, "inside")
        key("Tab", "Tab", "Return")
        self.take(window, "inside-folder")
        key("alt+Left", "alt+Left")
        wait(window.gauge, "a gauge")

    def take_space(self, window):
        window.front()
        key("ctrl+s")
        time.sleep(3)
        self.take(window, "space")
        key("alt+Left")
        wait(window.gauge, "a gauge")

    def take_lesson(self, window):
        window.front()
        key("ctrl+e")
        time.sleep(4)
        for step in range(5):
            key("space")
            if step == 0:
                self.take(window, "lesson")
            key("Tab", "Return")
            if step in (0, 4):
                self.take(window, f"lesson-look-{step}")
            # The next step's button has the keyboard.
            key("Return")
            time.sleep(1)
        self.take(window, "notebook")
        key("alt+Left")
        wait(window.gauge, "a gauge")

    def take_history(self):
        stick = self.practice("Ana")
        now = past.status(stick)["overlay"]["percent"]
        grown = [20 + 3 * (day // 2) + 4 * (day // 7) for day in range(36)]
        since = [now * (day + max(0, day - 14)) / 33 for day in range(24)]
        window = self.dressed(stick, before=lambda home: past.plant(home, stick, grown + since, marks=[36]))
        wait(window.gauge, "a gauge")
        window.front()
        self.take(window, "forecast")
        # The chart tells of what is pointed at.
        subprocess.run(["xdotool", "mousemove", "1279", "999"], check=True)
        key("ctrl+h")
        time.sleep(2)
        self.take(window, "history")
        day, _, term, _ = [node for node in window.nodes() if node.get_role_name() == "push button"][-4:]
        term.get_action_iface().do_action(0)
        self.take(window, "history-term")
        day.get_action_iface().do_action(0)
        store.fill(stick, now + 3)
        self.take(window, "history-day", 3)
        window.stop()

    def take_running(self, window):
        pid = window.helper("refresh")
        time.sleep(1.5)
        try:
            os.kill(pid, signal.SIGSTOP)
        except ProcessLookupError:
            return
        self.take(window, "running")
        key("ctrl+w")
        self.take(window, "closing")
        key("Escape")
        os.kill(pid, signal.SIGCONT)


def add(name):
    def test(self):
        self.name = name
        self.pages()

    setattr(Pictures, f"test_{name}", test)


for each in DRESSES:
    add(each)
