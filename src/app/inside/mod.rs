//! What is inside an overlay: a tree of what owns its space, and a map of it.

mod layout;
mod map;
mod tree;
mod words;

pub use map::{Map, Swatch};
pub use tree::{Item, Tree, View};
pub use words::{subtitle, title};
