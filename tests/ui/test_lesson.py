"""The experiments: predict, do, look, why; and the notebook."""

import json
import subprocess
import time

import store
from cellar import HELPER, WindowTest, key, wait


def tried(stick):
    """What the helper's model says of every step."""
    said = subprocess.run([HELPER, "experiment", stick, "--json"], check=True, capture_output=True,
                          stdin=subprocess.DEVNULL).stdout
    events = map(json.loads, said.splitlines())
    return [event for event in events if event["event"] == "tried"]


def megabytes(sectors):
    return f"{sectors * 512 / 1e6:.1f} MB"


class Lesson(WindowTest):
    def begun(self, stick, **options):
        window = self.window(stick, **options)
        wait(window.gauge, "a gauge")
        window.front()
        window.activate("Experiments…")
        return window

    def test_a_lesson_by_the_keyboard_and_its_notebook(self):
        stick = self.practice("Ana")
        model = tried(stick)
        self.assertEqual([step["step"] for step in model], ["save", "rename", "letter", "new_copy", "delete"])
        window = self.begun(stick)
        window.shows("Step 1 of 5")
        window.shows(f"A new picture of {megabytes(model[0]['bytes'] // 512)} is saved. What will the overlay do?")
        # Without an answer there is nothing to try.
        self.assertIsNone(window.usable("Try It"))
        wait(lambda: window.focused() and "It fills by about" in window.focused().get_name(), "the first answer")
        key("space")
        wait(lambda: window.usable("Try It"), "something to try")
        fill = window.gauge()
        window.press("Try It")
        more = model[0]["after_sectors"] - model[0]["before_sectors"]
        window.shows(f"{megabytes(more)} more.")
        window.shows("Just as you thought!")
        window.shows("The image on the stick is never changed.")
        wait(lambda: window.gauge() > fill + 5, "a fuller gauge")
        for step in range(2, 6):
            window.press("Next Step")
            window.shows(f"Step {step} of 5")
            wait(lambda: window.focused() and "It fills by about" in window.focused().get_name(), "the first answer")
            # "It hardly changes"
            key("Down", "space") if step != 5 else key("Down", "Down", "space")
            wait(lambda: window.usable("Try It"), "something to try")
            window.press("Try It")
            window.shows("That is how one learns" if step in (4, 5) else "Just as you thought!")
        # The lesson of the overlay that is never smaller.
        window.shows("The overlay did not change at all.")
        window.shows("The overlay never lets go of a place.")
        window.press("Show My Notebook")
        window.shows("3 of 5 as you expected.")
        window.shows("You thought: It empties a little. The overlay did not change at all.")
        target = self.folder() / "notes.html"
        window.save("Save as a Page…", target)
        page = wait(lambda: target.exists() and target.read_text(), "a page")
        self.assertEqual(page.count("<tr>"), 6)
        for text in ("Ana", "The picture is deleted", "It empties a little", "never lets go of a place"):
            self.assertIn(text, page)
        window.shows("The notebook is in")
        key("alt+Left")
        wait(window.gauge, "the gauge again")
        self.assertEqual(tried(stick), model)

    def test_on_the_stick_in_use_the_gauge_is_looked_at(self):
        stick = self.practice("Ana")
        window = self.window(env=self.booted(stick))
        wait(window.gauge, "a gauge")
        window.front()
        key("ctrl+e")
        window.shows("Step 1 of 8")
        window.shows("Save something new and large")
        key("space")
        fill = window.gauge()
        store.fill(stick, 60)
        wait(lambda: window.gauge() > fill + 5, "the gauge to follow")
        window.press("I Have Done It")
        window.shows("Waiting until all of it is written…")
        window.shows("Just as you thought!")
        window.press("Next Step")
        window.shows("Step 2 of 8")
        key("Down", "Down", "space")
        window.press("I Have Done It")
        window.shows("The overlay did not change at all.")
        window.shows("A surprise!")

    def test_what_cannot_be_tried_is_told(self):
        stick = self.practice()
        window = self.begun(stick)
        window.shows("Step 1 of 5")
        # It is left while it is asked, and begun again.
        key("alt+Left")
        wait(lambda: window.find("Experiments…"), "the stick again")
        self.spoil(stick)
        key("ctrl+e")
        window.shows("Something on the Stick Is Damaged")
        window.press("Back")
        wait(window.gauge, "the gauge again")
        time.sleep(1)
