//! What tests share: a model of device-mapper's snapshot, an encoder of stores that owes
//! nothing to the library's, a learner, and the loop that cuts an operation at every call.
#![allow(dead_code)] // No test uses all of it.

pub mod alone;
pub mod cuts;
pub mod encode;
pub mod kernel;
pub mod learner;
pub mod small;
