//! The window's program. All of it lies in the modules; storage lies behind the helper.

mod agent;
mod application;
mod asking;
mod client;
mod clutter;
mod config;
mod copy;
mod desktop;
mod dialogs;
mod gauge;
mod handover;
mod history;
mod inside;
mod known;
mod lesson;
mod message;
mod pages;
mod plan_words;
mod prevention;
mod receipt;
mod route;
mod settings;
mod trouble;
mod volumes;
mod window;
mod words;

fn main() -> gtk::glib::ExitCode {
    handover::to_helper();
    application::run()
}
