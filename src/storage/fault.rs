//! A disk in memory whose every call can be cut, torn, reordered or failed.
