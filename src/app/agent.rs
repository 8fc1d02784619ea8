//! An authentication agent of the window's own, for sessions that have none (Sugar's shell).
//!
//! It is registered with polkit for this process alone and, within a session, as a fallback: where
//! the session has an agent, polkit goes on asking that one. The password goes straight to polkit's own
//! `polkit-agent-helper-1`, which talks to PAM; the window never checks it.
//!
//! polkit's interface org.freedesktop.PolicyKit1.AuthenticationAgent, and the helper's lines
//! (src/polkitagent/polkitagentsession.c): the user's name as argument, the cookie as first line
//! on its standard input, then `PAM_PROMPT_ECHO_OFF text` and the like, a line as answer to each
//! prompt, and at last `SUCCESS` or `FAILURE`.

use crate::asking::{AUTHORITY, AUTHORITY_INTERFACE, POLKIT, subject};
use crate::dialogs;
use adw::prelude::*;
use gtk::gio;
use gtk::glib::{self, Variant};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::Path;

const OBJECT: &str = "/org/sugarlabs/SugarCellar/AuthenticationAgent";
const INTERFACE: &str = r#"<node>
  <interface name="org.freedesktop.PolicyKit1.AuthenticationAgent">
    <method name="BeginAuthentication">
      <arg type="s" name="action_id" direction="in"/>
      <arg type="s" name="message" direction="in"/>
      <arg type="s" name="icon_name" direction="in"/>
      <arg type="a{ss}" name="details" direction="in"/>
      <arg type="s" name="cookie" direction="in"/>
      <arg type="a(sa{sv})" name="identities" direction="in"/>
    </method>
    <method name="CancelAuthentication">
      <arg type="s" name="cookie" direction="in"/>
    </method>
  </interface>
</node>"#;
/// Where distributions put it.
const HELPERS: [&str; 3] = [
    "/usr/lib/polkit-1/polkit-agent-helper-1",
    "/usr/libexec/polkit-agent-helper-1",
    "/usr/lib/policykit-1/polkit-agent-helper-1",
];
/// As often as a person may mistype.
const TRIES: u32 = 3;
const CANCELLED: &str = "org.freedesktop.PolicyKit1.Error.Cancelled";
const FAILED: &str = "org.freedesktop.PolicyKit1.Error.Failed";

thread_local! {
    static REGISTERED: Cell<bool> = const { Cell::new(false) };
    /// polkit forgets an agent whose connection is closed, and GIO closes one that nobody holds.
    static BUS: RefCell<Option<gio::DBusConnection>> = const { RefCell::new(None) };
}

/// Registers the agent, once; where that does not work, pkexec says no by itself.
pub async fn ensure() {
    if REGISTERED.replace(true) {
        return;
    }
    if let Err(error) = register().await {
        glib::g_info!(
            "sugar-cellar",
            "no authentication agent of our own: {error}"
        );
    }
}

async fn register() -> Result<(), glib::Error> {
    let bus = gio::bus_get_future(gio::BusType::System).await?;
    let node = gio::DBusNodeInfo::for_xml(INTERFACE)?;
    let Some(interface) = node.interfaces().first() else {
        return Ok(());
    };
    bus.register_object(OBJECT, interface)
        .method_call(|_, _, _, _, method, parameters, invocation| {
            called(method, &parameters, invocation);
        })
        .build()?;
    let locale = std::env::var("LANG").unwrap_or_else(|_| "C".into());
    let options: HashMap<&str, Variant> = HashMap::from([("fallback", in_session().to_variant())]);
    let parameters = Variant::tuple_from_iter([
        subject(),
        locale.to_variant(),
        OBJECT.to_variant(),
        options.to_variant(),
    ]);
    bus.call_future(
        Some(POLKIT),
        AUTHORITY,
        AUTHORITY_INTERFACE,
        "RegisterAuthenticationAgentWithOptions",
        Some(&parameters),
        None,
        gio::DBusCallFlags::NONE,
        5_000,
    )
    .await?;
    BUS.replace(Some(bus));
    Ok(())
}

/// Whether polkit finds a session of logind for this process, and so perhaps another agent.
///
/// Without one no other agent can be registered, and polkit does not ask a fallback
/// (polkitbackendinteractiveauthority.c, `get_authentication_agent_for_subject`). It looks as
/// sd_pid_get_session(3) and sd_uid_get_display(3) do.
fn in_session() -> bool {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let uid = rustix::process::getuid().as_raw();
    read("/proc/self/cgroup").contains("/session-")
        || read(&format!("/run/systemd/users/{uid}"))
            .lines()
            .any(|line| {
                line.strip_prefix("DISPLAY=")
                    .is_some_and(|display| !display.is_empty())
            })
}

fn called(method: &str, parameters: &Variant, invocation: gio::DBusMethodInvocation) {
    if method != "BeginAuthentication" {
        dialogs::close_password();
        invocation.return_value(None);
        return;
    }
    let text = |index| {
        parameters
            .child_value(index)
            .get::<String>()
            .unwrap_or_default()
    };
    let (message, cookie) = (text(1), text(4));
    let user = identity(&parameters.child_value(5));
    glib::spawn_future_local(async move {
        let outcome = match user {
            Some(user) => authenticate(user, &message, &cookie).await,
            None => Outcome::Failed,
        };
        match outcome {
            Outcome::Allowed => invocation.return_value(None),
            Outcome::Cancelled => {
                invocation.return_dbus_error(CANCELLED, "The question was closed")
            }
            Outcome::Failed => invocation.return_dbus_error(FAILED, "The password was not right"),
        }
    });
}

enum Outcome {
    Allowed,
    Cancelled,
    Failed,
}

/// Who is to show that they are who they are: the person at the computer where they may, else
/// the administrator, else the first user named.
fn identity(identities: &Variant) -> Option<u32> {
    let users: Vec<u32> = identities
        .iter()
        .filter(|identity| identity.child_value(0).str() == Some("unix-user"))
        .filter_map(|identity| {
            let details = glib::VariantDict::new(Some(&identity.child_value(1)));
            details.lookup::<u32>("uid").ok().flatten()
        })
        .collect();
    let own = rustix::process::getuid().as_raw();
    let wanted = [own, 0].into_iter().find(|uid| users.contains(uid));
    wanted.or_else(|| users.first().copied())
}

async fn authenticate(uid: u32, message: &str, cookie: &str) -> Outcome {
    let (Some(user), Some(helper)) = (name_of(uid).await, helper()) else {
        return Outcome::Failed;
    };
    for attempt in 0..TRIES {
        match attempt_once(helper, &user, message, cookie, attempt > 0).await {
            Ok(Outcome::Failed) => {}
            Ok(outcome) => return outcome,
            Err(error) => {
                glib::g_info!("sugar-cellar", "{helper}: {error}");
                return Outcome::Failed;
            }
        }
    }
    Outcome::Failed
}

fn helper() -> Option<&'static str> {
    HELPERS.into_iter().find(|path| Path::new(path).exists())
}

/// The user's name; `getent` asks whatever the system keeps its users in.
async fn name_of(uid: u32) -> Option<String> {
    let flags = gio::SubprocessFlags::STDOUT_PIPE;
    let arguments = ["getent", "passwd", &uid.to_string()]
        .map(OsStr::new)
        .map(OsStr::to_owned);
    let getent = gio::Subprocess::newv(&arguments.each_ref().map(|a| a.as_os_str()), flags).ok()?;
    let (output, _) = getent.communicate_utf8_future(None).await.ok()?;
    let name = output?.split(':').next()?.to_owned();
    (!name.is_empty()).then_some(name)
}

async fn attempt_once(
    helper: &str,
    user: &str,
    message: &str,
    cookie: &str,
    wrong: bool,
) -> Result<Outcome, glib::Error> {
    let flags = gio::SubprocessFlags::STDIN_PIPE | gio::SubprocessFlags::STDOUT_PIPE;
    let process = gio::Subprocess::newv(&[OsStr::new(helper), OsStr::new(user)], flags)?;
    let (Some(input), Some(output)) = (process.stdin_pipe(), process.stdout_pipe()) else {
        return Ok(Outcome::Failed);
    };
    write_line(&input, cookie).await?;
    let lines = gio::DataInputStream::new(&output);
    loop {
        let line = lines.read_line_utf8_future(glib::Priority::DEFAULT).await?;
        let Some(line) = line else {
            return Ok(Outcome::Failed);
        };
        let line = unescaped(&line);
        if let Some(prompt) = line
            .strip_prefix("PAM_PROMPT_ECHO_OFF ")
            .or(line.strip_prefix("PAM_PROMPT_ECHO_ON "))
        {
            let over = front();
            match dialogs::password(
                over.as_ref(),
                message,
                prompt.trim_end_matches([':', ' ']),
                wrong,
            )
            .await
            {
                Some(password) => write_line(&input, &password).await?,
                None => {
                    process.force_exit();
                    return Ok(Outcome::Cancelled);
                }
            }
        } else if line.starts_with("SUCCESS") {
            return Ok(Outcome::Allowed);
        } else if line.starts_with("FAILURE") {
            return Ok(Outcome::Failed);
        }
    }
}

/// The window that the question is put over.
fn front() -> Option<gtk::Window> {
    let application = gtk::gio::Application::default().and_downcast::<gtk::Application>()?;
    application
        .active_window()
        .or_else(|| application.windows().into_iter().next())
}

async fn write_line(pipe: &gio::OutputStream, line: &str) -> Result<(), glib::Error> {
    let bytes = format!("{line}\n").into_bytes();
    let written = pipe.write_all_future(bytes, glib::Priority::DEFAULT).await;
    written.map(|_| ()).map_err(|(_, error)| error)
}

/// Undoes g_strescape() of the helper: octal bytes and the usual letters.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes().peekable();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next() {
            Some(b'n') => bytes.push(b'\n'),
            Some(b't') => bytes.push(b'\t'),
            Some(digit @ b'0'..=b'7') => {
                let mut value = u32::from(digit - b'0');
                for _ in 0..2 {
                    let Some(next) = rest.next_if(|next| (b'0'..=b'7').contains(next)) else {
                        break;
                    };
                    value = value * 8 + u32::from(next - b'0');
                }
                bytes.push(value as u8);
            }
            Some(other) => bytes.push(other),
            None => {}
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_are_unescaped() {
        assert_eq!(unescaped(r"Contrase\303\261a: "), "Contraseña: ");
        assert_eq!(unescaped(r#"a\"b\\c\n"#), "a\"b\\c\n");
        assert_eq!(unescaped("\\"), "");
    }

    fn identities(uids: &[u32]) -> Variant {
        let all: Vec<(String, HashMap<String, Variant>)> = uids
            .iter()
            .map(|uid| {
                (
                    "unix-user".to_owned(),
                    HashMap::from([("uid".to_owned(), uid.to_variant())]),
                )
            })
            .collect();
        all.to_variant()
    }

    #[test]
    fn the_person_at_the_computer_is_asked_first() {
        let own = rustix::process::getuid().as_raw();
        assert_eq!(identity(&identities(&[7, own])), Some(own));
        assert_eq!(identity(&identities(&[4_000_000])), Some(4_000_000));
        assert_eq!(identity(&identities(&[])), None);
    }

    #[test]
    fn the_interface_is_what_polkit_calls() {
        let node = gio::DBusNodeInfo::for_xml(INTERFACE).unwrap();
        let interface = node
            .lookup_interface("org.freedesktop.PolicyKit1.AuthenticationAgent")
            .unwrap();
        assert!(interface.lookup_method("BeginAuthentication").is_some());
    }
}
