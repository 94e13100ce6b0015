//! `csw free-tier`.

use clap::Args;

use csw::gate::inquiry::FreeTier as Tier;

use crate::Desk;
use crate::arguments::{self, When};
use crate::ending::{Done, Ended};
use crate::output::Format;
use crate::value::Value;

/// Say how much of the month's free service messages each number has used.
///
/// Counted are deliveries, as far as csw has heard of them.
#[derive(Args)]
pub struct FreeTier {
    /// The month of this moment: RFC 3339, a date, Unix seconds or milliseconds.
    #[arg(long, value_name = "WHEN", value_parser = When::parse)]
    at: Option<When>,
    /// How to write the rows; without it a table, or JSON with `--json`.
    #[arg(long)]
    format: Option<Format>,
}

impl FreeTier {
    /// Says it of every number.
    pub fn run(self, desk: &mut Desk) -> Ended {
        let gate = desk.gate()?;
        let at = arguments::at(self.at, gate.config().default_policy().rules.zone());
        let found = gate.free_tiers(at)?;
        let format = desk.output.format(self.format, Format::Table, Format::Json);
        let mut rows = desk.output.rows(format, &["business", "month", "used", "free", "left", "resets_at"])?;
        for Tier { business, month, used, free, resets_at } in found {
            rows.row(vec![
                business.into(),
                month.into(),
                u64::from(used).into(),
                free.map(u64::from).into(),
                free.map(|free| u64::from(free.saturating_sub(used))).into(),
                Value::Moment(Some(resets_at), arguments::zone(gate.config(), business)),
            ])?;
        }
        rows.end()?;
        Ok(Done::Yes)
    }
}
