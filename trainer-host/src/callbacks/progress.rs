//! A progress bar with the time left, and a line per epoch.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Callback;
use crate::error::Result;
use crate::train::Training;

/// Redraws are this far apart.
const INTERVAL: Duration = Duration::from_millis(100);

/// Shows the model's [warnings](crate::Model::warnings); how far an epoch has come and when it will end, on standard error if
/// that is a terminal; and a line with the measurements of every epoch.
pub struct Progress {
    bar: ProgressBar,
    drawn: Instant,
}

impl Progress {
    /// A progress bar for one training.
    pub fn new() -> Self {
        Self { bar: ProgressBar::hidden(), drawn: Instant::now() }
    }

    fn start_bar(&mut self, steps: usize) {
        if !std::io::stderr().is_terminal() {
            return;
        }
        self.bar = ProgressBar::with_draw_target(Some(steps as u64), ProgressDrawTarget::stderr());
        let template = "{prefix} {bar:30} {pos}/{len} steps, {eta} left{msg}";
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
    fn train_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
        training.model().warnings().iter().for_each(|warning| eprintln!("warning: {warning}"));
        Ok(())
    }

    fn epoch_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
        self.start_bar(training.steps());
        Ok(())
    }

    fn batch_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        if self.drawn.elapsed() >= INTERVAL || training.step() == training.steps() {
            self.drawn = Instant::now();
            self.bar.set_prefix(format!("epoch {}/{}", training.epoch(), training.epochs()));
            self.bar.set_message(format!(", loss {:.4}", training.loss()));
            self.bar.set_position(training.step() as u64);
        }
        Ok(())
    }

    fn epoch_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        self.bar.finish_and_clear();
        if let Some(log) = training.log() {
            eprintln!("epoch {}/{}  {:.1} s  {}", log.epoch, training.epochs(), log.seconds, log.measurements);
        }
        Ok(())
    }
}
