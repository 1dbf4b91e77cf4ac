//! Event files of one run.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use prost::Message;

use super::messages::{Event, GraphDef, SESSION_START, SessionLog, Summary, Value, What};
use super::record::{frame, records};
use crate::checkpoint::file_error;
use crate::error::Result;

/// What the first event says of the rest.
const FILE_VERSION: &str = "brain.Event:2";
/// What TensorBoard finds event files by.
const FILE_MARK: &str = "tfevents";
/// What stands for the graph, which has no tag, among the tags.
const GRAPH: &str = "";
/// How long something that was written may wait for the disk.
const FLUSH_INTERVAL: Duration = Duration::from_secs(2);

/// Writes the events of one run: a new file in its directory, which grows.
#[derive(Debug)]
pub struct EventWriter {
    path: PathBuf,
    file: BufWriter<File>,
    flushed: Instant,
    /// The last step that earlier files of the same training have of each tag.
    last_steps: HashMap<String, i64>,
}

impl EventWriter {
    /// Begins a file. One of a training that `goes_on` repeats nothing that is in the files of that training; one of a new training tells
    /// TensorBoard that what is there before it is of another.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn begin(directory: &Path, goes_on: bool) -> Result<Self> {
        fs::create_dir_all(directory).map_err(|error| file_error(directory, "made", &error))?;
        let last_steps = if goes_on { last_steps(directory)? } else { HashMap::new() };
        let (path, file) = create(directory)?;
        let mut writer = Self { path, file: BufWriter::new(file), flushed: Instant::now(), last_steps };
        writer.event(0, What::FileVersion(FILE_VERSION.to_owned()))?;
        if !goes_on {
            writer.event(0, What::SessionLog(SessionLog { status: SESSION_START }))?;
        }
        writer.flush()?;
        Ok(writer)
    }

    /// Writes the values of a step.
    ///
    /// # Errors
    /// If that fails.
    pub fn write(&mut self, step: usize, values: impl IntoIterator<Item = Value>) -> Result<()> {
        let step = step as i64;
        let is_new = |value: &Value| self.last_steps.get(&value.tag).is_none_or(|&last| last < step);
        let values: Vec<Value> = values.into_iter().filter(is_new).collect();
        if values.is_empty() {
            return Ok(());
        }
        self.event(step, What::Summary(Summary { values }))?;
        if self.flushed.elapsed() > FLUSH_INTERVAL { self.flush() } else { Ok(()) }
    }

    /// Writes the graph.
    ///
    /// # Errors
    /// If that fails.
    pub fn graph(&mut self, graph: &GraphDef) -> Result<()> {
        if self.last_steps.contains_key(GRAPH) {
            return Ok(());
        }
        self.event(0, What::GraphDef(graph.encode_to_vec()))
    }

    /// Hands all that was written to the system.
    ///
    /// # Errors
    /// If that fails.
    pub fn flush(&mut self) -> Result<()> {
        self.flushed = Instant::now();
        self.file.flush().map_err(|error| file_error(&self.path, "written", &error).into())
    }

    fn event(&mut self, step: i64, what: What) -> Result<()> {
        let event = Event { wall_time: seconds_since_1970(), step, what: Some(what) };
        let written = self.file.write_all(&frame(&event.encode_to_vec()));
        written.map_err(|error| file_error(&self.path, "written", &error).into())
    }
}

/// Now.
pub fn seconds_since_1970() -> f64 {
    since_1970().as_secs_f64()
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A new file, whose name stands behind those of all that were made before it.
fn create(directory: &Path) -> Result<(PathBuf, File)> {
    loop {
        let now = since_1970();
        let name = format!("events.out.{FILE_MARK}.{:010}.{:09}.samara", now.as_secs(), now.subsec_nanos());
        let path = directory.join(name);
        match File::create_new(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(file_error(&path, "written", &error).into()),
        }
    }
}

/// The last step of each tag in a run's files, from the beginning of its last training on.
fn last_steps(directory: &Path) -> Result<HashMap<String, i64>> {
    let mut last_steps = HashMap::new();
    for event in events(directory)? {
        match event.what {
            Some(What::SessionLog(log)) if log.status == SESSION_START => last_steps.clear(),
            Some(What::GraphDef(_)) => {
                last_steps.insert(GRAPH.to_owned(), event.step);
            }
            Some(What::Summary(summary)) => {
                for Value { tag, .. } in summary.values {
                    let last = last_steps.entry(tag).or_insert(event.step);
                    *last = event.step.max(*last);
                }
            }
            _ => {}
        }
    }
    Ok(last_steps)
}

/// All events of a run, in the order of its files.
///
/// # Errors
/// If a file cannot be read. What is damaged ends its file.
pub fn events(directory: &Path) -> Result<Vec<Event>> {
    let failed = |error: &io::Error| file_error(directory, "read", error);
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(|error| failed(&error))? {
        let path = entry.map_err(|error| failed(&error))?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().contains(FILE_MARK)) {
            paths.push(path);
        }
    }
    paths.sort();
    let mut events = Vec::new();
    for path in paths {
        let bytes = fs::read(&path).map_err(|error| file_error(&path, "read", &error))?;
        events.extend(records(&bytes).map_while(|record| Event::decode(record).ok()));
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::super::values::scalar;
    use super::*;

    fn steps(directory: &Path, tag: &str) -> Vec<i64> {
        let of_tag = |event: &Event| match &event.what {
            Some(What::Summary(summary)) => summary.values.iter().any(|value| value.tag == tag),
            _ => false,
        };
        events(directory).unwrap().iter().filter(|event| of_tag(event)).map(|event| event.step).collect()
    }

    fn write(directory: &Path, goes_on: bool, steps: std::ops::Range<usize>) {
        let mut writer = EventWriter::begin(directory, goes_on).unwrap();
        for step in steps {
            writer.write(step, [scalar("loss", 0.5)]).unwrap();
        }
        writer.graph(&GraphDef::default()).unwrap();
        writer.flush().unwrap();
    }

    /// `file_version` (tag 3), `wall_time` (tag 1) and `step` (tag 2) as the wire format has them.
    #[test]
    fn events_have_the_wire_format() {
        let event = Event { wall_time: 1.0, step: 3, what: Some(What::FileVersion("brain.Event:2".to_owned())) };
        let bytes = [&[9, 0, 0, 0, 0, 0, 0, 240, 63, 16, 3, 26, 13][..], b"brain.Event:2"].concat();
        assert_eq!(event.encode_to_vec(), bytes);
        let value = scalar("loss", 0.5);
        let metadata = [&[74, 13, 10, 9, 10, 7][..], b"scalars", &[32, 1]].concat();
        let tensor = [66, 10, 8, 1, 18, 0, 42, 4, 0, 0, 0, 63];
        assert_eq!(value.encode_to_vec(), [&[10, 4][..], b"loss", &tensor, &metadata].concat());
    }

    #[test]
    fn a_training_that_goes_on_repeats_no_step() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), false, 1..4);
        write(directory.path(), true, 2..6);
        assert_eq!(steps(directory.path(), "loss"), [1, 2, 3, 4, 5]);
        let graphs = |directory: &Path| {
            let is_graph = |event: &&Event| matches!(event.what, Some(What::GraphDef(_)));
            events(directory).unwrap().iter().filter(is_graph).count()
        };
        assert_eq!(graphs(directory.path()), 1);
        // Another training in the same place has steps of its own, and one that goes on with that looks at no others.
        write(directory.path(), false, 1..2);
        write(directory.path(), true, 1..3);
        assert_eq!(steps(directory.path(), "loss"), [1, 2, 3, 4, 5, 1, 2]);
        assert_eq!(graphs(directory.path()), 2);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 4);
    }

    #[test]
    fn what_was_cut_short_is_written_again() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), false, 1..4);
        let path = fs::read_dir(directory.path()).unwrap().next().unwrap().unwrap().path();
        let bytes = fs::read(&path).unwrap();
        // The graph's record and half of the last step's.
        fs::write(&path, &bytes[..bytes.len() - 40]).unwrap();
        assert_eq!(steps(directory.path(), "loss"), [1, 2]);
        write(directory.path(), true, 1..4);
        assert_eq!(steps(directory.path(), "loss"), [1, 2, 3]);
    }

    #[test]
    fn a_place_that_is_no_directory_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let message = EventWriter::begin(file.path(), false).unwrap_err().to_string();
        assert!(message.contains(&*file.path().to_string_lossy()) && message.contains("cannot be made"), "{message}");
    }
}
