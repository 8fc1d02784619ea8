"""What a desktop has besides windows: takes notifications, and who keeps it awake, and has a battery; for the tests."""

from gi.repository import Gio, GLib

INTERFACE = """<node><interface name="org.freedesktop.Notifications">
<method name="Notify"><arg type="s" direction="in"/><arg type="u" direction="in"/><arg type="s" direction="in"/>
<arg type="s" direction="in"/><arg type="s" direction="in"/><arg type="as" direction="in"/>
<arg type="a{sv}" direction="in"/><arg type="i" direction="in"/><arg type="u" direction="out"/></method>
<method name="CloseNotification"><arg type="u" direction="in"/></method>
<method name="GetCapabilities"><arg type="as" direction="out"/></method>
<method name="GetServerInformation"><arg type="s" direction="out"/><arg type="s" direction="out"/>
<arg type="s" direction="out"/><arg type="s" direction="out"/></method>
</interface><interface name="org.gnome.SessionManager">
<method name="RegisterClient"><arg type="s" direction="in"/><arg type="s" direction="in"/><arg type="o" direction="out"/></method>
<method name="UnregisterClient"><arg type="o" direction="in"/></method>
<method name="Inhibit"><arg type="s" direction="in"/><arg type="u" direction="in"/><arg type="s" direction="in"/>
<arg type="u" direction="in"/><arg type="u" direction="out"/></method>
<method name="Uninhibit"><arg type="u" direction="in"/></method>
<method name="Reboot"></method>
</interface><interface name="org.freedesktop.UPower"><property name="OnBattery" type="b" access="read"/>
</interface><interface name="org.freedesktop.UPower.Device"><property name="Percentage" type="d" access="read"/>
</interface></node>"""

PATHS = {"org.freedesktop.UPower.Device": "/org/freedesktop/UPower/devices/DisplayDevice"}
told = []
# Why it is kept awake, by the session manager's cookie: flags (1 logging out, 4 suspending), reason.
awake = {}
# Each time it was asked to restart the computer.
restarts = []
cookies = iter(range(1, 1 << 30))


def called(_bus, _sender, _path, _interface, method, parameters, invocation):
    if method == "RegisterClient":
        invocation.return_value(GLib.Variant("(o)", ("/org/gnome/SessionManager/Client1",)))
    elif method == "Inhibit":
        _program, _window, reason, flags = parameters.unpack()
        cookie = next(cookies)
        awake[cookie] = (flags, reason)
        invocation.return_value(GLib.Variant("(u)", (cookie,)))
    elif method == "Reboot":
        restarts.append(method)
        invocation.return_value(None)
    elif method == "Uninhibit":
        awake.pop(*parameters.unpack())
        invocation.return_value(None)
    elif method == "Notify":
        told.append(tuple(parameters.unpack()[3:5]))
        invocation.return_value(GLib.Variant("(u)", (len(told),)))
    elif method == "GetCapabilities":
        invocation.return_value(GLib.Variant("(as)", (["body"],)))
    elif method == "GetServerInformation":
        invocation.return_value(GLib.Variant("(ssss)", ("tests", "", "1", "1.2")))
    else:
        invocation.return_value(None)


def charge(*asked):
    """A laptop that is not plugged in."""
    return GLib.Variant("b", True) if asked[-1] == "OnBattery" else GLib.Variant("d", 12.0)


def begin():
    """Owns their names on the session bus, served by a main loop on a thread."""
    import threading

    context = GLib.MainContext.new()

    def serve():
        context.push_thread_default()
        bus = Gio.bus_get_sync(Gio.BusType.SESSION)
        node = Gio.DBusNodeInfo.new_for_xml(INTERFACE)
        for interface in node.interfaces:
            path = PATHS.get(interface.name, "/" + interface.name.replace(".", "/"))
            bus.register_object(path, interface, called, charge, None)
            Gio.bus_own_name_on_connection(bus, interface.name, Gio.BusNameOwnerFlags.NONE, None, None)
        GLib.MainLoop.new(context, False).run()

    threading.Thread(target=serve, daemon=True).start()
