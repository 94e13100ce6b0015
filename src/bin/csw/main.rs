//! The operator's command. Each command is a room of its own; what they say goes through [`output`], how they end through [`ending`].

mod arguments;
mod card;
mod check;
mod decide;
mod doctor;
mod documents;
mod ending;
mod expiring;
mod flight;
mod forget;
mod free_tier;
mod grow;
mod import;
mod ingest;
mod input;
mod ledger;
mod manual;
mod output;
mod rates;
mod reconcile;
mod report;
mod templates;
mod timeline;
mod value;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use csw::error::{Code, Error, Result};
use csw::gate::Gate;
use csw::gate::config::{Config, StorePlace};

use ending::{Ended, USAGE};
use output::Output;

/// What one thread has read another one records and frees, a million times: glibc's allocator makes the two wait for each other.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The customer service window of WhatsApp for messaging gateways: the operator's command.
///
/// It asks the store of a running gateway, fills it, and accounts for what it holds. Everything may run beside the gateway, except `grow`; run
/// it as the gateway's user.
#[derive(Parser)]
#[command(version, max_term_width = 100, after_help = ending::EXIT_CODES)]
struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Args)]
#[command(next_help_heading = "Common options")]
struct Common {
    /// The configuration.
    #[arg(
        long,
        short,
        global = true,
        overrides_with = "config",
        value_name = "FILE",
        default_value = "/etc/csw.toml",
        env = "CSW_CONFIG",
        hide_env_values = true
    )]
    config: PathBuf,
    /// Answer in JSON: one document, or one line for each entry where they may be many.
    #[arg(long, global = true)]
    json: bool,
    /// Write phone numbers and user ids whole; without it only their ends are shown.
    #[arg(long, global = true)]
    show_numbers: bool,
}

#[derive(Subcommand)]
enum Command {
    Check(check::Check),
    Decide(decide::Decide),
    Timeline(timeline::Timeline),
    Expiring(expiring::Expiring),
    FreeTier(free_tier::FreeTier),
    Report(report::Report),
    Reconcile(reconcile::Reconcile),
    #[command(subcommand)]
    Ledger(ledger::Ledger),
    Ingest(ingest::Ingest),
    Import(import::Import),
    #[command(subcommand)]
    Rates(rates::Rates),
    #[command(subcommand)]
    Templates(templates::Templates),
    Forget(forget::Forget),
    Doctor(doctor::Doctor),
    Grow(grow::Grow),
    Completions(manual::Completions),
    Man(manual::Man),
}

/// What every command works with.
struct Desk {
    config: PathBuf,
    output: Output,
}

impl Desk {
    /// The gate of the configuration, to fill its store; the store is made on first use.
    fn gate_to_fill(&self) -> Result<Gate> {
        Gate::open(&self.config)
    }

    /// The gate of the configuration, to ask it. Asking makes no store: one that an operator has made may lock the gateway out.
    fn gate(&self) -> Result<Gate> {
        let gate = Gate::open(&self.config)?;
        match &gate.config().store {
            StorePlace::Lmdb(path) if !path.join("data.mdb").exists() => {
                let advice = "the gateway makes it on first use; or the configuration names another folder";
                Err(Error::new(Code::Store, format!("{} holds no store yet: {advice}", path.display())))
            }
            _ => Ok(gate),
        }
    }

    /// The configuration alone.
    fn config(&self) -> Result<Config> {
        Config::read(&self.config)
    }
}

fn main() -> ExitCode {
    let Arguments { common, command } = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(answer) => {
            // Help and version are answers, too; whoever closed the pipe does not want them.
            let _ = answer.print();
            return if answer.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let mut desk = Desk { config: common.config, output: Output::new(common.json, common.show_numbers) };
    let ended = run(command, &mut desk);
    ending::exit_code(ended.and_then(|done| desk.output.flush().map(|()| done)))
}

fn run(command: Command, desk: &mut Desk) -> Ended {
    match command {
        Command::Check(check) => check.run(desk),
        Command::Decide(decide) => decide.run(desk),
        Command::Timeline(timeline) => timeline.run(desk),
        Command::Expiring(expiring) => expiring.run(desk),
        Command::FreeTier(free_tier) => free_tier.run(desk),
        Command::Report(report) => report.run(desk),
        Command::Reconcile(reconcile) => reconcile.run(desk),
        Command::Ledger(ledger) => ledger.run(desk),
        Command::Ingest(ingest) => ingest.run(desk),
        Command::Import(import) => import.run(desk),
        Command::Rates(rates) => rates.run(desk),
        Command::Templates(templates) => templates.run(desk),
        Command::Forget(forget) => forget.run(desk),
        Command::Doctor(doctor) => doctor.run(desk),
        Command::Grow(grow) => grow.run(desk),
        Command::Completions(completions) => completions.run(desk),
        Command::Man(man) => man.run(desk),
    }
}
