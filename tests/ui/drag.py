"""A window beside the one under test, from which a file is dragged: drag.py FILE."""

import sys

import gi

gi.require_version("Gdk", "4.0")
gi.require_version("Gtk", "4.0")
from gi.repository import Gdk, Gio, GLib, Gtk  # noqa: E402

window = Gtk.Window(title="Files", default_width=150, default_height=150)
label = Gtk.Label(label="A stick's image", hexpand=True, vexpand=True)
drag = Gtk.DragSource()
address = Gio.File.new_for_path(sys.argv[1]).get_uri() + "\r\n"
content = Gdk.ContentProvider.new_for_bytes("text/uri-list", GLib.Bytes.new(address.encode()))
drag.connect("prepare", lambda *_: content)
label.add_controller(drag)
window.set_child(label)
window.present()
GLib.MainLoop().run()
