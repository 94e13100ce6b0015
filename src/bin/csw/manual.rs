//! `csw completions` and `csw man`: both made from the definitions of the commands.

use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::roff::{Roff, roman};

use csw::error::Error;

use crate::ending::{Done, EXIT_CODES, Ended, Failure};
use crate::output::Facts;
use crate::{Arguments, Desk};

/// Write completions for a shell to standard output.
///
/// For bash: `csw completions bash > /usr/local/share/bash-completion/completions/csw`.
#[derive(Args)]
pub struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    /// Writes the completions.
    pub fn run(self, desk: &mut Desk) -> Ended {
        // Into memory first: writing to a closed pipe would panic.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Arguments::command(), "csw", &mut script);
        desk.output.raw(&script)?;
        Ok(Done::Yes)
    }
}

/// Write the manual, as pages for man(1).
///
/// The main page goes to standard output; with a folder, a page for each command goes there.
#[derive(Args)]
pub struct Man {
    /// The folder, for example /usr/local/share/man/man1.
    folder: Option<PathBuf>,
}

impl Man {
    /// Writes the pages.
    pub fn run(self, desk: &mut Desk) -> Ended {
        let mut command = Arguments::command().disable_help_subcommand(true);
        command.build();
        match self.folder {
            None => desk.output.raw(&page(command)?)?,
            Some(folder) => {
                let pages = pages(command, &folder)?;
                let (pages, folder) = (u64::from(pages), folder.display().to_string());
                let facts = Facts::default().say("pages", pages).say("folder", folder.clone());
                desk.output.sentence(&format!("{pages} pages in {folder}"), &facts)?;
            }
        }
        Ok(Done::Yes)
    }
}

/// Writes the pages of a command and of all below it; returns how many they are.
fn pages(command: Command, folder: &Path) -> Result<u32, Failure> {
    let mut count = 1;
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        count += pages(below.clone(), folder)?;
    }
    let path = folder.join(clap_mangen::Man::new(command.clone()).get_filename());
    let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, page(command)?));
    written.map_err(|cause| Error::invalid(format!("{}: {cause}", path.display())))?;
    Ok(count)
}

/// A page. The exit codes, which the help says at its end, have a section of their own.
fn page(command: Command) -> std::io::Result<Vec<u8>> {
    let has_commands = command.has_subcommands();
    let man = clap_mangen::Man::new(command).manual("csw").source(concat!("csw ", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if has_commands {
        man.render_subcommands_section(&mut page)?;
    }
    let mut codes = Roff::new();
    codes.control("SH", ["EXIT STATUS"]);
    for line in EXIT_CODES.lines().skip(1) {
        let (code, meaning) = line.trim().split_once(' ').unwrap_or((line, ""));
        codes.control("TP", []);
        codes.text([roman(code)]);
        codes.text([roman(meaning.trim())]);
    }
    codes.control("SH", ["SEE ALSO"]);
    codes.text([roman("csw(1), and the README for csw.toml, key by key")]);
    codes.to_writer(&mut page)?;
    Ok(page)
}
