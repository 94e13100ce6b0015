//! What must hold whatever happens to processes, power, disks, gateways and peers, and under load for a long time. Each test has a short form that
//! runs with the others, and a long one for `CSW_TORTURE=long` (`make torture`); each says in one line what it has done.
//!
//! Needs root, the gateways and a staged `build/` (or `CSW_BUILD`): `make deps build`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]
#![allow(dead_code, unused_imports, reason = "each test uses a part of what the tests of the gateways are made with")]

mod faults;
#[path = "../support/gateway.rs"]
mod gateway;
#[path = "../haproxy/workshop.rs"]
mod haproxy;
mod host;
mod hosts;
#[path = "../kamailio/workshop.rs"]
mod kamailio;
mod kills;
mod load;
mod measure;
#[path = "../nginx/workshop.rs"]
mod nginx;
mod power;
#[path = "../prosody/workshop.rs"]
mod prosody;
#[path = "../support/scenario.rs"]
mod scenario;
#[path = "../kamailio/sip.rs"]
mod sip;
#[path = "../prosody/stream.rs"]
mod stream;
mod support;
