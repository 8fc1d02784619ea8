//! What the desktop is told and asked: notifications, no sleeping, the battery.

use crate::words::{self, fill};
use adw::prelude::*;
use gettextrs::gettext;
use gtk::{gio, glib};

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

const UPOWER: Service = Service {
    bus: gio::BusType::System,
    name: "org.freedesktop.UPower",
    path: "/org/freedesktop/UPower",
    interface: "org.freedesktop.UPower",
};
const BATTERY: Service = Service {
    path: "/org/freedesktop/UPower/devices/DisplayDevice",
    interface: "org.freedesktop.UPower.Device",
    ..UPOWER
};
const SESSION_MANAGER: Service = Service {
    bus: gio::BusType::Session,
    name: "org.gnome.SessionManager",
    path: "/org/gnome/SessionManager",
    interface: "org.gnome.SessionManager",
};
const LOGIN: Service = Service {
    bus: gio::BusType::System,
    name: "org.freedesktop.login1",
    path: "/org/freedesktop/login1",
    interface: "org.freedesktop.login1.Manager",
};

/// The battery's percentage where the computer runs from it and it is low; none otherwise.
pub async fn low_battery() -> Option<f64> {
    if !UPOWER.property("OnBattery").await?.get::<bool>()? {
        return None;
    }
    let percent = BATTERY.property("Percentage").await?.get::<f64>();
    percent.filter(|percent| *percent < LOW)
}

/// Has the desktop restart the computer, which asks the person; false where none does.
pub async fn restart_session() -> bool {
    let reply = SESSION_MANAGER.call("Reboot", None, ANSWERED);
    told(reply.await).is_some()
}

/// Restarts the computer at once (systemd-logind).
pub async fn restart_computer() {
    let interactive = Some((true,).to_variant());
    told(LOGIN.call("Reboot", interactive, ANSWERED).await);
}

/// Milliseconds: as long as a person takes to answer.
const ANSWERED: i32 = i32::MAX;
/// Milliseconds: what a service that answers by itself takes.
const SOON: i32 = 2_000;

/// An object on a bus, and the interface of it that is meant.
struct Service {
    bus: gio::BusType,
    name: &'static str,
    path: &'static str,
    interface: &'static str,
}

impl Service {
    async fn call(
        &self,
        method: &str,
        parameters: Option<glib::Variant>,
        patience: i32,
    ) -> Result<glib::Variant, glib::Error> {
        let bus = gio::bus_get_future(self.bus).await?;
        bus.call_future(
            Some(self.name),
            self.path,
            self.interface,
            method,
            parameters.as_ref(),
            None,
            gio::DBusCallFlags::ALLOW_INTERACTIVE_AUTHORIZATION,
            patience,
        )
        .await
    }

    /// None where there is no such service, or property.
    async fn property(&self, name: &str) -> Option<glib::Variant> {
        let parameters = Some((self.interface, name).to_variant());
        let properties = Service {
            interface: "org.freedesktop.DBus.Properties",
            ..*self
        };
        let reply = properties.call("Get", parameters, SOON).await.ok()?;
        reply.child_value(0).as_variant()
    }
}

fn told<T>(reply: Result<T, glib::Error>) -> Option<T> {
    reply
        .inspect_err(|error| glib::g_message!("sugar-cellar", "{error}"))
        .ok()
}
