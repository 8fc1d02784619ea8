//! What a stick held earlier, when it will be full, and a chart of both.
//!
//! [`record`] keeps it, [`store`] reads and writes it; [`forecast`] and [`view`] say what follows
//! from it, [`pace`] how fast it fills while it is watched, [`sheet`] writes it for a spreadsheet, [`chart`] draws it. All but the chart is pure
//! or for a thread.

mod chart;
mod forecast;
mod pace;
mod record;
mod sheet;
mod store;
mod view;
mod words;

pub use chart::Chart;
pub use forecast::Forecast;
pub use pace::Paces;
pub use record::{Histories, History, Reading, Wall, wall};
pub use sheet::csv;
pub use store::{file, key, read, write};
pub use view::{Span, View};
pub use words::{expected, facts, grown, legend, moment};
