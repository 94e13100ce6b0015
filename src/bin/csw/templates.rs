//! `csw templates`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use csw::rules::event::NoticeWhat;
use csw::time::Timestamp;
use csw::wire::templates;

use crate::Desk;
use crate::arguments::When;
use crate::ending::{Done, Ended};
use crate::flight::decided;
use crate::input::{self, Work};
use crate::output::{Facts, Format};
use crate::value::{Value, word};

/// Keep the catalogue of templates: their approval and their categories.
///
/// The platform's webhooks keep it up to date; what was there before them is imported.
#[derive(Subcommand)]
pub enum Templates {
    Import(Import),
    List(List),
}

/// Record the platform's list of a business account's templates.
///
/// A file holds the answers to `GET /{account}/message_templates`, one page or several after one another. What webhooks have said since then
/// is not undone. What cannot be read is named and left out (exit code 2).
#[derive(Args)]
pub struct Import {
    /// The files; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The id of the business account (WABA).
    #[arg(long, value_name = "ID")]
    account: u64,
    /// When the list was fetched; without it the time of the file.
    #[arg(long, value_name = "WHEN", value_parser = When::parse)]
    at: Option<When>,
}

/// List the templates that are known.
#[derive(Args)]
pub struct List {
    /// Only of this business account (WABA).
    #[arg(long, value_name = "ID")]
    account: Option<u64>,
    /// How to write the rows; without it a table, or JSON with `--json`.
    #[arg(long)]
    format: Option<Format>,
}

impl Templates {
    /// Runs the command.
    pub fn run(self, desk: &mut Desk) -> Ended {
        match self {
            Templates::Import(import) => import.run(desk),
            Templates::List(list) => list.run(desk),
        }
    }
}

impl Import {
    fn run(self, desk: &mut Desk) -> Ended {
        let gate = desk.gate_to_fill()?;
        let zone = gate.config().default_policy().rules.zone();
        let mut work = Work::on_files(&self.files)?;
        let (mut taken, mut approved) = (0_u64, 0_u64);
        for file in &self.files {
            let name = input::name(file);
            let at = self.at.map_or_else(|| fetched_at(file), |when| when.within(zone));
            let list = templates::parse(self.account, &work.whole(file)?, at).map_err(|error| error.at(&name))?;
            for what in &list.unreadable {
                work.leave_out(format_args!("{name}: {what}"));
            }
            if list.is_cut_off {
                work.leave_out(format_args!("{name}: the list goes on behind its last page (paging.next)"));
            }
            let is_approved = |what: &NoticeWhat| matches!(what, NoticeWhat::TemplateStatus { approved: true, .. });
            approved += list.notices.iter().filter(|notice| is_approved(&notice.what)).count() as u64;
            taken += u64::from(decided(&gate, gate.submit_notices(list.notices)?)?.events);
        }
        let left_out = work.left_out();
        let done = work.end();
        let sentence = format!("{taken} templates recorded, {approved} of them approved, {left_out} left out");
        let facts = Facts::default().say("recorded", taken).say("approved", approved).say("left_out", left_out);
        desk.output.sentence(&sentence, &facts)?;
        Ok(done)
    }
}

/// What a list is as old as: its file.
fn fetched_at(file: &Path) -> Timestamp {
    let modified = std::fs::metadata(file).and_then(|metadata| metadata.modified()).ok();
    let since = modified.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    let at = since.and_then(|since| i64::try_from(since.as_millis()).ok()).map(Timestamp::from_millis);
    let now = Timestamp::now();
    at.map_or(now, |at| at.min(now))
}

impl List {
    fn run(self, desk: &mut Desk) -> Ended {
        let gate = desk.gate()?;
        let accounts = match self.account {
            Some(account) => vec![account],
            None => gate.accounts()?,
        };
        let format = desk.output.format(self.format, Format::Table, Format::Json);
        let names = ["account", "name", "language", "approved", "category", "as_of"];
        let zone = gate.config().default_policy().rules.zone();
        let mut rows = desk.output.rows(format, &names)?;
        for account in accounts {
            for record in gate.templates(account)? {
                rows.row(vec![
                    Value::Text(account.to_string()),
                    Value::Text(record.template.name.clone()),
                    Value::Text(record.template.language.clone()),
                    record.approved.into(),
                    record.category.map(word).into(),
                    Value::Moment(record.as_of, zone),
                ])?;
            }
        }
        rows.end()?;
        Ok(Done::Yes)
    }
}
