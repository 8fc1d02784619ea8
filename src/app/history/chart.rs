//! The chart of a history: how full a stick was, and what is expected.
//!
//! It says nothing that the sentences above it and the list below it do not say: for the keyboard
//! and for a screen reader there are those. Without colour, too, each part is told apart: what was is a
//! line, what is expected lies between dashed ones, the levels are dotted and thin, and a refresh
//! is a line with a triangle.

use super::record::{Reading, Wall};
use super::view::{View, over};
use super::words as told;
use crate::words;
use adw::prelude::*;
use adw::subclass::prelude::*;
use gtk::{cairo, gdk, glib, graphene};
use std::cell::{Cell, RefCell};

/// The height: so many lines of text, and so many pixels at the least.
const LINES: i32 = 13;
const LEAST: i32 = 220;
/// Between the plot and its words.
const GAP: f64 = 6.0;
/// Where the triangles of the marks lie.
const HEAD: f64 = 12.0;
/// Readings that lie closer are not drawn as dots.
const APART: f64 = 7.0;
/// A reading is pointed at from so far.
const REACH: f64 = 24.0;

mod imp {
    use super::*;

    #[derive(Debug, Default)]
    pub struct Chart {
        pub view: RefCell<View>,
        /// The reading that is pointed at, or has the keyboard in the list.
        pub marked: Cell<Option<usize>>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Chart {
        const NAME: &'static str = "CellarChart";
        type Type = super::Chart;
        type ParentType = gtk::Widget;

        fn class_init(class: &mut Self::Class) {
            class.set_css_name("chart");
            class.set_accessible_role(gtk::AccessibleRole::Presentation);
        }
    }

    impl ObjectImpl for Chart {
        fn constructed(&self) {
            self.parent_constructed();
            self.obj().listen();
        }
    }

    impl WidgetImpl for Chart {
        fn measure(&self, orientation: gtk::Orientation, _: i32) -> (i32, i32, i32, i32) {
            if orientation == gtk::Orientation::Horizontal {
                return (160, 480, -1, -1);
            }
            let (_, line) = self.obj().create_pango_layout(Some("0")).pixel_size();
            let high = LEAST.max(line.saturating_mul(LINES));
            (high, high, -1, -1)
        }

        fn snapshot(&self, snapshot: &gtk::Snapshot) {
            self.obj().draw(snapshot);
        }

        fn query_tooltip(&self, x: i32, y: i32, _: bool, tooltip: &gtk::Tooltip) -> bool {
            let Some(place) = self.obj().at(f64::from(x)) else {
                return false;
            };
            let view = self.view.borrow();
            let reading = &view.readings[place];
            let lines = [told::moment(view.span, reading.at), told::facts(reading)];
            tooltip.set_text(Some(&lines.join("\n")));
            tooltip.set_tip_area(&gdk::Rectangle::new(x, y, 1, 1));
            true
        }
    }
}

glib::wrapper! {
    /// The chart.
    pub struct Chart(ObjectSubclass<imp::Chart>)
        @extends gtk::Widget,
        @implements gtk::Accessible, gtk::Buildable, gtk::ConstraintTarget;
}

impl Chart {
    fn listen(&self) {
        self.set_has_tooltip(true);
        self.set_overflow(gtk::Overflow::Hidden);
        let motion = gtk::EventControllerMotion::new();
        let chart = self.downgrade();
        motion.connect_motion(move |_, x, _| {
            if let Some(chart) = chart.upgrade() {
                chart.mark(chart.at(x));
                chart.trigger_tooltip_query();
            }
        });
        let chart = self.downgrade();
        motion.connect_leave(move |_| {
            if let Some(chart) = chart.upgrade() {
                chart.mark(None);
            }
        });
        self.add_controller(motion);
    }

    /// Shows this.
    pub fn show_view(&self, view: View) {
        let imp = self.imp();
        if imp.marked.get() >= Some(view.readings.len()) {
            imp.marked.set(None);
        }
        imp.view.replace(view);
        self.queue_draw();
    }

    /// Marks a reading, or none.
    pub fn mark(&self, reading: Option<usize>) {
        if self.imp().marked.replace(reading) != reading {
            self.queue_draw();
        }
    }

    /// The reading nearest to a place.
    fn at(&self, x: f64) -> Option<usize> {
        let view = self.imp().view.borrow();
        let plot = self.plot(&view);
        let far = |reading: &Reading| (plot.x(reading.at) - x).abs();
        let places = 0..view.readings.len();
        places
            .min_by(|one, other| far(&view.readings[*one]).total_cmp(&far(&view.readings[*other])))
            .filter(|place| far(&view.readings[*place]) < REACH)
    }

    /// Where it is drawn.
    fn plot(&self, view: &View) -> Plot {
        let widest = |percent| {
            let text = words::percent(percent);
            self.create_pango_layout(Some(&text)).pixel_size()
        };
        let (wide, line) = widest(100.0);
        let margin = f64::from(wide) + GAP;
        Plot {
            left: margin,
            width: (f64::from(self.width()) - margin - GAP).max(1.0),
            top: HEAD + 2.0,
            height: (f64::from(self.height()) - f64::from(line) - GAP - HEAD - 2.0).max(1.0),
            from: view.from,
            until: view.until.max(view.from + 1),
            // In a right-to-left language time runs to the left.
            whole: (self.direction() == gtk::TextDirection::Rtl).then(|| f64::from(self.width())),
        }
    }

    fn draw(&self, snapshot: &gtk::Snapshot) {
        let view = self.imp().view.borrow();
        let plot = self.plot(&view);
        let style = self.style_context();
        let ink = style.color();
        let pen = Pen {
            ink,
            line: style.lookup_color("accent_color").unwrap_or(ink),
        };
        let bounds = graphene::Rect::new(0.0, 0.0, self.width() as f32, self.height() as f32);
        let context = snapshot.append_cairo(&bounds);
        // A drawing that fails (out of memory) leaves the words, which say the same.
        let _ = plot.levels(&context, pen);
        self.say_levels(snapshot, &plot, &ink);
        self.say_times(snapshot, &view, &plot, &ink);
        let context = snapshot.append_cairo(&bounds);
        let _ = plot.history(&context, pen, &view, self.imp().marked.get());
    }

    /// Writes the levels beside their lines.
    fn say_levels(&self, snapshot: &gtk::Snapshot, plot: &Plot, ink: &gdk::RGBA) {
        for level in [0.0, words::FILLING, words::NEARLY_FULL] {
            let layout = self.create_pango_layout(Some(&words::percent(level)));
            let (wide, high) = layout.pixel_size();
            let x = match plot.whole {
                None => plot.left - GAP - f64::from(wide),
                Some(whole) => whole - plot.left + GAP,
            };
            // The lowest stands on its line: below it are the times.
            let part = if level == 0.0 { 0.9 } else { 0.5 };
            let y = plot.y(level) - f64::from(high) * part;
            write(snapshot, &layout, x, y, ink);
        }
    }

    /// Writes times below, as many as fit.
    fn say_times(&self, snapshot: &gtk::Snapshot, view: &View, plot: &Plot, ink: &gdk::RGBA) {
        let (ticks, step) = view.ticks();
        // A weekday's name belongs to the whole day, a time to its moment.
        let aside = match view.span {
            super::Span::Week => step / 2,
            _ => 0,
        };
        let layouts: Vec<_> = ticks
            .iter()
            .map(|at| self.create_pango_layout(Some(&told::tick(view.span, *at))))
            .collect();
        let wide = |layout: &gtk::pango::Layout| f64::from(layout.pixel_size().0);
        let widest = layouts.iter().map(wide).fold(0.0, f64::max) + 2.0 * GAP;
        let apart = (plot.x(step) - plot.x(0)).abs();
        // At equal distances.
        let stride = (widest / apart).ceil().max(1.0) as usize;
        for (at, layout) in ticks.into_iter().zip(&layouts).step_by(stride) {
            let x = plot.x(at + aside) - wide(layout) / 2.0;
            if x >= 0.0 && x + wide(layout) <= f64::from(self.width()) {
                let below = plot.top + plot.height + GAP / 2.0;
                write(snapshot, layout, x, below, ink);
            }
            let stroke =
                graphene::Rect::new(plot.x(at) as f32, plot.top as f32, 1.0, plot.height as f32);
            snapshot.append_color(&ink.with_alpha(ink.alpha() * 0.12), &stroke);
        }
    }
}

fn write(snapshot: &gtk::Snapshot, layout: &gtk::pango::Layout, x: f64, y: f64, ink: &gdk::RGBA) {
    snapshot.save();
    snapshot.translate(&graphene::Point::new(x.round() as f32, y.round() as f32));
    snapshot.append_layout(layout, ink);
    snapshot.restore();
}

#[derive(Debug, Clone, Copy)]
struct Pen {
    ink: gdk::RGBA,
    line: gdk::RGBA,
}

fn dip(context: &cairo::Context, colour: gdk::RGBA, strength: f64) {
    let [red, green, blue, alpha] =
        [colour.red(), colour.green(), colour.blue(), colour.alpha()].map(f64::from);
    context.set_source_rgba(red, green, blue, alpha * strength);
}

/// Times and percentages as places.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Plot {
    left: f64,
    width: f64,
    top: f64,
    height: f64,
    from: Wall,
    until: Wall,
    /// The widget's width, where it is mirrored.
    whole: Option<f64>,
}

impl Plot {
    fn x(&self, at: Wall) -> f64 {
        let part = at.saturating_sub(self.from) as f64 / (self.until - self.from) as f64;
        let x = self.left + part * self.width;
        self.whole.map_or(x, |whole| whole - x)
    }

    fn y(&self, percent: f64) -> f64 {
        self.top + self.height * (1.0 - percent / 100.0)
    }

    fn place(&self, reading: &Reading) -> (f64, f64) {
        (self.x(reading.at), self.y(reading.percent()))
    }

    /// From empty to full, and where the window warns.
    fn levels(&self, context: &cairo::Context, pen: Pen) -> Result<(), cairo::Error> {
        let (from, to) = (self.x(self.from), self.x(self.until));
        for (level, dashes, strength) in [
            (0.0, &[][..], 0.5),
            (100.0, &[], 0.5),
            (words::FILLING, &[1.0, 4.0], 0.7),
            (words::NEARLY_FULL, &[6.0, 4.0], 0.7),
        ] {
            dip(context, pen.ink, strength);
            context.set_line_width(if level == 0.0 || level == 100.0 {
                1.0
            } else {
                1.5
            });
            context.set_dash(dashes, 0.0);
            let y = self.y(level).round() + 0.5;
            context.move_to(from, y);
            context.line_to(to, y);
            context.stroke()?;
        }
        context.set_dash(&[], 0.0);
        Ok(())
    }

    fn history(
        &self,
        context: &cairo::Context,
        pen: Pen,
        view: &View,
        marked: Option<usize>,
    ) -> Result<(), cairo::Error> {
        context.save()?;
        let (from, to) = (self.x(self.from), self.x(self.until));
        // Dots and triangles lie on its edges.
        let edge = GAP;
        context.rectangle(
            from.min(to) - edge,
            0.0,
            (to - from).abs() + 2.0 * edge,
            self.top + self.height + edge,
        );
        context.clip();
        self.expected(context, pen, view)?;
        self.line(context, pen, view)?;
        self.marks(context, pen, view)?;
        self.dots(context, pen, view, marked)?;
        context.restore()
    }

    /// The corners of the line: a refresh lets it fall at once. What is before the left edge
    /// is cut off there.
    fn corners(&self, view: &View) -> Vec<(f64, f64)> {
        let mut corners: Vec<(f64, f64)> = Vec::new();
        let edge = self.x(self.from);
        let mut before: Option<Reading> = None;
        for reading in view.lead.iter().chain(&view.readings) {
            let (x, y) = self.place(reading);
            match before {
                Some(before) if reading.mark.is_some() => {
                    let level = self.y(before.percent());
                    if before.at < view.from {
                        corners.push((edge, level));
                    }
                    corners.push((x, level));
                }
                Some(before) if before.at < view.from => {
                    let (was, level) = self.place(&before);
                    let part = (edge - was) / (x - was);
                    corners.push((edge, level + part * (y - level)));
                }
                _ => {}
            }
            if reading.at >= view.from {
                corners.push((x, y));
            }
            before = Some(*reading);
        }
        // Nothing is there but from before, or it stayed as it was until now.
        if let Some(last) = before {
            let y = self.y(last.percent());
            if last.at < view.from {
                corners.push((edge, y));
            }
            corners.push((self.x(view.now.max(last.at)), y));
        }
        corners
    }

    fn line(&self, context: &cairo::Context, pen: Pen, view: &View) -> Result<(), cairo::Error> {
        let corners = self.corners(view);
        let [first, .., last] = corners[..] else {
            return Ok(());
        };
        let path = || {
            for (x, y) in &corners {
                context.line_to(*x, *y);
            }
        };
        context.move_to(first.0, self.y(0.0));
        path();
        context.line_to(last.0, self.y(0.0));
        context.close_path();
        dip(context, pen.line, 0.18);
        context.fill()?;
        path();
        context.set_line_join(cairo::LineJoin::Round);
        context.set_line_cap(cairo::LineCap::Round);
        context.set_line_width(2.5);
        dip(context, pen.line, 1.0);
        context.stroke()
    }

    /// The wedge between the soonest and the latest.
    fn expected(
        &self,
        context: &cairo::Context,
        pen: Pen,
        view: &View,
    ) -> Result<(), cairo::Error> {
        let last = view.readings.last().or(view.lead.as_ref());
        let (Some(forecast), Some(last)) = (view.forecast, last) else {
            return Ok(());
        };
        let (x, y) = (self.x(view.now), self.y(last.percent()));
        let full = self.y(100.0);
        let soonest = (self.x(over(view.now, forecast.least)), full);
        let latest = match forecast.most {
            Some(most) => (self.x(over(view.now, most)), full),
            // It may as well stay as it is.
            None => (self.x(view.until), y),
        };
        context.save()?;
        let (from, to) = (self.x(view.now), self.x(self.until));
        context.rectangle(from.min(to), full, (to - from).abs(), self.height);
        context.clip();
        context.move_to(x, y);
        context.line_to(soonest.0, soonest.1);
        if forecast.most.is_none() {
            context.line_to(self.x(self.until), full);
        }
        context.line_to(latest.0, latest.1);
        context.close_path();
        dip(context, pen.ink, 0.15);
        context.fill()?;
        dip(context, pen.ink, 0.8);
        context.set_line_width(1.5);
        context.set_dash(&[5.0, 4.0], 0.0);
        for end in [soonest, latest] {
            context.move_to(x, y);
            context.line_to(end.0, end.1);
            context.stroke()?;
        }
        context.set_dash(&[], 0.0);
        context.restore()
    }

    /// A line where room was made, and a triangle that points down on it.
    fn marks(&self, context: &cairo::Context, pen: Pen, view: &View) -> Result<(), cairo::Error> {
        dip(context, pen.ink, 0.9);
        context.set_line_width(1.5);
        for reading in view
            .readings
            .iter()
            .filter(|reading| reading.mark.is_some())
        {
            let x = self.x(reading.at);
            context.move_to(x, self.top);
            context.line_to(x, self.y(0.0));
            context.stroke()?;
            context.move_to(x - HEAD / 2.0, 1.0);
            context.line_to(x + HEAD / 2.0, 1.0);
            context.line_to(x, HEAD);
            context.close_path();
            context.fill()?;
        }
        Ok(())
    }

    fn dots(
        &self,
        context: &cairo::Context,
        pen: Pen,
        view: &View,
        marked: Option<usize>,
    ) -> Result<(), cairo::Error> {
        let crowded = view.readings.len() as f64 * APART > self.width;
        for (place, reading) in view.readings.iter().enumerate() {
            let (x, y) = self.place(reading);
            let chosen = marked == Some(place);
            if crowded && !chosen {
                continue;
            }
            context.new_path();
            context.arc(
                x,
                y,
                if chosen { 5.5 } else { 3.0 },
                0.0,
                std::f64::consts::TAU,
            );
            dip(context, pen.line, 1.0);
            context.fill_preserve()?;
            if chosen {
                dip(context, pen.ink, 1.0);
                context.set_line_width(2.0);
                context.stroke()?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Span;
    use super::super::record::tests::{MONDAY, after};
    use super::*;

    fn plot(view: &View, whole: Option<f64>) -> Plot {
        Plot {
            left: 50.0,
            width: 100.0,
            top: 0.0,
            height: 100.0,
            from: view.from,
            until: view.until,
            whole,
        }
    }

    fn view(seen: &[(Wall, u64)], hours: Wall) -> View {
        let readings = after(seen).readings();
        View::new(Span::Day, &readings, MONDAY + hours * 3600, None)
    }

    fn corners(seen: &[(Wall, u64)], hours: Wall) -> Vec<(i64, i64)> {
        let view = view(seen, hours);
        let corners = plot(&view, None).corners(&view);
        let whole = |(x, y): (f64, f64)| (x.round() as i64, y.round() as i64);
        corners.into_iter().map(whole).collect()
    }

    #[test]
    fn time_runs_as_the_text_does() {
        let view = view(&[(30, 0)], 30);
        let (ltr, rtl) = (plot(&view, None), plot(&view, Some(160.0)));
        assert_eq!((ltr.x(view.from), ltr.x(view.until)), (50.0, 150.0));
        assert_eq!((rtl.x(view.from), rtl.x(view.until)), (110.0, 10.0));
    }

    #[test]
    fn the_line_comes_from_before_and_goes_on_until_now() {
        // 24 hours are 100 wide; the edge lies halfway between the first two.
        let line = corners(&[(12, 0), (36, 400)], 48);
        assert_eq!(line, [(50, 80), (100, 60), (150, 60)]);
        assert_eq!(corners(&[(12, 300)], 48), [(50, 70), (150, 70)]);
        assert_eq!(corners(&[], 48), []);
    }

    #[test]
    fn a_refresh_lets_it_fall_at_once() {
        let line = corners(&[(36, 900), (42, 100)], 48);
        assert_eq!(line, [(100, 10), (125, 10), (125, 90), (150, 90)]);
        let line = corners(&[(12, 900), (36, 100)], 48);
        assert_eq!(line, [(50, 10), (100, 10), (100, 90), (150, 90)]);
    }
}
