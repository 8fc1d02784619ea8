//! The ring that shows how full a stick is.
//!
//! GTK draws it anew only when its value changes, gliding there. The colour comes from the
//! style sheet, and each level has a shape of its own: one smooth arc, an arc cut into
//! pieces, and an arc with a second ring around it. A level bar behind the number tells a
//! screen reader the value.

use crate::words::{self, Level};
use adw::prelude::*;
use adw::subclass::prelude::*;
use gtk::{cairo, glib, graphene};
use std::cell::{Cell, OnceCell, RefCell};
use std::f64::consts::{PI, TAU};

/// The smallest ring, across.
const SMALLEST: i32 = 208;
/// The ring's thickness, as a part of its size.
const THICKNESS: f64 = 0.085;
/// Room around the ring for the second ring and the marks.
const MARGIN: f64 = 12.0;
/// How long the arc glides to a new value, in milliseconds.
const GLIDE: u32 = 700;

mod imp {
    use super::*;

    #[derive(Debug)]
    pub struct Gauge {
        /// What is drawn, 0 to 1: on its way to the value.
        pub shown: Cell<f64>,
        pub value: Cell<f64>,
        pub level: Cell<Level>,
        pub middle: OnceCell<gtk::Overlay>,
        pub number: gtk::Label,
        pub caption: gtk::Label,
        pub bar: gtk::LevelBar,
        pub glide: RefCell<Option<adw::TimedAnimation>>,
    }

    impl Default for Gauge {
        fn default() -> Self {
            Self {
                shown: Cell::new(0.0),
                value: Cell::new(0.0),
                level: Cell::new(Level::Fine),
                middle: OnceCell::new(),
                number: gtk::Label::new(None),
                caption: gtk::Label::new(None),
                bar: gtk::LevelBar::for_interval(0.0, 100.0),
                glide: RefCell::new(None),
            }
        }
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Gauge {
        const NAME: &'static str = "CellarGauge";
        type Type = super::Gauge;
        type ParentType = gtk::Widget;

        fn class_init(class: &mut Self::Class) {
            class.set_css_name("gauge");
            class.set_accessible_role(gtk::AccessibleRole::Group);
        }
    }

    impl ObjectImpl for Gauge {
        fn constructed(&self) {
            self.parent_constructed();
            self.obj().build();
        }

        fn dispose(&self) {
            if let Some(middle) = self.middle.get() {
                middle.unparent();
            }
        }
    }

    impl WidgetImpl for Gauge {
        fn request_mode(&self) -> gtk::SizeRequestMode {
            gtk::SizeRequestMode::ConstantSize
        }

        fn measure(&self, _: gtk::Orientation, _: i32) -> (i32, i32, i32, i32) {
            let size = self.obj().side();
            (size, size, -1, -1)
        }

        fn size_allocate(&self, width: i32, height: i32, _: i32) {
            let Some(middle) = self.middle.get() else {
                return;
            };
            let (_, wide, _, _) = middle.measure(gtk::Orientation::Horizontal, -1);
            let (_, high, _, _) = middle.measure(gtk::Orientation::Vertical, -1);
            let (wide, high) = (wide.min(width), high.min(height));
            let at = gtk::Allocation::new((width - wide) / 2, (height - high) / 2, wide, high);
            middle.size_allocate(&at, -1);
        }

        fn snapshot(&self, snapshot: &gtk::Snapshot) {
            self.obj().draw(snapshot);
            self.parent_snapshot(snapshot);
        }
    }
}

glib::wrapper! {
    /// The ring gauge.
    pub struct Gauge(ObjectSubclass<imp::Gauge>)
        @extends gtk::Widget,
        @implements gtk::Accessible, gtk::Buildable, gtk::ConstraintTarget;
}

impl Gauge {
    fn build(&self) {
        let imp = self.imp();
        imp.number.add_css_class("gauge-number");
        imp.caption.add_css_class("gauge-caption");
        imp.caption.set_wrap(true);
        imp.caption.set_max_width_chars(14);
        imp.caption.set_justify(gtk::Justification::Center);
        // Seen by screen readers only: the level bar tells the value, the sentence below the ring the rest.
        imp.bar.set_opacity(0.0);
        imp.bar.set_valign(gtk::Align::Center);
        imp.bar.set_can_target(false);
        let lines = gtk::Box::new(gtk::Orientation::Vertical, 0);
        lines.set_valign(gtk::Align::Center);
        lines.append(&imp.number);
        lines.append(&imp.caption);
        let middle = gtk::Overlay::new();
        middle.set_child(Some(&imp.bar));
        middle.add_overlay(&lines);
        middle.set_measure_overlay(&lines, true);
        middle.set_parent(self);
        imp.middle.set(middle).ok();
    }

    /// Shows `percent` full at `level`; `sentence` is what a screen reader says.
    pub fn show(&self, percent: f64, level: Level, sentence: &str) {
        let imp = self.imp();
        imp.number.set_label(&words::percent(percent));
        imp.caption.set_label(&gettextrs::gettext("full"));
        imp.bar.set_value(percent.clamp(0.0, 100.0));
        imp.bar.update_property(&[
            gtk::accessible::Property::Label(sentence),
            gtk::accessible::Property::ValueText(&words::percent(percent)),
        ]);
        if imp.level.replace(level) != level {
            for other in [Level::Fine, Level::Filling, Level::NearlyFull] {
                self.remove_css_class(other.class());
            }
            self.queue_draw();
        }
        self.add_css_class(level.class());
        let value = (percent / 100.0).clamp(0.0, 1.0);
        if (imp.value.replace(value) - value).abs() > f64::EPSILON {
            self.glide_to(value);
        }
    }

    /// Shows `percent` at once, without gliding.
    pub fn jump(&self, percent: f64, level: Level, sentence: &str) {
        self.imp().value.set((percent / 100.0).clamp(0.0, 1.0));
        if let Some(glide) = self.imp().glide.take() {
            glide.pause();
        }
        self.imp().shown.set(self.imp().value.get());
        self.show(percent, level, sentence);
        self.queue_draw();
    }

    fn glide_to(&self, value: f64) {
        let imp = self.imp();
        let gauge = self.downgrade();
        let target = adw::CallbackAnimationTarget::new(move |shown| {
            if let Some(gauge) = gauge.upgrade() {
                gauge.imp().shown.set(shown);
                gauge.queue_draw();
            }
        });
        let glide = adw::TimedAnimation::new(self, imp.shown.get(), value, GLIDE, target);
        glide.set_easing(adw::Easing::EaseOutCubic);
        glide.play();
        if let Some(before) = imp.glide.replace(Some(glide)) {
            before.pause();
        }
    }

    /// The side that holds the words inside the ring, whatever the font's size.
    fn side(&self) -> i32 {
        let Some(middle) = self.imp().middle.get() else {
            return SMALLEST;
        };
        let (_, wide, _, _) = middle.measure(gtk::Orientation::Horizontal, -1);
        let (_, high, _, _) = middle.measure(gtk::Orientation::Vertical, -1);
        let across = f64::from(wide).hypot(f64::from(high));
        let needed = (across + 2.0 * MARGIN) / (1.0 - 2.0 * THICKNESS);
        SMALLEST.max(needed.ceil() as i32)
    }

    fn draw(&self, snapshot: &gtk::Snapshot) {
        let (width, height) = (f64::from(self.width()), f64::from(self.height()));
        let size = width.min(height);
        if size <= 2.0 * MARGIN {
            return;
        }
        let bounds = graphene::Rect::new(0.0, 0.0, width as f32, height as f32);
        let context = snapshot.append_cairo(&bounds);
        let thick = size * THICKNESS;
        let ring = Ring {
            x: width / 2.0,
            y: height / 2.0,
            radius: (size - thick) / 2.0 - MARGIN,
            thick,
            colour: self.style_context().color(),
        };
        // A drawing that fails (out of memory) leaves the number, which says the same.
        let _ = ring.draw(&context, self.imp().shown.get(), self.imp().level.get());
    }
}

/// The ring on its canvas.
struct Ring {
    x: f64,
    y: f64,
    radius: f64,
    thick: f64,
    colour: gtk::gdk::RGBA,
}

/// Where the arc starts: at the top.
const TOP: f64 = -PI / 2.0;

impl Ring {
    fn draw(&self, context: &cairo::Context, shown: f64, level: Level) -> Result<(), cairo::Error> {
        self.ink(context, 0.16);
        context.set_line_width(self.thick);
        context.arc(self.x, self.y, self.radius, 0.0, TAU);
        context.stroke()?;
        self.marks(context)?;
        if shown < 0.005 {
            return Ok(());
        }
        self.ink(context, 1.0);
        match level {
            Level::Fine => self.smooth(context, shown, self.radius, self.thick),
            Level::Filling => self.pieces(context, shown),
            _ => {
                self.smooth(context, shown, self.radius, self.thick)?;
                self.smooth(context, shown, self.radius + self.thick / 2.0 + 6.0, 3.0)
            }
        }
    }

    fn ink(&self, context: &cairo::Context, strength: f64) {
        let part = |channel: f32| f64::from(channel);
        let (r, g, b) = (
            part(self.colour.red()),
            part(self.colour.green()),
            part(self.colour.blue()),
        );
        context.set_source_rgba(r, g, b, strength * part(self.colour.alpha()));
    }

    fn smooth(
        &self,
        context: &cairo::Context,
        shown: f64,
        radius: f64,
        thick: f64,
    ) -> Result<(), cairo::Error> {
        context.set_line_cap(cairo::LineCap::Round);
        context.set_line_width(thick);
        context.arc(self.x, self.y, radius, TOP, TOP + TAU * shown);
        context.stroke()
    }

    fn pieces(&self, context: &cairo::Context, shown: f64) -> Result<(), cairo::Error> {
        const PIECES: f64 = 40.0;
        context.set_line_cap(cairo::LineCap::Butt);
        context.set_line_width(self.thick);
        let step = self.radius * TAU / PIECES;
        context.set_dash(&[step * 0.72, step * 0.28], 0.0);
        context.arc(self.x, self.y, self.radius, TOP, TOP + TAU * shown);
        context.stroke()?;
        context.set_dash(&[], 0.0);
        Ok(())
    }

    /// Small marks where the levels change.
    fn marks(&self, context: &cairo::Context) -> Result<(), cairo::Error> {
        self.ink(context, 0.55);
        context.set_line_cap(cairo::LineCap::Round);
        context.set_line_width(2.5);
        for level in [words::FILLING, words::NEARLY_FULL] {
            let (sin, cos) = (TOP + TAU * level / 100.0).sin_cos();
            let (near, far) = (
                self.radius - self.thick / 2.0 - 8.0,
                self.radius - self.thick / 2.0 - 4.0,
            );
            context.move_to(self.x + cos * near, self.y + sin * near);
            context.line_to(self.x + cos * far, self.y + sin * far);
            context.stroke()?;
        }
        Ok(())
    }
}
