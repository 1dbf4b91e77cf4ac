//! `--workers`: processes of this machine on one study, watched by the one that was called.

use std::collections::HashSet;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use samara_search::Study;

use super::Tuning;
use crate::interrupt::{self, Interrupted};
use crate::output;

/// How often it is looked whether all still work.
const LOOK: Duration = Duration::from_millis(500);
/// How often one that the system ended is replaced.
const REPLACEMENTS: usize = 3;
/// What tells a process how many threads to use.
const THREADS: &str = "RAYON_NUM_THREADS";

/// Where workers find what they work on.
pub struct Place<'a> {
    pub url: &'a str,
    pub study: &'a str,
    pub data: &'a str,
}

/// Processes that work; they end with this one, however it ends: they read from a pipe that it holds.
struct Crew<'a> {
    place: &'a Place<'a>,
    count: usize,
    workers: Vec<Child>,
}

impl Crew<'_> {
    fn add(&mut self) -> Result<()> {
        let program = std::env::current_exe().context("this program's own file is not known")?;
        let mut command = Command::new(program);
        let Place { url, study, data } = self.place;
        command.args(["tune", "worker", "--storage", url, "--study", study, "--data", data, "--with-parent"]);
        if std::env::var_os(THREADS).is_none() {
            let cores = available_parallelism().map_or(1, usize::from);
            command.env(THREADS, (cores / self.count).max(1).to_string());
        }
        let worker = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        self.workers.push(worker.context("a worker cannot be started")?);
        Ok(())
    }

    /// Those that have ended since the last time.
    fn ended(&mut self) -> Result<Vec<ExitStatus>> {
        let (mut ended, mut place) = (Vec::new(), 0);
        let unknown = "a worker is not known to the system";
        while place < self.workers.len() {
            if self.workers[place].try_wait().context(unknown)?.is_some() {
                ended.push(self.workers.swap_remove(place).wait().context(unknown)?);
            } else {
                place += 1;
            }
        }
        Ok(ended)
    }

    /// Lets all give their trials back, and waits for it.
    fn dismiss(&mut self) {
        self.workers.iter_mut().for_each(|worker| drop(worker.stdin.take()));
        for worker in &mut self.workers {
            let _ = worker.wait();
        }
        self.workers.clear();
    }
}

impl Drop for Crew<'_> {
    fn drop(&mut self) {
        self.dismiss();
    }
}

impl Tuning {
    /// Lets `count` processes work until the study has as many trials as it shall have, and tells what they come to.
    ///
    /// # Errors
    /// If a worker ends with an error, or the system ends workers again and again; [`Interrupted`] after Ctrl-C.
    pub(super) fn share(&self, study: &mut Study, place: &Place<'_>, count: usize) -> Result<()> {
        let started = Instant::now();
        let mut told: HashSet<u64> =
            study.trials()?.iter().filter(|trial| trial.state.is_finished()).map(|trial| trial.number).collect();
        interrupt::listen();
        let mut crew = Crew { place, count, workers: Vec::new() };
        (0..count).try_for_each(|_| crew.add())?;
        let mut replaced = 0;
        loop {
            if interrupt::is_asked() {
                crew.dismiss();
                return Err(Interrupted::new(
                    "interrupted: the trials were given back to the study; the same command goes on with them",
                )
                .into());
            }
            for status in crew.ended()? {
                match status.code() {
                    Some(0) => {}
                    // Ctrl-C goes to all processes of a terminal.
                    Some(code) if code == i32::from(interrupt::EXIT_CODE) => interrupt::ask(),
                    Some(code) => bail!(
                        "a worker ended with code {code}, for the reason above; the study is kept, and the others gave their trials back"
                    ),
                    None if replaced == count * REPLACEMENTS => {
                        bail!("the system ended {} workers: is there memory for {count}?", replaced + 1)
                    }
                    None => {
                        replaced += 1;
                        output::note(&format!("a worker was ended by the system ({status}): another one takes its place"));
                        crew.add()?;
                    }
                }
            }
            let all_ended = crew.workers.is_empty();
            for trial in study.trials()? {
                if !told.contains(&trial.number)
                    && let Some(text) = self.told_of(&trial)
                {
                    told.insert(trial.number);
                    let all = started.elapsed().as_secs_f64();
                    output::note(&format!("trial {} of {}: {text}; {all:.0} s in all", trial.number, self.plan.trials));
                }
            }
            if all_ended {
                interrupt::rest();
                return Ok(());
            }
            if !study.wait(LOOK)? {
                std::thread::sleep(LOOK / 5);
            }
        }
    }
}
