//! What must hold whatever happens to processes and power. The short forms run with the other tests; `make torture` runs the long ones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod kills;
mod power;
mod support;
