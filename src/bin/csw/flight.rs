//! Things that were submitted to the recorder and are not known to be recorded yet.

use std::collections::VecDeque;

use csw::error::{Code, Error, Result};
use csw::gate::recorder::{Outcome, Report, Ticket};
use csw::gate::{Gate, REPLAY_DEADLINE};

/// Tickets in flight, the oldest first; with each of them, what it is about.
pub struct Flight<'g, T> {
    gate: &'g Gate,
    tickets: VecDeque<(Ticket, T)>,
    at_once: usize,
}

impl<'g, T> Flight<'g, T> {
    /// Nothing in flight. There may be so many at once, of which half go into one transaction, so that the recorder always finds a whole group; few
    /// enough that their outcomes are remembered.
    pub fn new(gate: &'g Gate, at_once: usize) -> Self {
        Flight { gate, tickets: VecDeque::with_capacity(at_once), at_once }
    }

    /// Submits, waiting while the recorder is busy. `landed` is told of older ones as they are decided; what it returns ends all.
    ///
    /// # Errors
    /// What submitting returns, and what `landed` does.
    pub fn submit(
        &mut self,
        about: T,
        submit: impl Fn() -> Result<Ticket>,
        mut landed: impl FnMut(T, Result<Report>) -> Result<()>,
    ) -> Result<()> {
        if self.tickets.is_empty() {
            self.gate.group_up_to(self.at_once / 2)?;
        }
        let ticket = loop {
            match submit() {
                Err(error) if error.code() == Code::Busy && self.tickets.is_empty() => {
                    self.gate.flush(REPLAY_DEADLINE)?
                }
                Err(error) if error.code() == Code::Busy => self.land(&mut landed)?,
                other => break other?,
            }
        };
        self.tickets.push_back((ticket, about));
        if self.tickets.len() < self.at_once { Ok(()) } else { self.land(&mut landed) }
    }

    /// Waits until all of them are decided.
    ///
    /// # Errors
    /// What `landed` returns.
    pub fn end(mut self, mut landed: impl FnMut(T, Result<Report>) -> Result<()>) -> Result<()> {
        while !self.tickets.is_empty() {
            self.land(&mut landed)?;
        }
        Ok(())
    }

    fn land(&mut self, landed: &mut impl FnMut(T, Result<Report>) -> Result<()>) -> Result<()> {
        let Some((ticket, about)) = self.tickets.pop_front() else { return Ok(()) };
        landed(about, decided(self.gate, ticket))
    }
}

/// What came of a ticket, once it is decided.
///
/// # Errors
/// Why it was not recorded.
pub fn decided(gate: &Gate, ticket: Ticket) -> Result<Report> {
    // Its own deadline may end it sooner.
    match gate.wait(ticket, REPLAY_DEADLINE)? {
        Outcome::Done(report) => Ok(report),
        Outcome::Failed(error) => Err(error),
        Outcome::Pending => Err(Error::new(Code::Internal, "waiting ended, and nothing was decided")),
    }
}
