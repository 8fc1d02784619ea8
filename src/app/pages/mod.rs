//! The window's pages. Each shows what it is given and knows nothing of the helper.

use gtk::prelude::*;

mod history;
mod inside;
mod lesson;
mod practice;
mod refresh;
mod space;
mod stick;
mod table;

pub use history::HistoryPage;
pub use inside::InsidePage;
pub use lesson::{Asked, LessonPage};
pub use practice::PracticePage;
pub use refresh::{RefreshPage, View as RefreshView};
pub use space::SpacePage;
pub use stick::StickPage;
pub use table::TablePage;

/// Shows one view of a stack. The others are hidden altogether: GTK 4.8 tells a screen reader of
/// every child of a stack that is not.
pub fn turn(views: &gtk::Stack, name: &str) {
    let Some(child) = views.child_by_name(name) else {
        return;
    };
    child.set_visible(true);
    views.set_visible_child(&child);
    let mut other = views.first_child();
    while let Some(widget) = other {
        other = widget.next_sibling();
        if widget != child {
            widget.set_visible(false);
        }
    }
}
