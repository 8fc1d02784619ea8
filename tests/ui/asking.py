"""The privileged side: run by tests/ui/polkit, once for each answer of polkitd."""

import os
import time

from cellar import WindowTest, key, type_text, wait

ANSWER = os.environ["CELLAR_ANSWER"]
DEVICE = os.environ["CELLAR_DEVICE"]


class Asking(WindowTest):
    def test_reads_what_only_root_may(self):
        window = self.window(DEVICE)
        if ANSWER == "YES":
            wait(window.gauge, "a gauge")
            window.shows("% full")
        elif ANSWER == "NO":
            window.shows("Not Allowed")
            self.assertTrue(window.usable("Try Again"))
        else:
            self.asked(window)

    def asked(self, window):
        """No agent in this session: the window asks, for the password of the administrator."""
        window.shows("A Password Is Needed")
        self.typing(window)
        type_text("salt")
        self.answer()
        window.shows("That was not the right password")
        self.typing(window)
        type_text("sugar cube")
        self.answer()
        wait(window.gauge, "a gauge")

    def typing(self, window):
        """Waits until the keyboard is where the password goes."""

        def there():
            focused = window.focused()
            return focused and "text" in focused.get_role_name()

        wait(there, "the keyboard in the question")

    def answer(self):
        """Presses Return, and does not look while the dialog goes: GTK 4.8 stumbles where a screen
        reader asks for a widget that is being freed."""
        key("Return")
        time.sleep(2)

    def test_a_closed_question_is_a_sentence(self):
        if ANSWER != "AUTH_ADMIN":
            return
        window = self.window(DEVICE)
        window.shows("A Password Is Needed")
        self.typing(window)
        key("Escape")
        time.sleep(1)
        window.shows("The question for the password was closed")
