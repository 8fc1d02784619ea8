//! What every command of the helper keeps to, whatever it does.

#![allow(clippy::unwrap_used)]

mod contracts;
mod damage;
mod generated;
mod helper;
mod jobs;
mod translations;
