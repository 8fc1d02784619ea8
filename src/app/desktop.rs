//! What the desktop is told and asked: notifications, no sleeping, the battery.

use crate::words::{self, fill};
use adw::prelude::*;
use gettextrs::gettext;
use gtk::gio;

/// Keeps the computer from sleeping and the session from ending, as long as it lives.
#[derive(Debug)]
pub struct Awake {
    application: gtk::Application,
    cookie: u32,
    /// The application lives on while the window is closed.
    _hold: gio::ApplicationHoldGuard,
}

impl Awake {
    /// From now on.
    pub fn new(application: &gtk::Application, window: Option<&gtk::Window>) -> Awake {
        let flags = gtk::ApplicationInhibitFlags::SUSPEND | gtk::ApplicationInhibitFlags::LOGOUT;
        let reason = gettext("A stick is being refreshed");
        Awake {
            cookie: application.inhibit(window, flags, Some(&reason)),
            _hold: application.hold(),
            application: application.clone(),
        }
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        if self.cookie != 0 {
            self.application.uninhibit(self.cookie);
        }
    }
}

/// Tells that a stick crossed 70 or 90 %.
pub fn crossed(
    application: &impl IsA<gio::Application>,
    key: &str,
    name: &str,
    level: u8,
    percent: f64,
) {
    let title = match level {
        90 => gettext("“{name}” is almost full"),
        _ => gettext("“{name}” is filling up"),
    };
    let body = match level {
        90 => gettext("It is {percent} full. Refresh it today, before nothing more fits."),
        _ => gettext("It is {percent} full. A refresh soon makes room again."),
    };
    let note = gio::Notification::new(&fill(&title, &[("name", name)]));
    note.set_body(Some(&body.replace("{percent}", &words::percent(percent))));
    note.set_priority(if level == 90 {
        gio::NotificationPriority::High
    } else {
        gio::NotificationPriority::Normal
    });
    note.set_default_action("app.show");
    application.send_notification(Some(&format!("full-{key}")), &note);
}

/// Tells how a refresh ended that nobody was looking at.
pub fn ended(application: &impl IsA<gio::Application>, title: &str, body: &str) {
    let note = gio::Notification::new(title);
    note.set_body(Some(body));
    note.set_default_action("app.show");
    application.send_notification(Some("refresh"), &note);
}

/// Below this a battery is too low for a refresh.
const LOW: f64 = 30.0;

/// The battery's percentage where the computer runs from it and it is low; none otherwise.
pub async fn low_battery() -> Option<f64> {
    let device = property(
        "/org/freedesktop/UPower/devices/DisplayDevice",
        "org.freedesktop.UPower.Device",
        "Percentage",
    );
    let on_battery = property(
        "/org/freedesktop/UPower",
        "org.freedesktop.UPower",
        "OnBattery",
    )
    .await?;
    if on_battery.get::<bool>() != Some(true) {
        return None;
    }
    device.await?.get::<f64>().filter(|percent| *percent < LOW)
}

async fn property(path: &str, interface: &str, name: &str) -> Option<gtk::glib::Variant> {
    let bus = gio::bus_get_future(gio::BusType::System).await.ok()?;
    let reply = bus
        .call_future(
            Some("org.freedesktop.UPower"),
            path,
            "org.freedesktop.DBus.Properties",
            "Get",
            Some(&(interface, name).to_variant()),
            None,
            gio::DBusCallFlags::NONE,
            2_000,
        )
        .await
        .ok()?;
    reply.child_value(0).as_variant()
}

/// Has the desktop restart the computer, which asks the person; false where none does.
pub async fn restart_session() -> bool {
    let manager = "org.gnome.SessionManager";
    let path = "/org/gnome/SessionManager";
    call(
        gio::BusType::Session,
        manager,
        path,
        manager,
        "Reboot",
        None,
    )
    .await
}

/// Restarts the computer at once (systemd-logind).
pub async fn restart_computer() {
    let path = "/org/freedesktop/login1";
    let interactive = Some((true,).to_variant());
    let manager = "org.freedesktop.login1.Manager";
    call(
        gio::BusType::System,
        "org.freedesktop.login1",
        path,
        manager,
        "Reboot",
        interactive,
    )
    .await;
}

async fn call(
    bus: gio::BusType,
    name: &str,
    path: &str,
    interface: &str,
    method: &str,
    parameters: Option<gtk::glib::Variant>,
) -> bool {
    let Ok(bus) = gio::bus_get_future(bus).await else {
        return false;
    };
    let flags = gio::DBusCallFlags::ALLOW_INTERACTIVE_AUTHORIZATION;
    // As long as the person takes to answer.
    let reply = bus.call_future(
        Some(name),
        path,
        interface,
        method,
        parameters.as_ref(),
        None,
        flags,
        i32::MAX,
    );
    reply
        .await
        .inspect_err(|error| gtk::glib::g_message!("sugar-cellar", "{interface}: {error}"))
        .is_ok()
}
