use super::*;
use crate::{
    arena::AlignedBuffer,
    random::Generator,
    train::{Calibrator, Threshold},
};

/// Calls `test` with a head of so many features and classes, and scratch to solve it in.
fn with_head<T>(features: usize, capacity: usize, test: impl FnOnce(&mut ClosedFormHead<'_>, &mut [u8]) -> T) -> T {
    let threshold = Threshold { strangeness: Strangeness::Distance, limit: 30.0, error_rate: 0.05 };
    // A file that knows no sample: zeros, and a bias of negative infinity.
    let mut words = vec![0; sums_words(1, features) + solution_words(1, features)];
    words[sums_words(1, features) + features] = f32::NEG_INFINITY.to_bits();
    let record = Head::closed_form(features, [1, capacity], 0.01, Some(threshold), &words);
    let mut memory = AlignedBuffer::zeros(4 * closed_form_words(capacity, features, true));
    let mut head = ClosedFormHead::of(record, memory.as_mut_slice()).unwrap();
    let mut scratch = AlignedBuffer::zeros(4 * solve_words(features));
    test(&mut head, scratch.as_mut_slice())
}

/// Samples of `classes` classes around means of their own, with features that go together.
fn samples(count: usize, features: usize, classes: usize, seed: u32) -> Vec<(Vec<i8>, usize)> {
    let mut generator = Generator::new(seed);
    let mut draw = |below: i32| ((i64::from(generator.next_u32()) * i64::from(below)) >> 32) as i32;
    let means: Vec<Vec<i32>> = (0..classes).map(|_| (0..features).map(|_| draw(160) - 110).collect()).collect();
    (0..count)
        .map(|number| {
            let class = number % classes;
            let shared = draw(31) - 15;
            let value = |&mean: &i32| (mean + shared + draw(41) - 20).clamp(-128, 127) as i8;
            (means[class].iter().map(value).collect(), class)
        })
        .collect()
}

/// The head by f64 and Gaussian elimination: weights and biases, as the module's formulas say.
fn reference(samples: &[(Vec<i8>, usize)], features: usize, classes: usize, shrinkage: f64) -> (Vec<Vec<f64>>, Vec<f64>) {
    let n = samples.len() as f64;
    let value = |q: &[i8], i: usize| f64::from(q[i]);
    let centre: Vec<f64> = (0..features).map(|i| (samples.iter().map(|(q, _)| value(q, i)).sum::<f64>() / n).round()).collect();
    let of = |class: usize| samples.iter().filter(move |sample| sample.1 == class);
    let mean = |class: usize, i: usize| of(class).map(|(q, _)| value(q, i) - centre[i]).sum::<f64>() / of(class).count() as f64;
    let means: Vec<Vec<f64>> = (0..classes).map(|class| (0..features).map(|i| mean(class, i)).collect()).collect();
    let mut covariance = vec![vec![0.0; features]; features];
    for (q, class) in samples {
        let from_mean: Vec<f64> = (0..features).map(|i| value(q, i) - centre[i] - means[*class][i]).collect();
        for (row, a) in covariance.iter_mut().zip(&from_mean) {
            row.iter_mut().zip(&from_mean).for_each(|(element, b)| *element += a * b / n);
        }
    }
    let trace: f64 = (0..features).map(|i| covariance[i][i]).sum();
    (0..features).for_each(|i| covariance[i][i] += shrinkage * trace / features as f64);
    let solve = |right: &[f64]| {
        let mut rows: Vec<Vec<f64>> = covariance.iter().zip(right).map(|(row, r)| [&row[..], &[*r]].concat()).collect();
        for i in 0..features {
            for j in 0..features {
                if j != i {
                    let factor = rows[j][i] / rows[i][i];
                    let pivot = rows[i].clone();
                    rows[j].iter_mut().zip(pivot).for_each(|(element, pivot)| *element -= factor * pivot);
                }
            }
        }
        (0..features).map(|i| rows[i][features] / rows[i][i]).collect::<Vec<f64>>()
    };
    let weights: Vec<Vec<f64>> = means.iter().map(|mean| solve(mean)).collect();
    let noise = |class: usize| features as f64 / of(class).count() as f64;
    let squared = |w: &[f64], mean: &[f64]| w.iter().zip(mean).map(|(a, b)| a * b).sum::<f64>();
    let biases = (0..classes).map(|class| 0.5 * (noise(class) - squared(&weights[class], &means[class]))).collect();
    (weights, biases)
}

fn learn(head: &mut ClosedFormHead<'_>, samples: &[(Vec<i8>, usize)]) {
    samples.iter().for_each(|(q, class)| head.add(q, *class).unwrap());
}

#[test]
fn one_feature_two_classes_by_hand() {
    // Class 0: -1, 1; class 1: 9, 11. Centre 5; covariance 1, with shrinkage 1.01; means -5 and 5.
    with_head(1, 3, |head, scratch| {
        learn(head, &[(vec![-1], 0), (vec![11], 1), (vec![1], 0), (vec![9], 1)]);
        head.solve(scratch).unwrap();
        let weight = 5.0 / 1.01f32;
        let solution = head.solution();
        let near = |found: f32, expected: f32| assert!((found - expected).abs() < 1e-5, "{found} is not {expected}");
        near(solution[0], -weight);
        near(solution[1], weight);
        assert_eq!(solution[2], 0.0);
        near(solution[3], 0.5 * (1.0 / 2.0 - 5.0 * weight));
        assert_eq!(solution[5], f32::NEG_INFINITY, "a class without samples is never found");
        assert_eq!(solution[6], 5.0);
        let answer = head.classify(&[7]).unwrap();
        assert_eq!(answer.class, 1);
        near(answer.margin, 2.0 * 2.0 * weight);
        near(answer.strangeness, 9.0 / 1.01 - 0.5);
        assert!(answer.known);
        assert!(!head.classify(&[20]).unwrap().known, "ten standard deviations from every class");
    });
}

#[test]
fn the_solution_is_that_of_f64() {
    for (features, classes, seed) in [(1, 2, 1), (3, 2, 2), (8, 5, 3), (24, 10, 4), (64, 10, 5)] {
        let data = samples(60 * classes, features, classes, seed);
        let (weights, biases) = reference(&data, features, classes, f64::from(0.01f32));
        with_head(features, classes, |head, scratch| {
            learn(head, &data);
            head.solve(scratch).unwrap();
            let found = head.solution();
            let largest = weights.iter().flatten().fold(0.0f64, |largest, w| largest.max(w.abs()));
            for (found, expected) in found.iter().zip(weights.iter().flatten()) {
                let error = (f64::from(*found) - expected).abs();
                assert!(error <= 1e-3 * largest, "{features} features: weight {found}, f64 has {expected}");
            }
            for (found, expected) in found[classes * features..].iter().zip(&biases) {
                let error = (f64::from(*found) - expected).abs();
                assert!(error <= 1e-3 * expected.abs().max(1.0), "{features} features: bias {found}, f64 has {expected}");
            }
        });
    }
}

#[test]
fn order_and_devices_do_not_matter() {
    let data = samples(90, 12, 3, 7);
    let whole = with_head(12, 4, |head, scratch| {
        learn(head, &data);
        head.solve(scratch).unwrap();
        (head.sums().to_vec(), head.solution().to_vec())
    });
    let mut shuffled = data.clone();
    let mut generator = Generator::new(9);
    for last in (1..shuffled.len()).rev() {
        shuffled.swap(last, (generator.next_u32() >> 8) as usize % (last + 1));
    }
    assert_ne!(shuffled, data);
    let parts: Vec<Vec<u8>> = shuffled
        .chunks(31)
        .map(|part| {
            with_head(12, 4, |head, _| {
                learn(head, part);
                head.sums().to_vec()
            })
        })
        .collect();
    assert_eq!(parts.len(), 3);
    let merged = with_head(12, 4, |head, scratch| {
        parts.iter().for_each(|part| head.merge(part).unwrap());
        head.solve(scratch).unwrap();
        (head.sums().to_vec(), head.solution().to_vec())
    });
    assert_eq!(whole, merged);
}

#[test]
fn what_is_forgotten_was_never_there() {
    let data = samples(40, 5, 2, 3);
    let (kept, gone) = data.split_at(25);
    with_head(5, 2, |head, _| {
        learn(head, kept);
        let before = head.sums().to_vec();
        learn(head, gone);
        gone.iter().rev().for_each(|(q, class)| head.forget(q, *class).unwrap());
        assert_eq!(head.sums(), before);
        for _ in 0..head.count(0) {
            let _ = head.forget(&[0; 5], 0);
        }
        assert_eq!(head.forget(&[0; 5], 0), Err(TrainError::NothingToForget));
    });
}

#[test]
fn a_class_is_forgotten_and_learned_again() {
    let data = samples(90, 6, 3, 11);
    with_head(6, 3, |head, scratch| {
        learn(head, &data);
        head.solve(scratch).unwrap();
        head.forget_class(1).unwrap();
        assert_eq!([head.count(0), head.count(1), head.count(2)], [30, 0, 30]);
        assert_eq!(head.forget_class(1), Err(TrainError::NothingToForget));
        head.solve(scratch).unwrap();
        assert!(data.iter().all(|(q, _)| head.classify(q).unwrap().class != 1));
        // The spread of its samples stays, so that the others are told apart as before.
        let right = |head: &mut ClosedFormHead<'_>, class: usize| {
            data.iter().filter(|(q, label)| *label == class && head.classify(q).unwrap().class == class).count()
        };
        assert_eq!([right(head, 0), right(head, 2)], [30, 30]);
        data.iter().filter(|sample| sample.1 == 1).for_each(|(q, class)| head.add(q, *class).unwrap());
        head.solve(scratch).unwrap();
        assert_eq!(right(head, 1), 30);
    });
}

#[test]
fn what_cannot_be_solved_leaves_the_head_as_it_was() {
    with_head(3, 2, |head, scratch| {
        assert_eq!(head.solve(scratch), Err(TrainError::NoSamples));
        assert_eq!(head.classify(&[0; 3]), Err(TrainError::NoSamples));
        learn(head, &samples(20, 3, 2, 5));
        head.solve(scratch).unwrap();
        let before: Vec<u32> = head.solution().iter().map(|value| value.to_bits()).collect();
        let saved = head.sums().to_vec();
        // Samples that are all alike have no covariance.
        head.restore(&vec![0; saved.len()]).unwrap();
        (0..5).for_each(|_| head.add(&[7, 7, 7], 1).unwrap());
        assert_eq!(head.solve(scratch), Err(TrainError::Singular));
        let after: Vec<u32> = head.solution().iter().map(|value| value.to_bits()).collect();
        assert_eq!(before, after);
        assert_eq!(head.solve(&mut scratch[..8]), Err(TrainError::MemoryTooSmall { required: 48, found: 8 }));
        head.restore(&saved).unwrap();
        assert_eq!(head.sums(), saved);
    });
}

#[test]
fn a_sample_that_counts_several_times_is_one_that_came_so_often() {
    with_head(3, 2, |head, _| {
        learn(head, &samples(20, 3, 2, 5));
        let before = head.sums().to_vec();
        (0..3).for_each(|_| head.add(&[-128, 5, 127], 1).unwrap());
        let often = head.sums().to_vec();
        head.restore(&before).unwrap();
        head.add_times(&[-128, 5, 127], 1, 3).unwrap();
        assert_eq!(head.sums(), often);
        head.add_times(&[-128, 5, 127], 1, 0).unwrap();
        assert_eq!(head.sums(), often);
        assert_eq!(head.forget_times(&[-128, 5, 127], 1, 100), Err(TrainError::NothingToForget));
        head.forget_times(&[-128, 5, 127], 1, 3).unwrap();
        assert_eq!(head.sums(), before);
        // Squares of 65,535 samples of -128 fill half of the range.
        head.add_times(&[-128; 3], 0, u16::MAX).unwrap();
        let full = head.sums().to_vec();
        assert_eq!(head.add_times(&[-128; 3], 0, u16::MAX), Err(TrainError::TooManySamples));
        assert_eq!(head.sums(), full);
    });
}

#[test]
fn sums_that_leave_their_range_are_refused_whole() {
    with_head(2, 2, |head, _| {
        let most = i32::MAX as usize / (128 * 128);
        let mut full = head.sums().to_vec();
        let word = |full: &mut Vec<u8>, position: usize, value: i32| {
            full[4 * position..][..4].copy_from_slice(&value.to_le_bytes());
        };
        // Counts, forgotten, sums of two classes, moments 00, 01, 11.
        word(&mut full, 0, most as i32);
        word(&mut full, 7, (most * 128 * 128) as i32);
        head.restore(&full).unwrap();
        assert_eq!(head.add(&[-128, 0], 0), Err(TrainError::TooManySamples));
        assert_eq!(head.sums(), full);
        assert_eq!(head.add(&[0, 3], 0), Ok(()));
        let sums = head.sums().to_vec();
        assert_eq!(head.merge(&sums), Err(TrainError::TooManySamples));
        assert_eq!(head.sums(), sums);
        word(&mut full, 9, -1);
        assert_eq!(head.restore(&full), Err(TrainError::Sums), "a square is not negative");
        word(&mut full, 9, 0);
        word(&mut full, 1, -1);
        assert_eq!(head.restore(&full), Err(TrainError::Sums));
        assert_eq!(head.restore(&full[4..]), Err(TrainError::Sums));
        assert_eq!(head.add(&[0; 3], 0), Err(TrainError::FeatureCount { expected: 2, found: 3 }));
        assert_eq!(head.add(&[0; 2], 2), Err(TrainError::NoSuchClass { capacity: 2, found: 2 }));
    });
}

#[test]
fn random_and_damaged_sums_are_refused_or_solved_without_a_panic() {
    let mut generator = Generator::new(4);
    let (mut solved, mut singular) = (0, 0);
    with_head(4, 3, |head, scratch| {
        learn(head, &samples(30, 4, 3, 8));
        let sound = head.sums().to_vec();
        for round in 0..2000 {
            let sums: Vec<u8> = if round % 2 == 0 {
                let place = (generator.next_u32() >> 8) as usize % sound.len();
                sound.iter().enumerate().map(|(at, &byte)| byte ^ if at == place { 1 << (round % 8) } else { 0 }).collect()
            } else {
                let sums = sound.iter().enumerate();
                sums.map(|(at, _)| (generator.next_u32() >> 24) as u8 & if at % 4 == 3 { 0x7f } else { 0xff }).collect()
            };
            if head.restore(&sums).is_ok() {
                let _ = head.forget_class(round % 3);
                let _ = head.add(&[round as i8; 4], round % 3);
                match head.solve(scratch) {
                    Ok(()) => solved += 1,
                    Err(_) => singular += 1,
                }
                let _ = head.classify(&[-128, 127, 0, 1]);
            }
        }
    });
    assert!(solved > 100 && singular > 100, "{solved} solved, {singular} refused");
}

/// Anomalies without a host: a head of one class learns what is normal, and further normal samples say where the rest begins.
#[test]
fn one_class_and_a_limit_learned_on_the_device_tell_anomalies() {
    const RATE: f32 = 0.05;
    let (features, counts) = (12, [300, 400, 2000]);
    let data = samples(2 * counts.iter().sum::<usize>(), features, 2, 6);
    let of = |class: usize| data.iter().filter(move |sample| sample.1 == class).map(|(q, _)| &q[..]);
    with_head(features, 1, |head, scratch| {
        of(0).take(counts[0]).for_each(|q| head.add(q, 0).unwrap());
        head.solve(scratch).unwrap();
        let mut calibrator = Calibrator::<32>::new();
        for q in of(0).skip(counts[0]).take(counts[1]) {
            assert_eq!(calibrator.limit(RATE).is_none(), calibrator.samples() < 19, "{} samples", calibrator.samples());
            calibrator.add(head.classify(q).unwrap().strangeness);
        }
        let limit = calibrator.limit(RATE).unwrap();
        let mut beyond = |q: &[i8]| head.classify(q).unwrap().strangeness > limit;
        let alarms = of(0).skip(counts[0] + counts[1]).filter(|q| beyond(q)).count() as f64 / counts[2] as f64;
        // Of 400 samples the limit is right within 1.1 points, of 2,000 the share within 0.5: three times both together.
        assert!((alarms - f64::from(RATE)).abs() < 0.036, "a share of {alarms} of normal samples is beyond the limit");
        let caught = of(1).filter(|q| beyond(q)).count();
        assert_eq!(caught, of(1).count(), "a class far away is beyond it");
        // One feature that no longer goes with the others, though by itself it may be anywhere in that range.
        let broken = of(0).skip(counts[0] + counts[1]).map(|q| [&[q[0].saturating_add(50)], &q[1..]].concat());
        let caught = broken.filter(|q| beyond(q)).count() as f64 / counts[2] as f64;
        assert!(caught > 0.8, "of samples with a feature that is off, a share of {caught} is beyond the limit");
    });
}
