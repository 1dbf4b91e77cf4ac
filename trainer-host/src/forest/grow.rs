//! Random forests (Breiman 2001), whose trees `smartcore` grows: each on samples of its own, drawn with replacement, each split the best of some
//! features drawn for it. What a leaf says is the share of each class among all training samples that come to it.

use rayon::prelude::*;
use samara_runtime::ops::forest::{MAXIMUM_FEATURES, MAXIMUM_NODES, MAXIMUM_OUTPUTS};
use serde::Deserialize;
use smartcore::ensemble::random_forest_classifier::{RandomForestClassifier, RandomForestClassifierParameters};
use smartcore::linalg::basic::matrix::DenseMatrix;

use super::trees::{Full, Parts, Rows, Trees};
use crate::data::{Dataset, Tensor};
use crate::error::{Result, counted};
use crate::numeric::random::{Random, derive};

/// How a forest grows.
#[derive(Debug, Clone, Copy)]
pub struct Growth {
    /// Number of trees.
    pub trees: usize,
    /// The most splits one below the other.
    pub depth: usize,
    /// Features that are tried for each split; the square root of all of them, if nothing is said.
    pub features: Option<usize>,
    /// Each tree grows on so many of the samples, or all if there are fewer, of which samples are drawn with replacement.
    pub samples: usize,
    /// Of the samples that a tree grows on, so many come to each leaf at least.
    pub leaf_samples: usize,
    /// Where random numbers come from: the same seed gives the same trees, for any number of threads.
    pub seed: u64,
}

impl Default for Growth {
    fn default() -> Self {
        Self { trees: 20, depth: 8, features: None, samples: 20_000, leaf_samples: 1, seed: 1 }
    }
}

/// Why no forest grows.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForestError {
    /// Samples that trees cannot grow on.
    #[error("trees grow on {expected}, but the data set has {found}")]
    Data {
        /// What they grow on.
        expected: String,
        /// What there is.
        found: String,
    },
    /// More than a forest can have.
    #[error(
        "the trees have more than {limit} {what} together, which is more than a device counts: grow fewer trees, or less deep ones"
    )]
    TooLarge {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// A tree did not grow.
    #[error("tree {tree} did not grow: {reason}")]
    Tree {
        /// Which.
        tree: usize,
        /// Why.
        reason: String,
    },
}

/// A forest as `smartcore` saves it: its trees have no other face.
#[derive(Deserialize)]
struct SavedForest {
    trees: Vec<SavedTree>,
}

#[derive(Deserialize)]
struct SavedTree {
    nodes: Vec<SavedNode>,
}

#[derive(Deserialize)]
struct SavedNode {
    split_feature: usize,
    split_value: Option<f64>,
    /// Up to the value.
    true_child: Option<usize>,
    false_child: Option<usize>,
}

/// A tree with what its leaves met.
struct Grown {
    splits: Vec<(u16, f32, [Child; 2])>,
    root: Child,
    /// Samples of each class, leaf by leaf.
    counts: Vec<u32>,
}

#[derive(Debug, Clone, Copy)]
enum Child {
    Split(usize),
    Leaf(usize),
}

/// Grows a random forest that tells `classes` classes apart: its outputs are probabilities. Trees grow side by side on all threads, each of which takes
/// about 12 bytes for each value of the samples of a tree, and 8 for each sample and split.
///
/// # Errors
/// [`ForestError`] if the data set has not one input and one class for each sample, or a number of the growth makes no sense, or trees
/// become too many.
pub fn grow(data: &Dataset, classes: usize, growth: &Growth) -> Result<Trees> {
    let (inputs, labels) = check(data, classes, growth)?;
    let trees: Result<Vec<Grown>, ForestError> =
        (0..growth.trees).into_par_iter().map(|tree| grow_one(tree, inputs, &labels, classes, growth)).collect();
    Ok(join(&trees?, classes)?)
}

fn check<'a>(data: &'a Dataset, classes: usize, growth: &Growth) -> Result<(&'a Tensor, Vec<u32>), ForestError> {
    let wrong = |expected: &str, found: String| Err(ForestError::Data { expected: expected.to_owned(), found });
    let ([inputs], [targets]) = (data.inputs(), data.targets()) else {
        let found = format!("{} and {}", counted(data.inputs().len(), "inputs"), counted(data.targets().len(), "targets"));
        return wrong("one input and one target", found);
    };
    if !(1..=MAXIMUM_FEATURES).contains(&inputs.sample_shape().size()) {
        let expected = format!("samples of 1 to {MAXIMUM_FEATURES} values");
        return wrong(&expected, format!("samples of {}", inputs.sample_shape().size()));
    }
    if classes > MAXIMUM_OUTPUTS {
        return wrong(&format!("at most {MAXIMUM_OUTPUTS} classes"), format!("{classes}"));
    }
    let is_class = |label: &f32| *label >= 0.0 && label.fract() == 0.0 && (*label as usize) < classes;
    if let Some(label) = targets.values().iter().find(|label| !is_class(label)) {
        return wrong(
            &format!("targets that are classes from 0 to {}", classes.saturating_sub(1)),
            format!("the target {label}"),
        );
    }
    let labels: Vec<u32> = targets.values().iter().map(|&label| label as u32).collect();
    if labels.len() != inputs.samples() {
        return wrong("one class for each sample", counted(labels.len() / inputs.samples().max(1), "targets"));
    }
    if labels.iter().all(|&label| label == labels[0]) {
        return wrong("samples of two classes or more", "samples of one class alone".to_owned());
    }
    let numbers = [
        (growth.trees, "one tree or more"),
        (growth.depth, "a depth of one split or more"),
        (growth.features.unwrap_or(1), "one feature or more for each split"),
        (growth.samples, "one sample or more for each tree"),
    ];
    match numbers.into_iter().find(|(number, _)| *number == 0) {
        Some((_, expected)) => wrong(expected, "to do with none".to_owned()),
        None => Ok((inputs, labels)),
    }
}

/// The numbers of the samples that a tree grows on: two classes at least.
fn drawn(tree: usize, labels: &[u32], growth: &Growth) -> Vec<usize> {
    let mut numbers: Vec<usize> = (0..labels.len()).collect();
    if growth.samples >= labels.len() {
        return numbers;
    }
    let mut random = Random::new(growth.seed, tree as u64);
    for place in 0..growth.samples {
        let other = place + random.below(labels.len() - place);
        numbers.swap(place, other);
    }
    numbers.truncate(growth.samples);
    numbers
}

fn grow_one(tree: usize, inputs: &Tensor, labels: &[u32], classes: usize, growth: &Growth) -> Result<Grown, ForestError> {
    let failed = |reason: String| ForestError::Tree { tree, reason };
    let numbers = drawn(tree, labels, growth);
    let size = inputs.sample_shape().size();
    // Column by column, as splits are looked for.
    let mut columns = vec![0.0f32; numbers.len() * size];
    for (row, &number) in numbers.iter().enumerate() {
        let sample = inputs.sample(number).unwrap_or_default();
        sample.iter().enumerate().for_each(|(column, &value)| columns[column * numbers.len() + row] = value);
    }
    let own_labels: Vec<u32> = numbers.iter().map(|&number| labels[number]).collect();
    let matrix = DenseMatrix::new(numbers.len(), size, columns, true).map_err(|error| failed(error.to_string()))?;
    let features = growth.features.unwrap_or_else(|| size.isqrt()).clamp(1, size);
    let parameters = RandomForestClassifierParameters {
        // The root counts as a level there.
        max_depth: Some(growth.depth.saturating_add(1).try_into().unwrap_or(u16::MAX)),
        min_samples_leaf: growth.leaf_samples,
        n_trees: 1,
        m: Some(features),
        seed: derive(growth.seed, tree as u64),
        ..RandomForestClassifierParameters::default()
    };
    let forest = RandomForestClassifier::fit(&matrix, &own_labels, parameters).map_err(|error| failed(error.to_string()))?;
    drop(matrix);
    let saved = serde_json::to_value(&forest).and_then(serde_json::from_value::<SavedForest>);
    let mut saved = saved.map_err(|error| failed(format!("it is not saved as it used to be: {error}")))?;
    let nodes = saved.trees.pop().ok_or_else(|| failed("there is none".to_owned()))?.nodes;
    let mut grown = Grown::of(&nodes).ok_or_else(|| failed("its nodes are not connected as a tree's".to_owned()))?;
    grown.count(inputs, labels, classes);
    Ok(grown)
}

/// The largest f32 that is not above: values of f32 lie on the same side of it.
fn rounded_down(value: f64) -> f32 {
    let rounded = value as f32;
    if f64::from(rounded) > value { rounded.next_down() } else { rounded }
}

impl Grown {
    /// From nodes of which children come behind their parents; `None` if they do not.
    fn of(nodes: &[SavedNode]) -> Option<Self> {
        let (mut splits, mut leaves) = (0, 0);
        let children: Vec<Child> = nodes
            .iter()
            .map(|node| {
                let count = if node.true_child.is_some() { &mut splits } else { &mut leaves };
                *count += 1;
                if node.true_child.is_some() { Child::Split(*count - 1) } else { Child::Leaf(*count - 1) }
            })
            .collect();
        let child = |parent: usize, child: Option<usize>| children.get(child.filter(|&child| child > parent)?).copied();
        let split = |(number, node): (usize, &SavedNode)| {
            let (below, above) = (child(number, node.true_child)?, child(number, node.false_child)?);
            Some((node.split_feature.try_into().ok()?, rounded_down(node.split_value?), [below, above]))
        };
        let splits = nodes.iter().enumerate().filter(|(_, node)| node.true_child.is_some()).map(split);
        Some(Self { splits: splits.collect::<Option<_>>()?, root: *children.first()?, counts: vec![0; leaves] })
    }

    /// Counts the classes of all samples that come to each leaf.
    fn count(&mut self, inputs: &Tensor, labels: &[u32], classes: usize) {
        let leaves = self.counts.len();
        self.counts = vec![0; leaves * classes];
        for (number, &label) in labels.iter().enumerate() {
            let sample = inputs.sample(number).unwrap_or_default();
            let mut at = self.root;
            while let Child::Split(split) = at {
                let (feature, threshold, children) = self.splits[split];
                at = children[usize::from(sample[usize::from(feature)] > threshold)];
            }
            if let Child::Leaf(leaf) = at {
                self.counts[leaf * classes + label as usize] += 1;
            }
        }
    }
}

/// One forest, whose sums are the mean of what its trees say.
fn join(trees: &[Grown], classes: usize) -> Result<Trees, ForestError> {
    let too_many = |what| ForestError::TooLarge { what, limit: MAXIMUM_NODES };
    let mut rows = Rows::new();
    let mut parts = Parts { outputs: classes, width: classes, biases: vec![0.0; classes], ..Parts::default() };
    for tree in trees {
        let share = |counts: &[u32]| -> Result<u16, Full> {
            let all: u32 = counts.iter().sum();
            let row: Vec<f32> =
                counts.iter().map(|&count| (f64::from(count) / f64::from(all.max(1)) / trees.len() as f64) as f32).collect();
            rows.push(&row, f32::to_bits)
        };
        let leaves: Result<Vec<u16>, Full> = tree.counts.chunks_exact(classes).map(share).collect();
        let leaves = leaves.map_err(|Full| too_many("leaves that differ"))?;
        let first = parts.features.len();
        if first + tree.splits.len() > MAXIMUM_NODES {
            return Err(too_many("splits"));
        }
        let reference = |child: Child| match child {
            Child::Split(split) => (first + split) as u16,
            Child::Leaf(leaf) => leaves[leaf],
        };
        parts.roots.push(reference(tree.root));
        parts.firsts.push(0);
        for &(feature, threshold, [below, above]) in &tree.splits {
            parts.features.push(feature);
            parts.thresholds.push(threshold);
            parts.below.push(reference(below));
            parts.above.push(reference(above));
        }
    }
    parts.leaves = rows.values;
    Trees::new(parts).map_err(|reason| ForestError::Tree { tree: 0, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points of a square, of three classes by the quarter they are in.
    fn quarters(count: usize) -> Dataset {
        let mut random = Random::new(5, 0);
        let points: Vec<f32> = (0..3 * count).map(|_| random.uniform() as f32 * 2.0 - 1.0).collect();
        let class = |point: &[f32]| match (point[0] > 0.1, point[2] > -0.3) {
            (true, true) => 0u8,
            (true, false) => 1,
            _ => 2,
        };
        let labels: Vec<u8> = points.chunks(3).map(class).collect();
        Dataset::new(Tensor::new([count, 3], points).unwrap(), Tensor::from_labels(&labels)).unwrap()
    }

    fn accuracy(trees: &Trees, data: &Dataset, classes: usize) -> f64 {
        let mut output = vec![0.0; classes];
        let right = (0..data.samples()).filter(|&number| {
            trees.answer(&data.inputs()[0].sample(number).unwrap(), &mut output);
            let sum: f32 = output.iter().sum();
            assert!((sum - 1.0).abs() < 1e-5 && output.iter().all(|value| *value >= 0.0), "{output:?}");
            crate::metrics::largest(&output) == data.targets()[0].values()[number] as usize
        });
        right.count() as f64 / data.samples() as f64
    }

    #[test]
    fn trees_find_borders_along_axes() {
        let data = quarters(600);
        let growth = Growth { trees: 9, depth: 4, features: Some(2), ..Growth::default() };
        let trees = grow(&data, 3, &growth).unwrap();
        assert!(accuracy(&trees, &data, 3) > 0.97, "{}", accuracy(&trees, &data, 3));
        assert!(trees.depths().iter().all(|&depth| (1..=4).contains(&depth)), "{:?}", trees.depths());
        // A class that no sample has is never said.
        let four = grow(&data, 4, &growth).unwrap();
        assert_eq!((four.parts().outputs, four.leaves()), (4, trees.leaves()));
        assert!(four.parts().leaves.chunks(4).all(|row| row[3] == 0.0));
    }

    #[test]
    fn a_seed_gives_the_same_trees_for_any_number_of_threads() {
        let data = quarters(300);
        let growth = |seed| Growth { trees: 5, depth: 5, samples: 120, seed, ..Growth::default() };
        let on = |threads: usize, seed| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| grow(&data, 3, &growth(seed)).unwrap())
        };
        let one = on(1, 7);
        assert_eq!(one, on(3, 7));
        assert_ne!(one, on(1, 8));
        // Each tree has samples and features of its own.
        let parts = one.parts();
        assert_ne!(parts.thresholds[usize::from(parts.roots[0])], parts.thresholds[usize::from(parts.roots[1])]);
    }

    #[test]
    fn thresholds_keep_values_on_their_side() {
        let (a, b) = (0.1f32, 0.1f32.next_up());
        let between = (f64::from(a) + f64::from(b)) / 2.0;
        let threshold = rounded_down(between);
        assert!(a <= threshold && b > threshold);
        assert_eq!(rounded_down(0.5), 0.5);
    }

    #[test]
    fn what_no_tree_grows_on_is_told() {
        let data = quarters(50);
        let message = |classes, growth| grow(&data, classes, &growth).unwrap_err().to_string();
        let said = message(2, Growth::default());
        assert_eq!(said, "trees grow on targets that are classes from 0 to 1, but the data set has the target 2");
        assert!(message(3, Growth { trees: 0, ..Growth::default() }).contains("one tree or more"));
        let same = data.with_target(Tensor::from_labels(&[1u8; 50])).unwrap();
        let said = grow(&same, 3, &Growth::default()).unwrap_err().to_string();
        assert_eq!(said, "trees grow on samples of two classes or more, but the data set has samples of one class alone");
        let noise: Vec<u8> = (0..500).map(|number| (number * 7 % 11 % 3) as u8).collect();
        let noise = quarters(500).with_target(Tensor::from_labels(&noise)).unwrap();
        let many = Growth { trees: 600, depth: 12, ..Growth::default() };
        let said = grow(&noise, 3, &many).unwrap_err().to_string();
        assert!(said.starts_with("the trees have more than 32768 "), "{said}");
    }
}
