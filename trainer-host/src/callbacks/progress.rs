//! A progress bar with the time left, and a line per epoch.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Begin, Callback, StepLog};
use crate::train::EpochLog;

/// Redraws are this far apart.
const INTERVAL: Duration = Duration::from_millis(100);

/// Shows how far an epoch has come and when it will end, on standard error if that is a terminal; and a line with the
/// measurements of every epoch.
pub struct Progress {
    bar: ProgressBar,
    begin: Begin,
    drawn: Instant,
}

impl Progress {
    /// A progress bar for one training.
    pub fn new() -> Self {
        let begin = Begin { epochs: 0, steps: 0, samples: 0 };
        Self { bar: ProgressBar::hidden(), begin, drawn: Instant::now() }
    }

    fn start_bar(&mut self) {
        if !std::io::stderr().is_terminal() {
            return;
        }
        self.bar = ProgressBar::with_draw_target(Some(self.begin.steps as u64), ProgressDrawTarget::stderr());
        let template = "{prefix} {bar:30} {pos}/{len} steps, {eta} left, {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Callback for Progress {
    fn begin(&mut self, begin: &Begin) {
        self.begin = *begin;
        self.start_bar();
    }

    fn step(&mut self, log: &StepLog) {
        if self.drawn.elapsed() < INTERVAL && log.step < self.begin.steps {
            return;
        }
        self.drawn = Instant::now();
        self.bar.set_prefix(format!("epoch {}/{}", log.epoch, self.begin.epochs));
        self.bar.set_message(format!("loss {:.4}", log.loss));
        self.bar.set_position(log.step as u64);
    }

    fn epoch(&mut self, log: &EpochLog) -> bool {
        self.bar.finish_and_clear();
        eprintln!("epoch {}/{}  {:.1} s  {}", log.epoch, self.begin.epochs, log.seconds, log.measurements);
        if log.epoch < self.begin.epochs {
            self.start_bar();
        }
        true
    }
}
