//! The trained files in the repository are what their README says.

use std::path::PathBuf;

use samara_models::{find, tasks::TASKS};
use samara_runtime::{Session, arena::AlignedBuffer, format::writer::ModelFile};
use samara_trainer::data::sources;
use samara_trainer::device::run::DeviceModel;

/// A row of `models/trained/README.md`: the net's name, its accuracy in f32 and in int8, and the file's length.
fn rows() -> Vec<(&'static str, f64, f64, usize)> {
    let text = include_str!("../trained/README.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    let row = |line: &'static str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let bytes = cells[5].replace(',', "").parse().unwrap();
        (cells[0].trim_end_matches('`'), cells[3].parse().unwrap(), cells[4].parse().unwrap(), bytes)
    };
    rows.map(row).collect()
}

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("trained")
}

#[test]
fn each_file_has_a_row_and_is_its_net() {
    let files = directory().read_dir().unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|ending| ending == "samara")).collect();
    assert_eq!(files.len(), rows().len(), "files and rows of the README");
    for (name, f32_accuracy, int8_accuracy, length) in rows() {
        let bytes = std::fs::read(directory().join(format!("{name}.samara"))).unwrap();
        assert_eq!(bytes.len(), length, "{name}");
        assert!(length < 100_000, "{name}");
        assert!(int8_accuracy > f32_accuracy - 0.005, "{name}");
        let device = DeviceModel::new(&bytes).unwrap();
        let file = ModelFile::from_bytes(device.bytes()).unwrap();
        let net = ModelFile::from_bytes(&find(name).unwrap().build().unwrap().export_f32().unwrap()).unwrap();
        // What a trained batch-norm leaves behind differs, but not the work.
        let macs = [&file, &net].map(|file| file.macs());
        assert_eq!((file.metadata.name.as_str(), macs[0]), (name, macs[1]));
    }
}

/// The bits of trained files stay: each has golden samples, and gives what they say.
#[test]
fn each_file_tests_itself() {
    let mut files = 0;
    for directory in ["", "tasks", "sequences"].map(|name| directory().join(name)) {
        let text = std::fs::read_to_string(directory.join("README.md")).unwrap();
        for path in directory.read_dir().unwrap().map(|entry| entry.unwrap().path()) {
            if path.extension().is_none_or(|ending| ending != "samara") {
                continue;
            }
            let (name, bytes) = (path.file_stem().unwrap().to_string_lossy(), std::fs::read(&path).unwrap());
            assert!(bytes.len() < 100_000 && text.contains(&format!("| `{name}` |")), "{}", path.display());
            let device = DeviceModel::new(&bytes).unwrap();
            let mut arena = AlignedBuffer::zeros(device.model().unwrap().arena_bytes());
            let report = Session::new(device.model().unwrap(), arena.as_mut_slice()).unwrap().self_test();
            // The large one was made before files had golden samples.
            let least = usize::from(name != "fashion-separable-large");
            assert!(report.is_ok_and(|samples| samples >= least), "{}: {report:?}", path.display());
            files += 1;
        }
    }
    assert_eq!(files, 6 + TASKS.len() + 7);
}

/// int8 is exact: the same file gives the same accuracy on every machine.
#[test]
#[ignore = "needs Fashion-MNIST"]
fn each_file_is_as_accurate_as_its_row_says() {
    let test = sources::load("fashion-mnist").unwrap().test;
    let (images, labels) = (&test.inputs()[0], test.targets()[0].values());
    for (name, _, int8_accuracy, _) in rows() {
        let device = DeviceModel::new(&std::fs::read(directory().join(format!("{name}.samara"))).unwrap()).unwrap();
        let right = device.run_each(
            test.samples(),
            |session, sample| session.write_f32(0, &images.sample(sample).unwrap()),
            |session, sample| {
                let outputs: Vec<f32> = session.output_f32(0).unwrap().collect();
                let label = outputs[labels[sample] as usize];
                let first = outputs.iter().position(|&output| output == label) == Some(labels[sample] as usize);
                first && outputs.iter().all(|&output| output <= label)
            },
        );
        let right = right.unwrap().iter().filter(|&&right| right).count();
        assert_eq!(right as f64 / test.samples() as f64, int8_accuracy, "{name}");
    }
}

/// The nets of the tasks on the samples that their README tells of: the data are drawn, so no file is needed.
#[test]
fn the_tasks_files_are_as_good_as_their_rows_say() {
    let text = include_str!("../trained/tasks/README.md");
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .map(|line| line.split('|').map(|cell| cell.trim().trim_end_matches('`')).collect())
        .collect();
    assert_eq!(rows.len(), TASKS.iter().map(|task| task.scores.len()).sum::<usize>());
    for task in TASKS {
        let bytes = std::fs::read(directory().join(format!("tasks/{}.samara", task.name))).unwrap();
        let device = DeviceModel::new(&bytes).unwrap();
        let test = (task.data)(2, 1000).unwrap();
        let outputs = device.predict(test.inputs()).unwrap();
        for (output, (name, score)) in task.scores.iter().enumerate() {
            let row = rows.iter().find(|row| row[0] == task.name && row[1] == *name).unwrap();
            let found = format!("{:.4}", score.of(&outputs[output], &test.targets()[output]));
            assert_eq!((found.as_str(), bytes.len().to_string().as_str()), (row[4], row[6]), "{} {name}", task.name);
        }
    }
}
