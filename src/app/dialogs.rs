//! The dialogs. Their libadwaita types change after 1.2, so that they stand in one place.

use crate::config;
use crate::trouble::Problem;
use crate::words::fill;
use adw::prelude::*;
use gettextrs::gettext;
use gtk::glib;
use std::cell::RefCell;
use sugar_cellar::helper::kinds;
use sugar_cellar::protocol::Clutter;

fn window_of(widget: &impl IsA<gtk::Widget>) -> Option<gtk::Window> {
    widget.root().and_downcast()
}

/// The details of a problem, to copy into a report.
pub fn details(over: &impl IsA<gtk::Widget>, problem: &Problem) {
    let text = gtk::TextView::builder()
        .editable(false)
        .monospace(true)
        .wrap_mode(gtk::WrapMode::WordChar)
        .top_margin(9)
        .bottom_margin(9)
        .left_margin(9)
        .right_margin(9)
        .build();
    text.buffer().set_text(&format!(
        "Sugar Cellar {}\n{}",
        config::VERSION,
        problem.details
    ));
    text.update_property(&[gtk::accessible::Property::Label(&gettext("Details"))]);
    let scrolled = gtk::ScrolledWindow::builder()
        .child(&text)
        .min_content_height(160)
        .propagate_natural_height(true)
        .css_classes(["card"])
        .build();
    let dialog = adw::MessageDialog::new(window_of(over).as_ref(), Some(&gettext("Details")), None);
    dialog.set_extra_child(Some(&scrolled));
    dialog.add_responses(&[("close", &gettext("_Close")), ("copy", &gettext("C_opy"))]);
    dialog.set_default_response(Some("copy"));
    dialog.set_close_response("close");
    let buffer = text.buffer();
    dialog.connect_response(Some("copy"), move |dialog, _| {
        let (start, end) = buffer.bounds();
        dialog
            .clipboard()
            .set_text(&buffer.text(&start, &end, false));
    });
    dialog.present();
}

/// Shows the dialog and waits for its answer.
async fn answer(dialog: &adw::MessageDialog) -> String {
    let (sender, receiver) = async_channel::bounded(1);
    dialog.connect_response(None, move |_, response| {
        // One answer is enough.
        let _ = sender.try_send(response.to_owned());
    });
    dialog.present();
    receiver.recv().await.unwrap_or_default()
}

/// What a person wants who closes the window while a refresh runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// The refresh goes on, the window goes away.
    Background,
    /// The refresh is cancelled.
    Cancel,
    /// Neither.
    Stay,
}

/// Asks what shall become of a running refresh.
pub async fn closing(over: &impl IsA<gtk::Widget>) -> Closing {
    let dialog = question(
        over,
        &gettext("The Refresh Is Still Running"),
        &gettext("It can go on without the window. Open Sugar Cellar again to see how far it is."),
        &[
            ("stay", &gettext("_Stay Here")),
            ("cancel", &gettext("_Cancel the Refresh")),
            ("background", &gettext("Go _On Without the Window")),
        ],
    );
    dialog.set_response_appearance("cancel", adw::ResponseAppearance::Destructive);
    match answer(&dialog).await.as_str() {
        "background" => Closing::Background,
        "cancel" => Closing::Cancel,
        _ => Closing::Stay,
    }
}

/// Whether to restart the computer now.
pub async fn restart(over: &impl IsA<gtk::Widget>) -> bool {
    let dialog = question(
        over,
        &gettext("Restart the Computer?"),
        &gettext("Save what is open in other programs first."),
        &[
            ("stay", &gettext("_Not Now")),
            ("restart", &gettext("_Restart")),
        ],
    );
    answer(&dialog).await == "restart"
}

/// Whether to remove what may go.
pub async fn clean(over: &impl IsA<gtk::Widget>, clutter: Clutter) -> bool {
    let what = kinds::clutter(clutter);
    let heading = fill(&gettext("Remove {what}?"), &[("what", &what)]);
    let body = match clutter {
        Clutter::Trash => gettext(
            "What is in the trash is gone for good then. Other people's trash on this stick stays.",
        ),
        _ => gettext("Nothing that somebody made is removed. It cannot be undone."),
    };
    let dialog = question(
        over,
        &heading,
        &body,
        &[
            ("stay", &gettext("_Leave It")),
            ("remove", &gettext("_Remove")),
        ],
    );
    dialog.set_response_appearance("remove", adw::ResponseAppearance::Destructive);
    dialog.set_default_response(Some("stay"));
    answer(&dialog).await == "remove"
}

/// Whether to look for a folder that the new image, of about `size`, is written to first.
pub async fn one_image(over: &impl IsA<gtk::Widget>, size: &str) -> bool {
    let text = gettext(
        "The new part can be written to a folder on another disk first, if that has {size} free, and then replaces the old one. Until this ends the stick does not start. A larger stick, or files removed from this one, make that needless.",
    );
    let dialog = question(
        over,
        &gettext("Too Little Room for a Refresh"),
        &text.replace("{size}", size),
        &[
            ("stay", &gettext("_Leave It")),
            ("choose", &gettext("_Choose a Folder…")),
        ],
    );
    // What is safe is at hand.
    dialog.set_response_appearance("choose", adw::ResponseAppearance::Default);
    dialog.set_default_response(Some("stay"));
    answer(&dialog).await == "choose"
}

/// Whether the old image may be replaced, though the stick does not start meanwhile.
pub async fn replace(over: &impl IsA<gtk::Widget>) -> bool {
    let dialog = question(
        over,
        &gettext("Until This Ends the Stick Does Not Start"),
        &gettext(
            "Do not pull it out, and keep the folder until it is done. If it is interrupted, stick and folder together still hold everything, and Sugar Cellar completes it.",
        ),
        &[
            ("stay", &gettext("_Leave It")),
            ("replace", &gettext("_Replace the Old Part")),
        ],
    );
    dialog.set_response_appearance("replace", adw::ResponseAppearance::Destructive);
    dialog.set_default_response(Some("stay"));
    answer(&dialog).await == "replace"
}

/// Asks for the folder on another disk that a replacement goes by, or is completed from.
pub async fn scratch(over: &impl IsA<gtk::Window>) -> Option<gtk::gio::File> {
    let chooser = gtk::FileChooserNative::new(
        Some(&gettext("A Folder on Another Disk")),
        Some(over),
        gtk::FileChooserAction::SelectFolder,
        Some(&gettext("_Choose")),
        Some(&gettext("_Cancel")),
    );
    chosen(chooser).await
}

/// A question with these answers: the first leaves all as it is, the last is suggested.
fn question(
    over: &impl IsA<gtk::Widget>,
    heading: &str,
    body: &str,
    answers: &[(&str, &str)],
) -> adw::MessageDialog {
    let dialog = adw::MessageDialog::new(window_of(over).as_ref(), Some(heading), Some(body));
    dialog.add_responses(answers);
    if let [(stay, _), .., (suggested, _)] = answers {
        dialog.set_response_appearance(suggested, adw::ResponseAppearance::Suggested);
        dialog.set_default_response(Some(suggested));
        dialog.set_close_response(stay);
    }
    dialog
}

thread_local! {
    static OPEN: RefCell<Option<glib::WeakRef<adw::MessageDialog>>> = const { RefCell::new(None) };
}

/// Closes the question for a password: polkit does not want the answer any more.
pub fn close_password() {
    let open = OPEN.take().and_then(|dialog| dialog.upgrade());
    if let Some(dialog) = open {
        dialog.close();
    }
}

/// Asks for a password, as the window's own authentication agent; none where it was closed.
pub async fn password(
    over: Option<&gtk::Window>,
    message: &str,
    prompt: &str,
    wrong: bool,
) -> Option<glib::GString> {
    let body = if wrong {
        format!(
            "{}\n\n{message}",
            gettext("That was not the right password. Try once more.")
        )
    } else {
        message.to_owned()
    };
    let dialog = adw::MessageDialog::new(over, Some(&gettext("A Password Is Needed")), Some(&body));
    // GTK 4.8's own GtkPasswordEntry is called back about the caps lock after it is gone.
    let entry = gtk::Entry::builder()
        .visibility(false)
        .input_purpose(gtk::InputPurpose::Password)
        .placeholder_text(prompt)
        .activates_default(true)
        .build();
    entry.update_property(&[gtk::accessible::Property::Label(prompt)]);
    dialog.set_extra_child(Some(&entry));
    dialog.add_responses(&[
        ("cancel", &gettext("_Cancel")),
        ("allow", &gettext("_Allow")),
    ]);
    dialog.set_response_appearance("allow", adw::ResponseAppearance::Suggested);
    dialog.set_default_response(Some("allow"));
    dialog.set_close_response("cancel");
    entry.grab_focus();
    OPEN.replace(Some(dialog.downgrade()));
    let response = answer(&dialog).await;
    OPEN.take();
    (response == "allow").then(|| entry.text())
}

/// About this program.
pub fn about(over: Option<&gtk::Window>) {
    let about = adw::AboutWindow::builder()
        .application_name(gettext("Sugar Cellar"))
        .application_icon(config::APP_ID)
        .version(config::VERSION)
        .developer_name(gettext("Sugar Labs"))
        .license_type(gtk::License::Gpl30)
        .website("https://github.com/sugarlabs/sugar-cellar")
        .issue_url("https://github.com/sugarlabs/sugar-cellar/issues")
        .comments(gettext(
            "Shows how full a live USB stick is, and refreshes it without losing anything.",
        ))
        // Translators: your names, one a line.
        .translator_credits(gettext("translator-credits"))
        .modal(true)
        .build();
    about.set_transient_for(over);
    about.present();
}

/// Asks for a file or folder that is a stick.
pub async fn open(over: &impl IsA<gtk::Window>) -> Option<gtk::gio::File> {
    let chooser = gtk::FileChooserNative::new(
        Some(&gettext("Open a Stick")),
        Some(over),
        gtk::FileChooserAction::SelectFolder,
        Some(&gettext("_Open")),
        Some(&gettext("_Cancel")),
    );
    chosen(chooser).await
}

/// Asks for a stick's image file.
pub async fn open_image(over: &impl IsA<gtk::Window>) -> Option<gtk::gio::File> {
    let chooser = gtk::FileChooserNative::new(
        Some(&gettext("Open a Stick's Image")),
        Some(over),
        gtk::FileChooserAction::Open,
        Some(&gettext("_Open")),
        Some(&gettext("_Cancel")),
    );
    chosen(chooser).await
}

/// Asks for the folder that a copy is kept in.
pub async fn keep(over: &impl IsA<gtk::Window>) -> Option<gtk::gio::File> {
    let chooser = gtk::FileChooserNative::new(
        Some(&gettext("Where to Keep the Copy")),
        Some(over),
        gtk::FileChooserAction::SelectFolder,
        Some(&gettext("_Keep It Here")),
        Some(&gettext("_Cancel")),
    );
    chosen(chooser).await
}

/// Writes a file where a person chose; the reason where it cannot be.
pub async fn write(file: &gtk::gio::File, bytes: Vec<u8>) -> Result<(), String> {
    let flags = gtk::gio::FileCreateFlags::NONE;
    let written = file
        .replace_contents_future(bytes, None, false, flags)
        .await;
    match written {
        Ok(_) => Ok(()),
        Err((_, error)) => Err(error.message().to_owned()),
    }
}

/// Asks where to save a file, which is called `name` at first.
pub async fn save(over: &impl IsA<gtk::Window>, title: &str, name: &str) -> Option<gtk::gio::File> {
    let chooser = gtk::FileChooserNative::new(
        Some(title),
        Some(over),
        gtk::FileChooserAction::Save,
        Some(&gettext("_Save")),
        Some(&gettext("_Cancel")),
    );
    chooser.set_current_name(name);
    chosen(chooser).await
}

async fn chosen(chooser: gtk::FileChooserNative) -> Option<gtk::gio::File> {
    chooser.set_modal(true);
    let response = chooser.run_future().await;
    (response == gtk::ResponseType::Accept)
        .then(|| chooser.file())
        .flatten()
}
