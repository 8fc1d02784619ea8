//! What is inside an overlay, to walk around in.

use super::turn;
use crate::inside::{self, Item, Map, Swatch, Tree, View};
use crate::trouble::{Problem, Trouble};
use crate::words::{self, fill};
use adw::prelude::*;
use adw::subclass::prelude::*;
use gettextrs::gettext;
use gtk::glib;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

mod imp {
    use super::*;

    #[derive(Debug, Default, gtk::CompositeTemplate)]
    #[template(resource = "/org/sugarlabs/SugarCellar/ui/inside-page.ui")]
    pub struct InsidePage {
        #[template_child]
        pub views: TemplateChild<gtk::Stack>,
        #[template_child]
        pub scrolled: TemplateChild<gtk::ScrolledWindow>,
        #[template_child]
        pub by_kind: TemplateChild<gtk::ToggleButton>,
        #[template_child]
        pub path: TemplateChild<gtk::Label>,
        #[template_child]
        pub sentence: TemplateChild<gtk::Label>,
        #[template_child]
        pub map: TemplateChild<Map>,
        #[template_child]
        pub list: TemplateChild<gtk::ListBox>,
        #[template_child]
        pub note: TemplateChild<gtk::Label>,
        #[template_child]
        pub tidy: TemplateChild<gtk::Button>,
        #[template_child]
        pub trouble: TemplateChild<Trouble>,
        pub tree: RefCell<Option<Rc<Tree>>>,
        /// The part that is shown, and from which place on.
        pub at: Cell<(usize, usize)>,
        /// Where each step down came from: part, place, and the row that was taken.
        pub steps: RefCell<Vec<(usize, usize, usize)>>,
        pub items: RefCell<Vec<Item>>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for InsidePage {
        const NAME: &'static str = "CellarInsidePage";
        type Type = super::InsidePage;
        type ParentType = adw::Bin;

        fn class_init(class: &mut Self::Class) {
            Map::ensure_type();
            Trouble::ensure_type();
            class.bind_template();
        }

        fn instance_init(object: &glib::subclass::InitializingObject<Self>) {
            object.init_template();
        }
    }

    impl ObjectImpl for InsidePage {
        fn constructed(&self) {
            self.parent_constructed();
            self.obj().listen();
        }
    }
    impl WidgetImpl for InsidePage {}
    impl BinImpl for InsidePage {}
}

glib::wrapper! {
    /// The page of what is inside.
    pub struct InsidePage(ObjectSubclass<imp::InsidePage>)
        @extends adw::Bin, gtk::Widget,
        @implements gtk::Accessible, gtk::Buildable, gtk::ConstraintTarget;
}

impl InsidePage {
    fn listen(&self) {
        let imp = self.imp();
        let page = self.downgrade();
        imp.map.connect_opened(move |place| {
            if let Some(page) = page.upgrade() {
                page.open(place);
            }
        });
        let page = self.downgrade();
        imp.list.connect_row_activated(move |_, row| {
            if let (Some(page), Ok(place)) = (page.upgrade(), usize::try_from(row.index())) {
                page.open(place);
            }
        });
        let page = self.downgrade();
        imp.by_kind.connect_toggled(move |_| {
            if let Some(page) = page.upgrade() {
                page.begin();
            }
        });
    }

    /// It is being found out.
    pub fn looking(&self) {
        self.imp().tree.take();
        turn(&self.imp().views, "looking");
    }

    /// It could not be found out.
    pub fn problem(&self, problem: Problem) {
        self.imp().trouble.show(problem, "win.inside", true);
        turn(&self.imp().views, "trouble");
    }

    /// What was found; `tidy` in words where there is something to give back, and whether that waits
    /// for a restart.
    pub fn show_tree(&self, tree: Rc<Tree>, note: Option<&str>) {
        let imp = self.imp();
        imp.tree.replace(Some(tree));
        imp.note.set_label(note.unwrap_or_default());
        imp.note.set_visible(note.is_some());
        imp.tidy.set_visible(note.is_some());
        self.begin();
        turn(&imp.views, "ready");
    }

    /// From the top.
    fn begin(&self) {
        self.imp().steps.take();
        let view = match self.imp().by_kind.is_active() {
            true => View::Kinds,
            false => View::Folders,
        };
        self.go(Tree::root(view), 0, None);
    }

    /// Into the item at this place of the list.
    fn open(&self, place: usize) {
        let Some(tree) = self.imp().tree.borrow().clone() else {
            return;
        };
        let Some(item) = self.imp().items.borrow().get(place).copied() else {
            return;
        };
        let (part, from) = self.imp().at.get();
        let (next, next_from) = match item {
            Item::Part(index) if tree.opens(index) => (index, 0),
            Item::Part(_) => return,
            Item::Smaller { from, .. } => (part, from),
        };
        self.imp().steps.borrow_mut().push((part, from, place));
        self.go(next, next_from, Some(0));
    }

    /// One step back up; false at the top.
    pub fn up(&self) -> bool {
        let step = self.imp().steps.borrow_mut().pop();
        if let Some((part, from, place)) = step {
            self.go(part, from, Some(place));
        }
        step.is_some()
    }

    /// Shows a part; the keyboard goes to the row at `focus`.
    fn go(&self, part: usize, from: usize, focus: Option<usize>) {
        let imp = self.imp();
        let Some(tree) = imp.tree.borrow().clone() else {
            return;
        };
        imp.at.set((part, from));
        let items = tree.items(part, from);
        let names = tree.path(part);
        let names = names
            .iter()
            .map(|part| words::isolated(&inside::title(&tree, Item::Part(*part))));
        // Translators: between a folder and one inside it
        imp.path
            .set_label(&names.collect::<Vec<_>>().join(&gettext(" › ")));
        let sectors = tree.sectors(part);
        let values = [
            ("size", &*words::size(sectors.saturating_mul(512))),
            ("percent", &*words::percent(tree.share(sectors))),
        ];
        let sentence = match tree.above(part) {
            None => gettext("{size} are in use. This is what they hold."),
            Some(_) => gettext("{size}, {percent} of what is in use."),
        };
        imp.sentence.set_label(&fill(&sentence, &values));
        imp.map.show_items(&tree, &items);
        while let Some(row) = imp.list.first_child() {
            imp.list.remove(&row);
        }
        for (place, item) in items.iter().enumerate() {
            imp.list.append(&self.row(&tree, *item, place));
        }
        imp.items.replace(items);
        imp.scrolled.vadjustment().set_value(0.0);
        let row = focus.and_then(|place| imp.list.row_at_index(place as i32));
        if let Some(row) = row {
            row.grab_focus();
        }
    }

    fn row(&self, tree: &Tree, item: Item, place: usize) -> adw::ActionRow {
        let opens = match item {
            Item::Part(index) => tree.opens(index),
            Item::Smaller { .. } => true,
        };
        let row = adw::ActionRow::builder()
            .title(glib::markup_escape_text(&inside::title(tree, item)))
            .subtitle(glib::markup_escape_text(&inside::subtitle(tree, item)))
            .title_lines(0)
            .subtitle_lines(0)
            .activatable(opens)
            .build();
        row.add_prefix(&Swatch::of(tree, item));
        if opens {
            let sign = gtk::Image::from_icon_name("go-next-symbolic");
            sign.set_accessible_role(gtk::AccessibleRole::Presentation);
            row.add_suffix(&sign);
        }
        let focus = gtk::EventControllerFocus::new();
        let map = self.imp().map.downgrade();
        focus.connect_enter(move |_| {
            if let Some(map) = map.upgrade() {
                map.mark(Some(place));
            }
        });
        row.add_controller(focus);
        row
    }
}
