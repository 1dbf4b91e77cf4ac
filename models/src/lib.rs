//! Samara.
