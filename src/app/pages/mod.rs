//! The window's pages. Each shows what it is given and knows nothing of the helper.

mod practice;
mod refresh;
mod stick;

pub use practice::PracticePage;
pub use refresh::{RefreshPage, View as RefreshView};
pub use stick::StickPage;
