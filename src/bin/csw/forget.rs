//! `csw forget`.

use std::io::{self, BufRead, IsTerminal, Write};

use clap::Args;

use csw::error::Error;
use csw::party::{Business, Customer};

use crate::Desk;
use crate::arguments::Name;
use crate::ending::{Done, Ended, Failure};
use crate::flight::decided;
use crate::output::Facts;

/// Erase a customer; the totals stay.
///
/// Facts, names and message ids are erased, and who they were in the ledger. What the platform says of them afterwards is recorded as of somebody new.
#[derive(Args)]
pub struct Forget {
    /// The phone number, the user id (`US.1349...`), or `group:<id>`.
    #[arg(value_parser = Name(Customer::parse))]
    customer: Customer,
    /// Only of this number; without it of all.
    #[arg(long, value_name = "ID", value_parser = Name(Business::parse))]
    business: Option<Business>,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

impl Forget {
    /// Erases, once that was confirmed.
    pub fn run(self, desk: &mut Desk) -> Ended {
        if !self.yes && !self.is_meant()? {
            return Ok(Done::No);
        }
        let gate = desk.gate()?;
        let erased = decided(&gate, gate.submit_forget(self.business, self.customer)?)?.events;
        let sentence = format!("{erased} {} erased", if erased == 1 { "contact" } else { "contacts" });
        desk.output.sentence(&sentence, &Facts::default().say("erased", u64::from(erased)))?;
        Ok(Done::Yes)
    }

    fn is_meant(&self) -> Result<bool, Failure> {
        if !io::stdin().is_terminal() {
            return Err(Failure::Usage(Error::invalid("nobody can be asked here; say --yes")));
        }
        let of = self.business.map_or("all numbers".to_owned(), |business| business.to_string());
        let _ = write!(io::stderr(), "Erase {:?} of {of}? That cannot be undone. [y/N] ", self.customer);
        let mut answer = String::new();
        // No answer is a no.
        let _ = io::stdin().lock().read_line(&mut answer);
        Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
    }
}
