//! Keeping count: what passed, what failed, what was skipped, and how long it took.

use std::{
    fmt,
    time::{Duration, Instant},
};

use anyhow::Result;

/// Measures time.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

/// A duration as people read it: `2 min 05 s`.
#[derive(Debug, Clone, Copy)]
pub struct Shown(pub Duration);

impl Stopwatch {
    /// Starts now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Shown {
        Shown(self.0.elapsed())
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64().round() as u64;
        if seconds < 60 { write!(f, "{seconds} s") } else { write!(f, "{} min {:02} s", seconds / 60, seconds % 60) }
    }
}

/// The count of one stage.
#[derive(Debug, Default)]
pub struct Tally {
    /// Checks that passed.
    pub passed: usize,
    /// Checks that failed.
    pub failed: usize,
    /// What was skipped, and why.
    pub skipped: Vec<String>,
}

impl Tally {
    /// Runs one check, and says so. A failure is counted and does not stop the others.
    pub fn check(&mut self, name: &str, action: impl FnOnce(&mut Self) -> Result<()>) {
        println!("- {name}");
        let watch = Stopwatch::start();
        match action(self) {
            Ok(()) => {
                self.passed += 1;
                println!("  passed in {}", watch.elapsed());
            }
            Err(error) => {
                self.failed += 1;
                println!("  FAILED after {}: {error:#}", watch.elapsed());
            }
        }
    }

    /// Counts what cannot run here.
    pub fn skip(&mut self, what: &str, why: &str) {
        println!("- {what}: skipped, {why}");
        self.skipped.push(format!("{what}: {why}"));
    }

    /// Counts the tests that a line of the test harness sums up, like `test result: ok. 3 passed; 0 failed; ...`.
    pub fn count_harness_line(&mut self, line: &str) {
        let Some(summary) = line.strip_prefix("test result:") else { return };
        for part in summary.split([';', '.']) {
            let mut words = part.split_whitespace();
            match (words.next().and_then(|word| word.parse::<usize>().ok()), words.next()) {
                (Some(count), Some("passed")) => self.passed += count,
                (Some(count), Some("failed")) => self.failed += count,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;

    #[test]
    fn failures_are_counted_and_do_not_stop_the_rest() {
        let mut tally = Tally::default();
        tally.check("one", |_| bail!("no"));
        tally.check("two", |_| Ok(()));
        tally.skip("three", "there is no board");
        assert_eq!((tally.passed, tally.failed, tally.skipped.len()), (1, 1, 1));
    }

    #[test]
    fn the_harness_summary_is_counted() {
        let mut tally = Tally::default();
        tally.count_harness_line(
            "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.10s",
        );
        tally.count_harness_line("12 passed in some other line");
        assert_eq!((tally.passed, tally.failed), (12, 3));
    }

    #[test]
    fn durations() {
        assert_eq!(Shown(Duration::from_secs(125)).to_string(), "2 min 05 s");
        assert_eq!(Shown(Duration::from_millis(2_600)).to_string(), "3 s");
    }
}
