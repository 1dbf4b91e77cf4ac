//! Classes, and a speaker, that come after a net was trained: closed-form heads learn them from a few samples of which none is kept, beside
//! the same head from all samples, and beside a head trained by gradients with replay.
//!
//! For each of five seeds a net is trained without what is to come; then it comes one class at a time. What a device would compute is
//! computed here by the device's own code, so the figures are the device's.
//!
//! ```text
//! cargo run --release -p samara-models --example incremental              # what data there is, five seeds
//! cargo run --release -p samara-models --example incremental -- 1 fsdd    # one seed, one data set
//! ```

use std::error::Error;

use samara_models::{fashion_separable, motions, spoken_digits};
use samara_runtime::arena::AlignedBuffer;
use samara_runtime::format::writer::ModelFile;
use samara_runtime::train::{
    BlockHead, ClosedFormHead, GradientHead, GradientOptions, Replay, Target, TrainError, block_bytes, closed_form_bytes,
    gradient_bytes, replay_bytes, solve_bytes,
};
use samara_trainer::data::Random;
use samara_trainer::device::block_head::{add_block_head, block_weights};
use samara_trainer::device::dense_head::{DenseHeadOptions, add_dense_head, dense_weights};
use samara_trainer::device::heads::{ClosedFormOptions, add_closed_form_head, dense_of, features_at};
use samara_trainer::prelude::*;

type Outcome<T> = std::result::Result<T, Box<dyn Error>>;

/// Samples of each class that the gradient head keeps.
const REPLAYED: usize = 20;
/// Its samples a step.
const BATCH: usize = 16;

/// A net, its data, and what comes later.
struct Case {
    data: &'static str,
    /// What comes, in a word.
    what: &'static str,
    model: fn() -> Result<Model>,
    classes: usize,
    /// The classes that come, by seed.
    new: fn(u64) -> Vec<usize>,
    /// Samples of each.
    samples: usize,
    epochs: usize,
    batch: usize,
    learning_rate: f32,
}

const CASES: [Case; 3] = [
    Case {
        data: "fashion-mnist",
        what: "sandal and shirt",
        model: fashion_separable,
        classes: 10,
        new: |_| vec![5, 6],
        samples: 50,
        epochs: 5,
        batch: 128,
        learning_rate: 0.004,
    },
    Case {
        data: "basic-motions",
        what: "an activity",
        model: motions,
        classes: 4,
        new: |seed| vec![seed as usize % 4],
        samples: 50,
        epochs: 40,
        batch: 8,
        learning_rate: 0.002,
    },
    Case {
        data: "fsdd",
        what: "a digit",
        model: spoken_digits,
        classes: 10,
        new: |seed| vec![2 * (seed as usize - 1) % 10],
        samples: 50,
        epochs: 30,
        batch: 32,
        learning_rate: 0.002,
    },
];

/// Features of samples, and their classes.
struct Rows {
    rows: Vec<Vec<i8>>,
    labels: Vec<usize>,
}

impl Rows {
    fn of(file: &ModelFile, data: &Dataset) -> Outcome<Self> {
        let (node, tensor) = dense_of(file, 0)?;
        Self::at(file, (node, tensor), data)
    }

    /// The values of a tensor at a node.
    fn at(file: &ModelFile, (node, tensor): (u16, u32), data: &Dataset) -> Outcome<Self> {
        let labels = data.targets()[0].values().iter().map(|&label| label as usize).collect();
        Ok(Self { rows: features_at(file, node, tensor, data.inputs())?, labels })
    }

    fn iter(&self) -> impl Iterator<Item = (&Vec<i8>, usize)> {
        self.rows.iter().zip(self.labels.iter().copied())
    }

    fn of_class(&self, class: usize) -> Vec<&Vec<i8>> {
        self.iter().filter(|(_, label)| *label == class).map(|(row, _)| row).collect()
    }

    /// The mean of the shares of each class's samples of which `is_right` says so.
    fn mean(&self, classes: &[usize], mut is_right: impl FnMut(&[i8], usize) -> bool) -> f64 {
        let mut share = |class: usize| {
            let rows = self.of_class(class);
            rows.iter().filter(|row| is_right(row, class)).count() as f64 / rows.len() as f64
        };
        classes.iter().map(|&class| share(class)).sum::<f64>() / classes.len() as f64
    }
}

/// What was measured, as shares.
#[derive(Default, Clone, Copy)]
struct Measured {
    mean: f64,
    joint: f64,
    old_before: f64,
    old: f64,
    new: f64,
    gradient: f64,
    gradient_old: f64,
    false_unknown: f64,
    caught: f64,
}

impl Case {
    /// A row of the table: means over runs.
    fn print(&self, what: &str, samples: usize, runs: &[Measured]) {
        let of = |value: fn(&Measured) -> f64| runs.iter().map(value).sum::<f64>() / runs.len() as f64;
        println!(
            "| {}, {what} | {samples} | {:.4} | {:.4} | {:.4}, {:.4} | {:.4} | {:.4}, {:.4} | {:.4} | {:.4} |",
            self.data,
            of(|run| run.mean),
            of(|run| run.joint),
            of(|run| run.old_before),
            of(|run| run.old),
            of(|run| run.new),
            of(|run| run.gradient),
            of(|run| run.gradient_old),
            of(|run| run.false_unknown),
            of(|run| run.caught),
        );
    }

    /// The int8 file of the net, trained.
    fn trained(&self, train: &Dataset, seed: u64) -> Outcome<ModelFile> {
        let mut model = (self.model)()?;
        model.initialize(seed);
        model.compile(Adam::new(self.learning_rate), SparseCategoricalCrossentropy)?;
        let schedule: Option<Box<dyn Schedule>> = Some(Box::new(Cosine::new()));
        let fit = Fit { epochs: self.epochs, batch: self.batch, seed, schedule, verbose: false, ..Fit::default() };
        model.fit(train, fit)?;
        let calibration = [train.inputs()[0].slice(0..train.samples().min(500))];
        Ok(ModelFile::from_bytes(&model.export_int8(&calibration, quantize::Options::default())?)?)
    }

    fn run(&self, splits: &sources::Splits, seed: u64) -> Outcome<Measured> {
        let new = (self.new)(seed);
        let old: Vec<usize> = (0..self.classes).filter(|class| !new.contains(class)).collect();
        let all: Vec<usize> = (0..self.classes).collect();
        let train = splits.train.of_classes(|class| !new.contains(&class))?;
        let mut file = self.trained(&train, seed)?;
        let (learned, test) = (Rows::of(&file, &splits.train)?, Rows::of(&file, &splits.test)?);
        let (rows, labels): (Vec<_>, Vec<_>) =
            learned.iter().filter(|(_, label)| old.contains(label)).map(|(row, label)| (row.clone(), label)).unzip();
        // Of ten samples one is held back to find where the unknown begins: 36 say nothing about one in twenty.
        let options = ClosedFormOptions { capacity: Some(self.classes), ..ClosedFormOptions::default() };
        let options = if rows.len() < 200 { ClosedFormOptions { unknown: None, ..options } } else { options };
        add_closed_form_head(&mut file, &rows, &labels, options)?;
        // The samples that come, drawn by the seed.
        let come: Vec<(usize, Vec<&Vec<i8>>)> = new
            .iter()
            .map(|&class| {
                let mut rows = learned.of_class(class);
                Random::new(seed, class as u64).shuffle(&mut rows);
                rows.truncate(self.samples);
                (class, rows)
            })
            .collect();
        let mut measured = closed_form(&file, &learned, &test, [&old, &new, &all], &come)?;
        let (kernel, bias) = dense_weights(&file, 0)?;
        add_dense_head(&mut file, DenseHeadOptions::default(), &kernel, &bias)?;
        let before: Vec<(&Vec<i8>, usize)> = learned.iter().filter(|(_, label)| old.contains(label)).collect();
        [measured.gradient, measured.gradient_old] = gradients(&file, &before, &test, [&old, &all], &come, seed)?;
        Ok(measured)
    }
}

/// The speakers of the spoken digits.
const SPEAKERS: [&str; 6] = ["george", "jackson", "lucas", "nicolas", "theo", "yweweler"];
/// Recordings of each digit that a device hears of its owner.
const OF_OWNER: usize = 5;
/// How many times the closed-form head counts each of them, beside 225 of each digit by others.
const OWNER_COUNTS: [u16; 5] = [1, 10, 20, 40, 100];
/// That of the table of all cases.
const OWNER_COUNT: u16 = 20;

/// Epochs, samples of a step and rates by which the owner's recordings are learned by gradients: of the head, and of the last block. Of the rates
/// 0.001, 0.003, 0.01, 0.03, 0.1 and 0.3 each is the best for the owner's and the others' recordings together.
const OWNER_EPOCHS: usize = 10;
const OWNER_BATCH: usize = 10;
const OWNER_RATES: [f32; 2] = [0.03, 0.001];

/// What the owner's recordings do to accuracies.
#[derive(Clone, Copy)]
struct Personal {
    /// Of the owner's and of the others' test recordings, by the closed-form head, for each of [`OWNER_COUNTS`].
    counted: [[f64; 2]; OWNER_COUNTS.len()],
    /// Of the owner's and of the others' test recordings: before; with the head trained; with the last block trained.
    shares: [[f64; 2]; 3],
}

impl Personal {
    /// Trains the dense head and the last block of a net on some recordings.
    fn learn(file: &mut ModelFile, [own, own_test, others_test]: [&Dataset; 3], seed: u64) -> Outcome<[[f64; 2]; 3]> {
        let digits: Vec<usize> = (0..10).collect();
        let (kernel, bias) = dense_weights(file, 0)?;
        add_dense_head(file, DenseHeadOptions::default(), &kernel, &bias)?;
        let weights = block_weights(file, 0)?;
        add_block_head(file, DenseHeadOptions::default(), &weights)?;
        let device = DeviceModel::new(&file.to_bytes())?;
        let (model, number) = (device.model()?, file.heads.len() - 1);
        let rates = OWNER_RATES.map(|learning_rate| GradientOptions { learning_rate, ..GradientOptions::DEFAULT });
        let few = |rows: &Rows| -> Vec<(Vec<i8>, usize)> {
            let of = |digit: &usize| {
                rows.of_class(*digit).into_iter().take(OF_OWNER).map(|row| (row.clone(), *digit)).collect::<Vec<_>>()
            };
            digits.iter().flat_map(of).collect()
        };
        let epochs = |count: usize, mut learn: Box<dyn FnMut(usize) -> std::result::Result<(), TrainError> + '_>| {
            let mut order: Vec<usize> = (0..count).collect();
            for epoch in 0..OWNER_EPOCHS {
                Random::new(seed, epoch as u64).shuffle(&mut order);
                order.iter().try_for_each(|&sample| learn(sample))?;
            }
            Ok::<(), TrainError>(())
        };

        let [rows, tests @ ..] = [own, own_test, others_test].map(|data| Rows::of(file, data));
        let (rows, tests) = (few(&rows?), tests.into_iter().collect::<Outcome<Vec<Rows>>>()?);
        let mut memory = AlignedBuffer::zeros(gradient_bytes(device.bytes(), number - 1, OWNER_BATCH));
        let mut head = GradientHead::new(&model, number - 1, OWNER_BATCH, rates[0], memory.as_mut_slice())?;
        let shares = |head: &GradientHead<'_>| {
            [&tests[0], &tests[1]]
                .map(|test| test.mean(&digits, |row, class| head.classify(row).is_ok_and(|found| found == class)))
        };
        let before = shares(&head);
        epochs(
            rows.len(),
            Box::new(|sample| {
                head.add(&rows[sample].0, Target::Class(rows[sample].1))?;
                if head.room() == 0 { head.step().map(drop) } else { Ok(()) }
            }),
        )?;
        let with_head = shares(&head);

        let record = model.head(number)?;
        let place = (record.node, record.feature_tensor);
        let [rows, tests @ ..] = [own, own_test, others_test].map(|data| Rows::at(file, place, data));
        let (rows, tests) = (few(&rows?), tests.into_iter().collect::<Outcome<Vec<Rows>>>()?);
        let mut memory = AlignedBuffer::zeros(block_bytes(device.bytes(), number));
        let mut block = BlockHead::new(&model, number, OWNER_BATCH, rates[1], memory.as_mut_slice())?;
        epochs(
            rows.len(),
            Box::new(|sample| {
                block.add(&rows[sample].0, Target::Class(rows[sample].1))?;
                if block.room() == 0 { block.step().map(drop) } else { Ok(()) }
            }),
        )?;
        let with_block = [&tests[0], &tests[1]]
            .map(|test| test.mean(&digits, |row, class| block.classify(row).is_ok_and(|found| found == class)));
        Ok([before, with_head, with_block])
    }

    fn print(runs: &[Self]) {
        let print = |name: &str, of: &dyn Fn(&Self) -> [f64; 2]| {
            let mean = |whose: usize| runs.iter().map(|run| of(run)[whose]).sum::<f64>() / runs.len() as f64;
            println!("| {name} | {:.4} | {:.4} |", mean(0), mean(1));
        };
        println!("\n| an owner, {} recordings | the owner | the others |", 10 * OF_OWNER);
        println!("|---|---|---|");
        for (number, count) in OWNER_COUNTS.into_iter().enumerate() {
            print(&format!("closed form, each counted {count} times"), &|run| run.counted[number]);
        }
        for (what, name) in ["dense head, before", "dense head trained", "last block trained"].into_iter().enumerate() {
            print(name, &|run| run.shares[what]);
        }
    }
}

/// Personalization: the net never heard its owner, who then says each digit a few times.
fn owner(seed: u64) -> Outcome<(Measured, Personal)> {
    let owner = SPEAKERS[seed as usize % SPEAKERS.len()];
    let shape = input_shape(&spoken_digits()?);
    let place = std::env::temp_dir().join(format!("samara-speakers-{}", std::process::id()));
    let of = |directory: &str, is_owner: bool| -> Outcome<sources::Splits> {
        let directory = place.join(directory);
        std::fs::create_dir_all(&directory)?;
        let recordings = sources::fsdd::fetch()?;
        let below = recordings.join("recordings");
        for entry in std::fs::read_dir(if below.is_dir() { below } else { recordings })? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.ends_with(".wav") && (name.split('_').nth(1) == Some(owner)) == is_owner {
                std::fs::copy(&path, directory.join(name))?;
            }
        }
        Ok(sources::fsdd::load_from(&directory, Some(&shape))?)
    };
    let read = of("others", false).and_then(|others| Ok((others, of("owner", true)?)));
    std::fs::remove_dir_all(&place)?;
    let (others, own) = read?;
    let [_, _, case] = &CASES;
    let mut file = case.trained(&others.train, seed)?;
    let (learned, test) = (Rows::of(&file, &others.train)?, Rows::of(&file, &others.test)?);
    let (own_rows, own_test) = (Rows::of(&file, &own.train)?, Rows::of(&file, &own.test)?);
    add_closed_form_head(&mut file, &learned.rows, &learned.labels, ClosedFormOptions::default())?;
    let device = DeviceModel::new(&file.to_bytes())?;
    let mut memory = AlignedBuffer::zeros(closed_form_bytes(device.bytes(), 0));
    let mut scratch = AlignedBuffer::zeros(solve_bytes(device.bytes(), 0));
    let mut head = ClosedFormHead::new(&device.model()?, 0, memory.as_mut_slice())?;
    let digits: Vec<usize> = (0..10).collect();
    let mean = |head: &mut ClosedFormHead<'_>, test: &Rows| {
        test.mean(&digits, |row, class| head.classify(row).is_ok_and(|answer| answer.class == class))
    };
    let (new, old_before) = (mean(&mut head, &own_test), mean(&mut head, &test));
    let mut counted = [[0.0; 2]; OWNER_COUNTS.len()];
    for (shares, count) in counted.iter_mut().zip(OWNER_COUNTS) {
        head.reset();
        for &digit in &digits {
            own_rows.of_class(digit).iter().take(OF_OWNER).try_for_each(|row| head.add_times(row, digit, count))?;
        }
        head.solve(scratch.as_mut_slice())?;
        *shares = [mean(&mut head, &own_test), mean(&mut head, &test)];
    }
    let chosen = OWNER_COUNTS.iter().zip(counted).find(|(count, _)| **count == OWNER_COUNT);
    let [after, old] = chosen.ok_or("the count is none of those")?.1;
    head.reset();
    own_rows.iter().try_for_each(|(row, label)| head.add(row, label))?;
    head.solve(scratch.as_mut_slice())?;
    let measured = Measured { mean: after, joint: mean(&mut head, &own_test), old_before, old, new, ..Measured::default() };
    let shares = Personal::learn(&mut file, [&own.train, &own.test, &others.test], seed)?;
    Ok((measured, Personal { counted, shares }))
}

fn closed_form(
    file: &ModelFile,
    learned: &Rows,
    test: &Rows,
    [old, new, all]: [&[usize]; 3],
    come: &[(usize, Vec<&Vec<i8>>)],
) -> Outcome<Measured> {
    let device = DeviceModel::new(&file.to_bytes())?;
    let mut memory = AlignedBuffer::zeros(closed_form_bytes(device.bytes(), 0));
    let mut scratch = AlignedBuffer::zeros(solve_bytes(device.bytes(), 0));
    let mut head = ClosedFormHead::new(&device.model()?, 0, memory.as_mut_slice())?;
    head.solve(scratch.as_mut_slice())?;
    let mean = |head: &mut ClosedFormHead<'_>, classes: &[usize]| {
        test.mean(classes, |row, class| head.classify(row).is_ok_and(|answer| answer.class == class))
    };
    let unknown = |head: &mut ClosedFormHead<'_>, classes: &[usize]| {
        test.mean(classes, |row, _| head.classify(row).is_ok_and(|answer| !answer.known))
    };
    let mut measured = Measured { old_before: mean(&mut head, old), ..Measured::default() };
    (measured.false_unknown, measured.caught) = (unknown(&mut head, old), unknown(&mut head, new));
    for (class, rows) in come {
        rows.iter().try_for_each(|row| head.add(row, *class))?;
        head.solve(scratch.as_mut_slice())?;
    }
    (measured.mean, measured.old, measured.new) = (mean(&mut head, all), mean(&mut head, old), mean(&mut head, new));
    head.reset();
    learned.iter().filter(|(_, label)| new.contains(label)).try_for_each(|(row, label)| head.add(row, label))?;
    head.solve(scratch.as_mut_slice())?;
    measured.joint = mean(&mut head, all);
    Ok(measured)
}

/// The mean of all classes, and of the old ones, by a head trained by gradients that keeps a few samples of each class.
fn gradients(
    file: &ModelFile,
    before: &[(&Vec<i8>, usize)],
    test: &Rows,
    [old, all]: [&[usize]; 2],
    come: &[(usize, Vec<&Vec<i8>>)],
    seed: u64,
) -> Outcome<[f64; 2]> {
    let device = DeviceModel::new(&file.to_bytes())?;
    let mut memory = AlignedBuffer::zeros(gradient_bytes(device.bytes(), 1, BATCH));
    let options = GradientOptions { learning_rate: 0.02, momentum: 0.9, clip_norm: 1.0, ..GradientOptions::DEFAULT };
    let mut head = GradientHead::new(&device.model()?, 1, BATCH, options, memory.as_mut_slice())?;
    let features = head.record().features;
    let mut kept = vec![0; replay_bytes(all.len(), REPLAYED, features)];
    let mut replay = Replay::new(all.len(), REPLAYED, features, seed as u32, &mut kept)?;
    before.iter().try_for_each(|(row, label)| replay.add(row, *label))?;
    for (class, rows) in come {
        rows.iter().try_for_each(|row| replay.add(row, *class))?;
        // Ten times through the new samples, each with three that are drawn from all that is kept.
        for row in (0..10).flat_map(|_| rows) {
            head.add(row, Target::Class(*class))?;
            for _ in 1..4 {
                let (row, class) = replay.draw().ok_or(TrainError::NoSamples)?;
                head.add(row, Target::Class(class))?;
            }
            if head.waiting() == BATCH {
                head.step()?;
            }
        }
    }
    let mean = |classes: &[usize]| test.mean(classes, |row, class| head.classify(row).is_ok_and(|found| found == class));
    Ok([mean(all), mean(old)])
}

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let seeds: u64 = arguments.next().map_or(Ok(5), |seeds| seeds.parse())?;
    let only = arguments.next();
    println!(
        "| data, what comes | samples | mean of all classes | from all samples | old: before, after | new | by gradients: mean, old | false unknown | unseen caught |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for case in CASES.iter().filter(|case| only.as_ref().is_none_or(|only| only == case.data)) {
        let splits = match sources::load_with(case.data, sources::Targets::Classes, Some(&input_shape(&(case.model)()?))) {
            Ok(splits) => splits,
            Err(reason) => {
                eprintln!("{} is left out: {reason}", case.data);
                continue;
            }
        };
        let runs = (1..=seeds).map(|seed| case.run(&splits, seed)).collect::<Outcome<Vec<Measured>>>()?;
        case.print(case.what, case.samples, &runs);
        if case.data == sources::fsdd::NAME {
            let (runs, personal): (Vec<_>, Vec<_>) =
                (1..=seeds).map(owner).collect::<Outcome<Vec<(Measured, Personal)>>>()?.into_iter().unzip();
            case.print("an owner", 10 * OF_OWNER, &runs);
            Personal::print(&personal);
        }
    }
    Ok(())
}

fn input_shape(model: &Model) -> samara_trainer::graph::Shape {
    let graph = model.graph();
    graph.nodes[graph.inputs[0]].shape.clone()
}
