//! `csw expiring`.

use clap::Args;

use csw::gate::inquiry::Expiring as Closing;
use csw::time::Span;

use crate::Desk;
use crate::arguments::{self, When};
use crate::ending::{Done, Ended};
use crate::output::Format;
use crate::value::Value;

/// Name the customers whose windows are about to close, soonest first.
///
/// For them it is the last chance of a free-form message. All contacts are read.
#[derive(Args)]
pub struct Expiring {
    /// How soon: 30m, 1h, 24h.
    #[arg(long, value_name = "SPAN", default_value = "1h", value_parser = Span::parse)]
    within: Span,
    /// As of this moment: RFC 3339, a date, Unix seconds or milliseconds.
    #[arg(long, value_name = "WHEN", value_parser = When::parse)]
    at: Option<When>,
    /// At most so many.
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
    /// How to write the rows; without it a table, or JSON lines with `--json`.
    #[arg(long)]
    format: Option<Format>,
}

/// How many are asked for at once. Each time all contacts are read.
const PAGE: usize = 65_536;

impl Expiring {
    /// Names them.
    pub fn run(self, desk: &mut Desk) -> Ended {
        let gate = desk.gate()?;
        let at = arguments::at(self.at, gate.config().default_policy().rules.zone());
        let format = desk.output.format(self.format, Format::Table, Format::Jsonl);
        let mut rows = desk.output.rows(format, &["expires_at", "remaining", "business", "customer"])?;
        let (mut left, mut last): (usize, Option<Closing>) = (self.limit.unwrap_or(usize::MAX), None);
        loop {
            let asked = left.min(PAGE);
            let page = gate.expiring(at, self.within, last.as_ref(), asked)?;
            for closing in &page {
                rows.row(vec![
                    Value::Moment(Some(closing.expires_at), arguments::zone(gate.config(), closing.business)),
                    Span::between(at, closing.expires_at).into(),
                    closing.business.into(),
                    closing.customer.into(),
                ])?;
            }
            left -= page.len();
            if page.len() < asked || left == 0 {
                break;
            }
            last = page.last().copied();
        }
        rows.end()?;
        Ok(Done::Yes)
    }
}
