//! Samara.
#![no_std]
