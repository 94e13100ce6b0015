//! What must hold whatever happens to the processes, the power, and the load. The short form runs with the other tests; `make torture` runs the long one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod kills;
mod power;
mod support;
