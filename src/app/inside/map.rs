//! The map of an overlay: each part is a rectangle as large as what it takes.
//!
//! It says nothing that the list below it does not say: for the keyboard and for a screen
//! reader there is the list.

use super::layout::{Area, squarified};
use super::tree::{Item, Tree, What};
use super::words;
use adw::prelude::*;
use adw::subclass::prelude::*;
use gtk::glib::subclass::Signal;
use gtk::{cairo, gdk, glib, graphene, pango};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::OnceLock;
use sugar_cellar::protocol::EntryKind;

/// Between two rectangles, in pixels.
const GAP: f64 = 1.0;
/// Folders are drawn with what is in them, so many levels deep.
const DEEP: usize = 3;
/// What is smaller, across, is not divided any further.
const SMALLEST: f64 = 14.0;
/// The height, as a part of the width, and its limits.
const HIGH: f64 = 0.55;
const HEIGHTS: (i32, i32) = (200, 380);
/// A name that is cut off needs so much room to be of use.
const LEGIBLE: f64 = 60.0;
/// How much of a colour shows on what is behind it.
const TINT: f32 = 0.45;

/// An item was clicked; its place.
const OPENED: &str = "opened";

/// The colours of GNOME's palette, as red, green and blue.
fn colour(kind: Option<EntryKind>) -> gdk::RGBA {
    let [red, green, blue] = match kind {
        Some(EntryKind::Document) => [0x35, 0x84, 0xe4],
        Some(EntryKind::Picture) => [0x2e, 0xc2, 0x7e],
        Some(EntryKind::Media) => [0x91, 0x41, 0xac],
        Some(EntryKind::Journal) => [0xf5, 0xc2, 0x11],
        Some(EntryKind::Archive) => [0x86, 0x5e, 0x3c],
        Some(EntryKind::Program) => [0xff, 0x78, 0x00],
        Some(EntryKind::Settings) => [0x5e, 0x7a, 0x9a],
        Some(EntryKind::Log) => [0xe0, 0x1b, 0x24],
        Some(EntryKind::Cache) => [0x21, 0x90, 0xa4],
        Some(EntryKind::Trash) => [0xdc, 0x8a, 0xdd],
        _ => [0x9a, 0x99, 0x96],
    };
    let channel = |value: u8| f32::from(value) / 255.0;
    gdk::RGBA::new(channel(red), channel(green), channel(blue), 1.0)
}

fn tinted(kind: Option<EntryKind>) -> gdk::RGBA {
    colour(kind).with_alpha(TINT)
}

fn rect(area: Area) -> graphene::Rect {
    let [x, y, width, height] = [area.x, area.y, area.width, area.height].map(|side| side as f32);
    graphene::Rect::new(x, y, width, height)
}

mod imp {
    use super::*;

    #[derive(Debug, Default)]
    pub struct Map {
        pub shown: RefCell<Option<(Rc<Tree>, Vec<Item>)>>,
        /// Where each item lies now.
        pub areas: RefCell<Vec<Area>>,
        /// The item that is pointed at, or has the keyboard in the list.
        pub marked: Cell<Option<usize>>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Map {
        const NAME: &'static str = "CellarMap";
        type Type = super::Map;
        type ParentType = gtk::Widget;

        fn class_init(class: &mut Self::Class) {
            class.set_css_name("map");
            class.set_accessible_role(gtk::AccessibleRole::Presentation);
        }
    }

    impl ObjectImpl for Map {
        fn signals() -> &'static [Signal] {
            static SIGNALS: OnceLock<Vec<Signal>> = OnceLock::new();
            SIGNALS.get_or_init(|| {
                let opened = Signal::builder(OPENED).param_types([u32::static_type()]);
                vec![opened.build()]
            })
        }

        fn constructed(&self) {
            self.parent_constructed();
            self.obj().listen();
        }
    }

    impl WidgetImpl for Map {
        fn request_mode(&self) -> gtk::SizeRequestMode {
            gtk::SizeRequestMode::HeightForWidth
        }

        fn measure(&self, orientation: gtk::Orientation, other: i32) -> (i32, i32, i32, i32) {
            if orientation == gtk::Orientation::Horizontal {
                return (120, 480, -1, -1);
            }
            let (least, most) = HEIGHTS;
            let high = match other {
                -1 => least,
                wide => ((f64::from(wide) * HIGH) as i32).clamp(least, most),
            };
            (high, high, -1, -1)
        }

        fn size_allocate(&self, width: i32, height: i32, _: i32) {
            self.obj().divide(width, height);
        }

        fn snapshot(&self, snapshot: &gtk::Snapshot) {
            self.obj().draw(snapshot);
        }

        fn query_tooltip(&self, x: i32, y: i32, _: bool, tooltip: &gtk::Tooltip) -> bool {
            let shown = self.shown.borrow();
            let Some((tree, items)) = shown.as_ref() else {
                return false;
            };
            let Some(index) = self.obj().at(f64::from(x), f64::from(y)) else {
                return false;
            };
            let item = items[index];
            let lines = [words::title(tree, item), words::subtitle(tree, item)];
            tooltip.set_text(Some(&lines.join("\n")));
            tooltip.set_tip_area(&gdk::Rectangle::new(x, y, 1, 1));
            true
        }
    }
}

glib::wrapper! {
    /// The map.
    pub struct Map(ObjectSubclass<imp::Map>)
        @extends gtk::Widget,
        @implements gtk::Accessible, gtk::Buildable, gtk::ConstraintTarget;
}

impl Map {
    fn listen(&self) {
        self.set_has_tooltip(true);
        self.set_overflow(gtk::Overflow::Hidden);
        let motion = gtk::EventControllerMotion::new();
        let map = self.downgrade();
        motion.connect_motion(move |_, x, y| {
            if let Some(map) = map.upgrade() {
                map.mark(map.at(x, y));
                map.trigger_tooltip_query();
            }
        });
        let map = self.downgrade();
        motion.connect_leave(move |_| {
            if let Some(map) = map.upgrade() {
                map.mark(None);
            }
        });
        self.add_controller(motion);
        let click = gtk::GestureClick::new();
        let map = self.downgrade();
        click.connect_released(move |_, _, x, y| {
            let Some(map) = map.upgrade() else { return };
            if let Some(index) = map.at(x, y) {
                map.emit_by_name::<()>(OPENED, &[&(index as u32)]);
            }
        });
        self.add_controller(click);
    }

    /// Shows these parts.
    pub fn show_items(&self, tree: &Rc<Tree>, items: &[Item]) {
        let imp = self.imp();
        imp.shown.replace(Some((Rc::clone(tree), items.to_vec())));
        imp.marked.set(None);
        self.divide(self.width(), self.height());
        self.queue_draw();
    }

    /// Calls `opened` with the place of an item that was clicked.
    pub fn connect_opened(&self, opened: impl Fn(usize) + 'static) {
        self.connect_closure(
            OPENED,
            false,
            glib::closure_local!(move |_: Map, index: u32| opened(index as usize)),
        );
    }

    /// Marks an item, or none.
    pub fn mark(&self, item: Option<usize>) {
        if self.imp().marked.replace(item) != item {
            self.queue_draw();
        }
    }

    /// The item at a point.
    fn at(&self, x: f64, y: f64) -> Option<usize> {
        let areas = self.imp().areas.borrow();
        areas.iter().position(|area| area.holds(x, y))
    }

    fn divide(&self, width: i32, height: i32) {
        let imp = self.imp();
        let areas = match imp.shown.borrow().as_ref() {
            Some((tree, items)) => {
                let sizes: Vec<u64> = items.iter().map(|item| tree.size(*item)).collect();
                let whole = Area {
                    x: 0.0,
                    y: 0.0,
                    width: f64::from(width),
                    height: f64::from(height),
                };
                self.turned(squarified(&sizes, whole), width)
            }
            None => Vec::new(),
        };
        imp.areas.replace(areas);
    }

    /// In a right-to-left language the largest lies at the right.
    fn turned(&self, mut areas: Vec<Area>, width: i32) -> Vec<Area> {
        if self.direction() == gtk::TextDirection::Rtl {
            for area in &mut areas {
                area.x = f64::from(width) - area.x - area.width;
            }
        }
        areas
    }

    fn draw(&self, snapshot: &gtk::Snapshot) {
        let imp = self.imp();
        let shown = imp.shown.borrow();
        let Some((tree, items)) = shown.as_ref() else {
            return;
        };
        let ink = self.style_context().color();
        for (place, (item, area)) in items.iter().zip(imp.areas.borrow().iter()).enumerate() {
            let area = area.inside(GAP);
            match *item {
                Item::Part(index) => self.part(snapshot, tree, index, area, DEEP, &ink),
                Item::Smaller { .. } => snapshot.append_color(&tinted(None), &rect(area)),
            }
            self.label(snapshot, &words::title(tree, *item), area, &ink);
            if imp.marked.get() == Some(place) {
                let border = gtk::gsk::RoundedRect::from_rect(rect(area), 0.0);
                snapshot.append_border(&border, &[2.0; 4], &[ink; 4]);
            }
        }
    }

    /// Draws a part, and what is in it.
    fn part(
        &self,
        snapshot: &gtk::Snapshot,
        tree: &Tree,
        index: usize,
        area: Area,
        deep: usize,
        ink: &gdk::RGBA,
    ) {
        if area.width <= 0.0 || area.height <= 0.0 {
            return;
        }
        if tree.what(index) == What::Deleted {
            return hatched(snapshot, area, ink);
        }
        let small = area.width < SMALLEST || area.height < SMALLEST;
        if deep == 0 || small || !tree.opens(index) {
            return snapshot.append_color(&tinted(tree.kind(index)), &rect(area));
        }
        let items = tree.items(index, 0);
        let sizes: Vec<u64> = items.iter().map(|item| tree.size(*item)).collect();
        for (item, area) in items.iter().zip(squarified(&sizes, area)) {
            let gap = (GAP / 2.0).min(area.width / 4.0).min(area.height / 4.0);
            let area = area.inside(gap);
            match item {
                Item::Part(index) => self.part(snapshot, tree, *index, area, deep - 1, ink),
                Item::Smaller { .. } => {
                    snapshot.append_color(&tinted(tree.kind(index)), &rect(area));
                }
            }
        }
    }

    /// Writes a name into its area, where it fits.
    fn label(&self, snapshot: &gtk::Snapshot, text: &str, area: Area, ink: &gdk::RGBA) {
        let layout = self.create_pango_layout(Some(text));
        let (_, high) = layout.pixel_size();
        let room = area.inside(5.0);
        if room.width < 36.0 || room.height < f64::from(high) {
            return;
        }
        layout.set_width((room.width * f64::from(pango::SCALE)) as i32);
        layout.set_ellipsize(pango::EllipsizeMode::End);
        if layout.is_ellipsized() && room.width < LEGIBLE {
            return;
        }
        // In a right-to-left language it lies at the far end of the layout's own width.
        let (_, words) = layout.pixel_extents();
        let wide = words.width();
        let x = match self.direction() {
            gtk::TextDirection::Rtl => room.x + room.width - f64::from(wide),
            _ => room.x,
        };
        // A name lies on many colours: what is behind it is calmed.
        let behind = Area {
            x: x - 3.0,
            y: room.y - 1.0,
            width: f64::from(wide) + 6.0,
            height: f64::from(high) + 2.0,
        };
        let paper = match ink.red() + ink.green() + ink.blue() > 1.5 {
            true => gdk::RGBA::new(0.0, 0.0, 0.0, 0.45),
            false => gdk::RGBA::new(1.0, 1.0, 1.0, 0.6),
        };
        let edges = gtk::gsk::RoundedRect::from_rect(rect(behind), 4.0);
        snapshot.push_rounded_clip(&edges);
        snapshot.append_color(&paper, &rect(behind));
        snapshot.pop();
        snapshot.save();
        snapshot.translate(&graphene::Point::new(
            x as f32 - words.x() as f32,
            room.y as f32,
        ));
        snapshot.append_layout(&layout, ink);
        snapshot.restore();
    }
}

/// What is deleted has lines instead of a colour.
fn hatched(snapshot: &gtk::Snapshot, area: Area, ink: &gdk::RGBA) {
    const STEP: f64 = 8.0;
    snapshot.append_color(&ink.with_alpha(0.06), &rect(area));
    let context = snapshot.append_cairo(&rect(area));
    // A drawing that fails (out of memory) leaves the name.
    let _ = lines(&context, area, STEP, ink);
}

fn lines(
    context: &cairo::Context,
    area: Area,
    step: f64,
    ink: &gdk::RGBA,
) -> Result<(), cairo::Error> {
    let [red, green, blue] = [ink.red(), ink.green(), ink.blue()].map(f64::from);
    context.set_source_rgba(red, green, blue, 0.35);
    context.set_line_width(1.5);
    context.rectangle(area.x, area.y, area.width, area.height);
    context.clip();
    let mut at = -area.height;
    while at < area.width {
        context.move_to(area.x + at, area.y + area.height);
        context.line_to(area.x + at + area.height, area.y);
        at += step;
    }
    context.stroke()
}

mod swatch {
    use super::*;

    #[derive(Debug, Default)]
    pub struct Swatch {
        pub kind: Cell<Option<EntryKind>>,
        pub hatched: Cell<bool>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Swatch {
        const NAME: &'static str = "CellarSwatch";
        type Type = super::Swatch;
        type ParentType = gtk::Widget;

        fn class_init(class: &mut Self::Class) {
            class.set_accessible_role(gtk::AccessibleRole::Presentation);
        }
    }

    impl ObjectImpl for Swatch {}

    impl WidgetImpl for Swatch {
        fn measure(&self, _: gtk::Orientation, _: i32) -> (i32, i32, i32, i32) {
            (16, 16, -1, -1)
        }

        fn snapshot(&self, snapshot: &gtk::Snapshot) {
            let widget = self.obj();
            let area = Area {
                x: 0.0,
                y: 0.0,
                width: f64::from(widget.width()),
                height: f64::from(widget.height()),
            };
            if self.hatched.get() {
                hatched(snapshot, area, &widget.style_context().color());
            } else {
                snapshot.append_color(&tinted(self.kind.get()), &rect(area));
            }
        }
    }
}

glib::wrapper! {
    /// The colour that a part has in the map.
    pub struct Swatch(ObjectSubclass<swatch::Swatch>)
        @extends gtk::Widget,
        @implements gtk::Accessible, gtk::Buildable, gtk::ConstraintTarget;
}

impl Swatch {
    /// Of an item.
    pub fn of(tree: &Tree, item: Item) -> Swatch {
        let swatch: Swatch = glib::Object::builder()
            .property("valign", gtk::Align::Center)
            .build();
        if let Item::Part(index) = item {
            swatch.imp().kind.set(tree.kind(index));
            swatch.imp().hatched.set(tree.what(index) == What::Deleted);
        }
        swatch
    }
}
