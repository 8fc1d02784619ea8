//! What every command of the helper keeps to, whatever it does.

#![allow(clippy::unwrap_used)]

mod changes;
mod contracts;
mod damage;
mod generated;
mod helper;
mod hostile;
mod jobs;
mod kinds;
mod replaced;
mod several;
mod translations;
