//! Studies on a real PostgreSQL server, which each test starts for itself; `cargo xtask test --stage data` finds its programs, or unpacks them.

#![cfg(unix)]

mod kills;
mod network;
mod server;
mod storage;
