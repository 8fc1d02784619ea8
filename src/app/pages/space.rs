//! What can go from a stick, and what that costs.

use super::turn;
use crate::clutter;
use crate::prevention;
use crate::trouble::{Problem, Trouble};
use crate::words::{self, fill};
use adw::prelude::*;
use adw::subclass::prelude::*;
use gettextrs::gettext;
use gtk::glib;
use std::cell::{Cell, RefCell};
use sugar_cellar::helper::kinds;
use sugar_cellar::protocol::{Clutter, ClutterSum, Explanation, Measure, MeasureState, Prevention};
use sugar_cellar::units::Sectors;

mod imp {
    use super::*;

    #[derive(Debug, Default, gtk::CompositeTemplate)]
    #[template(resource = "/org/sugarlabs/SugarCellar/ui/space-page.ui")]
    pub struct SpacePage {
        #[template_child]
        pub views: TemplateChild<gtk::Stack>,
        #[template_child]
        pub sentence: TemplateChild<gtk::Label>,
        #[template_child]
        pub can_go: TemplateChild<adw::PreferencesGroup>,
        #[template_child]
        pub gone: TemplateChild<adw::PreferencesGroup>,
        #[template_child]
        pub deleted: TemplateChild<adw::ActionRow>,
        #[template_child]
        pub own: TemplateChild<adw::PreferencesGroup>,
        #[template_child]
        pub trouble: TemplateChild<Trouble>,
        #[template_child]
        pub slower: TemplateChild<adw::PreferencesGroup>,
        #[template_child]
        pub paces: TemplateChild<gtk::Label>,
        pub rows: RefCell<Vec<(adw::PreferencesGroup, adw::ActionRow)>>,
        /// One for each measure, in their order; made with the first that is told.
        pub switches: RefCell<Vec<(Measure, adw::ActionRow, gtk::Switch)>>,
        /// How they stand, and what the overlay holds of each.
        pub measures: RefCell<Vec<Prevention>>,
        pub held: RefCell<Vec<(Measure, Option<Sectors>)>>,
        /// A switch is put as it stands: nobody pressed it.
        pub putting: Cell<bool>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for SpacePage {
        const NAME: &'static str = "CellarSpacePage";
        type Type = super::SpacePage;
        type ParentType = adw::Bin;

        fn class_init(class: &mut Self::Class) {
            Trouble::ensure_type();
            class.bind_template();
        }

        fn instance_init(object: &glib::subclass::InitializingObject<Self>) {
            object.init_template();
        }
    }

    impl ObjectImpl for SpacePage {}
    impl WidgetImpl for SpacePage {}
    impl BinImpl for SpacePage {}
}

glib::wrapper! {
    /// The page of what can go.
    pub struct SpacePage(ObjectSubclass<imp::SpacePage>)
        @extends adw::Bin, gtk::Widget,
        @implements gtk::Accessible, gtk::Buildable, gtk::ConstraintTarget;
}

impl SpacePage {
    /// It is being found out.
    pub fn looking(&self) {
        turn(&self.imp().views, "looking");
    }

    /// It could not be found out, or not be removed.
    pub fn problem(&self, problem: Problem) {
        self.imp().trouble.show(problem, "win.space", true);
        turn(&self.imp().views, "trouble");
    }

    /// What was found; `live` where the computer was started from the stick, so that files can be
    /// removed from it.
    pub fn found(&self, explanation: &Explanation, live: bool) {
        let imp = self.imp();
        for (group, row) in imp.rows.take() {
            group.remove(&row);
        }
        // What is in the trash somebody made.
        let made = |sum: &&ClutterSum| sum.clutter != Clutter::Trash;
        let clutter = explanation.clutter.iter().filter(made);
        let all: u64 = clutter.map(|sum| sum.sectors.0).sum();
        let deleted = explanation.sums.deleted_sectors;
        let values = [
            ("size", &*size(Sectors(all + deleted.0))),
            ("used", &*size(explanation.used_sectors)),
        ];
        imp.sentence.set_label(&fill(
            &gettext("{size} of {used} in use can go without losing what somebody made."),
            &values,
        ));
        for sum in &explanation.clutter {
            let row = row(
                &kinds::clutter(sum.clutter),
                &clutter::sentence(sum.clutter, &size(sum.sectors)),
            );
            if live {
                let button = gtk::Button::with_label(&gettext("Remove…"));
                button.set_valign(gtk::Align::Center);
                let what = sum.clutter.word();
                button.set_action_name(Some("win.clean"));
                button.set_action_target(Some(what));
                button.update_property(&[gtk::accessible::Property::Label(&fill(
                    &gettext("Remove {what}…"),
                    &[("what", &kinds::clutter(sum.clutter))],
                ))]);
                row.add_suffix(&button);
            }
            self.add(&imp.can_go, row);
        }
        imp.can_go.set_visible(!explanation.clutter.is_empty());
        let place = (!live).then(|| {
            gettext("To remove them, start the computer from this stick, and open this page there.")
        });
        imp.can_go.set_description(place.as_deref());
        imp.deleted.set_subtitle(&match live {
            true => fill(
                &gettext("{size}, which come back when the computer restarts"),
                &[("size", &size(deleted))],
            ),
            false => size(deleted),
        });
        imp.gone.set_visible(deleted.0 > 0);
        for entry in &explanation.journal_entries {
            let title = entry.title.clone();
            let title = title.unwrap_or_else(|| gettext("An entry without a title"));
            self.add(&imp.own, row(&title, &size(entry.sectors)));
        }
        imp.own.set_visible(!explanation.journal_entries.is_empty());
        let home = glib::home_dir();
        let home = home.to_string_lossy();
        imp.held.replace(
            Measure::ALL
                .map(|measure| (measure, prevention::held(measure, explanation, &home)))
                .to_vec(),
        );
        self.as_it_stands();
        turn(&imp.views, "ready");
    }

    /// How the measures stand that let it fill more slowly; none where nothing can be switched.
    pub fn measures(&self, measures: &[Prevention]) {
        self.imp().measures.replace(measures.to_vec());
        self.as_it_stands();
    }

    /// How fast the overlay grows, in words.
    pub fn paces(&self, text: &str) {
        self.imp().paces.set_label(text);
    }

    /// Puts each switch as it stands. The rows stay the same ones: the keyboard is on one of them.
    pub fn as_it_stands(&self) {
        let imp = self.imp();
        let measures = imp.measures.borrow();
        imp.paces.set_visible(!measures.is_empty());
        if imp.switches.borrow().is_empty() && !measures.is_empty() {
            let switches = Measure::ALL.map(|measure| self.switch(measure));
            imp.switches.replace(switches.to_vec());
        }
        imp.putting.set(true);
        for (measure, row, switch) in &*imp.switches.borrow() {
            let stands = measures.iter().find(|stands| stands.measure == *measure);
            row.set_visible(stands.is_some());
            let Some(stands) = stands else { continue };
            let held = imp.held.borrow();
            let held = held.iter().find(|(of, _)| of == measure);
            let held = held.and_then(|(_, held)| *held);
            let text = prevention::sentence(stands, held);
            row.set_subtitle(&glib::markup_escape_text(&text));
            let on = matches!(stands.state, MeasureState::On | MeasureState::Already);
            switch.set_active(on);
            switch.set_state(on);
            let free = matches!(stands.state, MeasureState::On | MeasureState::Off);
            // The row stays: the keyboard reaches the reason.
            switch.set_sensitive(free);
            switch.update_property(&[gtk::accessible::Property::Description(&text)]);
        }
        imp.putting.set(false);
    }

    fn switch(&self, measure: Measure) -> (Measure, adw::ActionRow, gtk::Switch) {
        let name = kinds::measure(measure);
        let row = row(&name, "");
        let switch = gtk::Switch::builder().valign(gtk::Align::Center).build();
        switch.update_property(&[gtk::accessible::Property::Label(&name)]);
        let page = self.downgrade();
        switch.connect_state_set(move |switch, on| {
            if let Some(page) = page.upgrade()
                && !page.imp().putting.get()
            {
                let what = (measure.word().to_owned(), on).to_variant();
                // It fails only where there is no window to switch it.
                if let Err(error) = switch.activate_action("win.prevent", Some(&what)) {
                    glib::g_info!("sugar-cellar", "prevent: {error}");
                }
                // It is on when it is said to be.
                return glib::Propagation::Stop;
            }
            glib::Propagation::Proceed
        });
        row.add_suffix(&switch);
        row.set_activatable_widget(Some(&switch));
        self.imp().slower.add(&row);
        (measure, row, switch)
    }

    fn add(&self, group: &adw::PreferencesGroup, row: adw::ActionRow) {
        group.add(&row);
        self.imp().rows.borrow_mut().push((group.clone(), row));
    }
}

fn row(title: &str, subtitle: &str) -> adw::ActionRow {
    adw::ActionRow::builder()
        .title(glib::markup_escape_text(title))
        .subtitle(glib::markup_escape_text(subtitle))
        .title_lines(0)
        .subtitle_lines(0)
        .build()
}

fn size(sectors: Sectors) -> String {
    words::size(sectors.0.saturating_mul(512))
}
