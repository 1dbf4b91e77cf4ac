//! `samara tune worker`: trials of a study that was begun elsewhere. The study keeps the file and what was asked for; a worker needs its place, and
//! the data.

use std::io::Read;

use anyhow::Result;
use samara_search::Storage;

use super::Tuning;
use crate::{interrupt, output};

/// Arguments of `samara tune worker`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where the study is kept, as for `samara tune`
    #[arg(long, value_name = "FILE|URL")]
    storage: String,
    /// Name of the study in the storage
    #[arg(long)]
    study: String,
    /// The data set, if it has another name or path on this machine
    #[arg(long, value_name = "NAME|PATH")]
    data: Option<String>,
    /// End when standard input does, as with Ctrl-C, and tell of no trial: for the process that began this one
    #[arg(long, hide = true)]
    with_parent: bool,
}

/// Works until the study has no more trials.
///
/// # Errors
/// If there is no such study, its data cannot be read, or the database is lost.
pub fn run(arguments: &Arguments) -> Result<()> {
    if arguments.with_parent {
        output::be_quiet();
        std::thread::spawn(|| {
            // Whatever becomes of the parent, its end of the pipe is closed then.
            let _ = std::io::stdin().read(&mut [0]);
            interrupt::ask();
        });
    }
    super::is_there(&arguments.storage)?;
    let mut storage = Storage::open(&arguments.storage)?;
    let tuning = Tuning::of_study(&mut storage, &arguments.study, arguments.data.as_deref())?;
    let mut study = tuning.open(storage, &arguments.study)?;
    tuning.work(&mut study)?;
    output::note(&format!("the study {:?} has its {} trials", arguments.study, tuning.plan.trials));
    Ok(())
}
