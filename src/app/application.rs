//! The application: one instance, its actions, what is typed to start it.

use crate::config;
use crate::dialogs;
use crate::window::Window;
use adw::prelude::*;
use gtk::gio;
use gtk::glib;
use std::ops::ControlFlow;

/// Starts the application, or shows the one that runs already.
pub fn run() -> glib::ExitCode {
    sugar_cellar::helper::locale::begin();
    if let Err(error) = gio::resources_register_include!("sugar-cellar.gresource") {
        eprintln!("sugar-cellar: {error}");
        return glib::ExitCode::FAILURE;
    }
    glib::set_application_name(&gettextrs::gettext("Sugar Cellar"));
    let application = adw::Application::builder()
        .application_id(config::APP_ID)
        .flags(gio::ApplicationFlags::HANDLES_COMMAND_LINE)
        .resource_base_path(config::RESOURCES)
        .build();
    arguments(&application);
    application.connect_startup(actions);
    application.connect_command_line(|application, line| {
        typed(application, line);
        glib::ExitCode::SUCCESS
    });
    application.run()
}

fn arguments(application: &adw::Application) {
    use gettextrs::gettext;
    application.add_main_option(
        "version",
        glib::Char::from(b'V'),
        glib::OptionFlags::NONE,
        glib::OptionArg::None,
        &gettext("Print the version"),
        None,
    );
    application.set_option_context_parameter_string(Some(&gettext("[STICK…]")));
    let summary =
        gettext("Shows how full a live USB stick is, and refreshes it without losing anything.");
    let more = gettext("“sugar-cellar COMMAND …” is the same as “sugar-cellar-helper COMMAND …”.");
    application.set_option_context_summary(Some(&format!("{summary}\n{more}")));
    application.connect_handle_local_options(|_, options| {
        if options.contains("version") {
            println!("sugar-cellar {}", config::VERSION);
            return ControlFlow::Break(glib::ExitCode::SUCCESS);
        }
        ControlFlow::Continue(())
    });
}

fn typed(application: &adw::Application, line: &gio::ApplicationCommandLine) {
    let window = show(application);
    for argument in line.arguments().iter().skip(1) {
        if argument == "live" {
            window.select("live");
        } else if let Some(path) = line.create_file_for_arg(argument).path() {
            window.open(&path);
        }
    }
}

/// The window, made where there is none, and brought to the front.
fn show(application: &adw::Application) -> Window {
    let window = application
        .windows()
        .into_iter()
        .find_map(|window| window.downcast::<Window>().ok());
    let window = window.unwrap_or_else(|| Window::new(application));
    window.present();
    window
}

fn actions(application: &adw::Application) {
    let about = gio::ActionEntry::builder("about")
        .activate(|application: &adw::Application, _, _| {
            dialogs::about(application.active_window().as_ref())
        })
        .build();
    let quit = gio::ActionEntry::builder("quit")
        .activate(|application: &adw::Application, _, _| {
            // The window asks where a refresh runs.
            match application.active_window() {
                Some(window) => window.close(),
                None => drop(show(application)),
            }
        })
        .build();
    let bring = gio::ActionEntry::builder("show")
        .activate(|application: &adw::Application, _, _| drop(show(application)))
        .build();
    application.add_action_entries([about, quit, bring]);
    for (action, keys) in [
        ("app.quit", "<Control>q"),
        ("window.close", "<Control>w"),
        ("win.show-help-overlay", "<Control>question"),
        ("win.open", "<Control>o"),
        ("win.practice", "<Control>n"),
        ("win.refresh", "<Control>r"),
        ("win.inside", "<Control>i"),
        ("win.lesson", "<Control>e"),
        ("win.space", "<Control>s"),
        ("win.history", "<Control>h"),
        ("win.table", "<Control>t"),
        ("win.look", "F5"),
        ("win.back", "<Alt>Left"),
    ] {
        application.set_accels_for_action(action, &[keys]);
    }
}
