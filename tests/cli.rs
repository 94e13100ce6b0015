//! The operator's command, run as an operator runs it.
#![cfg(feature = "cli")]
// What cannot be set up fails the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "cli/answers.rs"]
mod answers;
#[path = "cli/books.rs"]
mod books;
#[path = "cli/doctor.rs"]
mod doctor;
#[path = "cli/import.rs"]
mod import;
#[path = "cli/ingest.rs"]
mod ingest;
#[path = "cli/manners.rs"]
mod manners;
#[path = "cli/people.rs"]
mod people;
#[path = "cli/place.rs"]
mod place;
#[path = "cli/rates.rs"]
mod rates;
#[path = "cli/reconcile.rs"]
mod reconcile;
mod support;
