//! Trees that have grown.

use std::collections::HashMap;
use std::fmt;

use samara_runtime::ops::forest::{LEAF, MAXIMUM_FEATURES, MAXIMUM_NODES, MAXIMUM_OUTPUTS, MAXIMUM_TREES};
use serde::{Deserialize, Serialize};

/// What trees are made of, in flat lists, as the runtime's op has them ([`samara_runtime::ops::forest`]). A reference is the number of a split, or
/// [`LEAF`] and the number of a leaf.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Parts {
    /// Values that come out.
    pub outputs: usize,
    /// Values of a leaf.
    pub width: usize,
    /// What each output is before leaves are added to it.
    pub biases: Vec<f32>,
    /// Of each tree, the reference at which walks begin.
    pub roots: Vec<u16>,
    /// Of each tree, the output that the first value of its leaves is added to.
    pub firsts: Vec<u16>,
    /// Of each split, the element of the input that it looks at.
    pub features: Vec<u16>,
    /// Of each split, the largest value that goes below.
    pub thresholds: Vec<f32>,
    /// Of each split, where walks go on up to the threshold: behind the split.
    pub below: Vec<u16>,
    /// Of each split, where walks go on above it: behind the split.
    pub above: Vec<u16>,
    /// Leaf by leaf, `width` values each.
    pub leaves: Vec<f32>,
}

/// Sound trees: every walk ends at a leaf.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Parts")]
pub struct Trees(Parts);

impl TryFrom<Parts> for Trees {
    type Error = String;

    fn try_from(parts: Parts) -> Result<Self, String> {
        parts.check()?;
        Ok(Self(parts))
    }
}

/// Their numbers; all of them may be many.
impl fmt::Debug for Trees {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trees({})", self.describe())
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trees, splits, values) = (self.roots.len(), self.features.len(), self.leaves.len());
        write!(f, "Parts({trees} trees, {splits} splits, {values} values of leaves, {} outputs)", self.outputs)
    }
}

impl Parts {
    /// What is wrong, as a sentence.
    fn check(&self) -> Result<(), String> {
        let (splits, leaves) = (self.features.len(), self.leaves.len() / self.width.max(1));
        let limits = [
            ("outputs", self.outputs, MAXIMUM_OUTPUTS),
            ("trees", self.roots.len(), MAXIMUM_TREES),
            ("splits", splits, MAXIMUM_NODES),
            ("leaves", leaves, MAXIMUM_NODES),
        ];
        if let Some((what, found, most)) = limits.into_iter().find(|(_, found, most)| found > most) {
            return Err(format!("a forest has at most {most} {what}, these are {found}"));
        }
        if self.width == 0 || self.width > self.outputs || !self.leaves.len().is_multiple_of(self.width) {
            return Err(format!(
                "leaves have from 1 to {} values, as many as there are outputs; {} values make no leaves of {}",
                self.outputs,
                self.leaves.len(),
                self.width
            ));
        }
        let lists = [
            ("biases", self.biases.len(), self.outputs, "output"),
            ("first outputs", self.firsts.len(), self.roots.len(), "tree"),
            ("thresholds", self.thresholds.len(), splits, "split"),
            ("children below", self.below.len(), splits, "split"),
            ("children above", self.above.len(), splits, "split"),
        ];
        if let Some((what, found, expected, each)) = lists.into_iter().find(|(_, found, expected, _)| found != expected) {
            return Err(format!("{found} {what}, but one for each {each} is {expected}"));
        }
        let is_there = |reference: u16, least: usize| {
            let number = usize::from(reference & !LEAF);
            if reference & LEAF == 0 { (least..splits).contains(&number) } else { number < leaves }
        };
        if let Some(tree) = self.roots.iter().position(|&root| !is_there(root, 0)) {
            return Err(format!("tree {tree} begins at a split or leaf that there is not"));
        }
        if let Some(tree) = self.firsts.iter().position(|&first| usize::from(first) + self.width > self.outputs) {
            return Err(format!("tree {tree} adds to outputs that there are not"));
        }
        let is_sound = |split: usize| [self.below[split], self.above[split]].iter().all(|&child| is_there(child, split + 1));
        if let Some(split) = (0..splits).find(|&split| !is_sound(split)) {
            return Err(format!("split {split} leads to what is not there, or does not stand behind it"));
        }
        let mut values = self.biases.iter().chain(&self.thresholds).chain(&self.leaves);
        values.find(|value| !value.is_finite()).map_or(Ok(()), |value| Err(format!("finite numbers, which {value} is not")))
    }
}

impl Trees {
    /// Trees of these parts.
    ///
    /// # Errors
    /// What is wrong with them, as a sentence.
    pub fn new(parts: Parts) -> Result<Self, String> {
        parts.try_into()
    }

    /// What they are made of.
    pub fn parts(&self) -> &Parts {
        &self.0
    }

    /// Number of trees.
    pub fn trees(&self) -> usize {
        self.0.roots.len()
    }

    /// Number of splits.
    pub fn splits(&self) -> usize {
        self.0.features.len()
    }

    /// Number of leaves that differ.
    pub fn leaves(&self) -> usize {
        self.0.leaves.len() / self.0.width
    }

    /// How many elements an input has at least.
    pub fn least_inputs(&self) -> usize {
        self.0.features.iter().map(|&feature| usize::from(feature) + 1).max().unwrap_or(1)
    }

    /// The most splits on a way from each root to a leaf.
    pub fn depths(&self) -> Vec<usize> {
        let Parts { roots, below, above, .. } = &self.0;
        let mut depths = vec![0; below.len()];
        let depth_of = |depths: &[usize], reference: u16| depths.get(usize::from(reference)).copied().unwrap_or(0);
        // Children come behind their splits.
        for split in (0..below.len()).rev() {
            depths[split] = 1 + depth_of(&depths, below[split]).max(depth_of(&depths, above[split]));
        }
        roots.iter().map(|&root| depth_of(&depths, root)).collect()
    }

    /// The number of the leaf at which a walk through a tree ends.
    pub fn leaf(&self, tree: usize, input: &[f32]) -> usize {
        let Parts { roots, features, thresholds, below, above, .. } = &self.0;
        let mut at = roots[tree];
        while at & LEAF == 0 {
            let split = usize::from(at);
            at = if input[usize::from(features[split])] <= thresholds[split] { below[split] } else { above[split] };
        }
        usize::from(at & !LEAF)
    }

    /// What comes out for an input, added in the order in which a device adds.
    pub fn answer(&self, input: &[f32], output: &mut [f32]) {
        let Parts { width, biases, firsts, leaves, .. } = &self.0;
        output.copy_from_slice(biases);
        for (tree, &first) in firsts.iter().enumerate() {
            let leaf = &leaves[self.leaf(tree, input) * width..][..*width];
            output[usize::from(first)..].iter_mut().zip(leaf).for_each(|(sum, value)| *sum += value);
        }
    }

    /// Their numbers: `"10 trees, 310 splits, up to 5 deep"`.
    pub fn describe(&self) -> String {
        let deepest = self.depths().into_iter().max().unwrap_or(0);
        format!("{} trees, {} splits, up to {deepest} deep", self.trees(), self.splits())
    }
}

/// References no longer fit their 15 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// Rows of leaves, of which equal ones are there once.
#[derive(Debug)]
pub(crate) struct Rows<T> {
    pub values: Vec<T>,
    known: HashMap<Vec<u32>, u16>,
}

impl<T: Copy> Rows<T> {
    pub fn new() -> Self {
        Self { values: Vec::new(), known: HashMap::new() }
    }

    /// The reference to a row; `bits` tell values apart.
    pub fn push(&mut self, row: &[T], bits: impl Fn(T) -> u32) -> Result<u16, Full> {
        let number = self.known.len();
        let key: Vec<u32> = row.iter().map(|&value| bits(value)).collect();
        if let Some(&known) = self.known.get(&key) {
            return Ok(known);
        }
        if number >= MAXIMUM_NODES {
            return Err(Full);
        }
        self.values.extend_from_slice(row);
        self.known.insert(key, LEAF | number as u16);
        Ok(LEAF | number as u16)
    }

    pub fn len(&self) -> usize {
        self.known.len()
    }
}

/// Trees whose splits all go as deep, for examples and tests: numbers between -`reach` and `reach` as thresholds, and between -1 and 1 in leaves.
pub(crate) fn full(inputs: usize, outputs: usize, width: usize, trees: usize, depth: u32, reach: f32) -> Trees {
    let mut random = crate::numeric::random::Random::new((inputs + 31 * outputs + 7 * width) as u64, 3);
    let mut number = |reach: f32| (random.uniform() as f32 * 2.0 - 1.0) * reach;
    let splits = (1usize << depth) - 1;
    let mut parts = Parts { outputs, width, ..Parts::default() };
    parts.biases = (0..outputs).map(|_| number(0.5)).collect();
    for tree in 0..trees {
        let (first_split, first_leaf) = (parts.features.len(), parts.leaves.len() / width);
        let reference = |place: usize| match place < splits {
            true => (first_split + place) as u16,
            false => LEAF | (first_leaf + place - splits) as u16,
        };
        parts.roots.push(reference(0));
        parts.firsts.push((tree % (outputs - width + 1)) as u16);
        for split in 0..splits {
            parts.features.push(((tree * 5 + split * 3) % inputs.min(MAXIMUM_FEATURES)) as u16);
            parts.thresholds.push(number(reach));
            parts.below.push(reference(2 * split + 1));
            parts.above.push(reference(2 * split + 2));
        }
        parts.leaves.extend((0..(splits + 1) * width).map(|_| number(1.0)));
    }
    Trees(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walks_end_at_the_leaf_that_a_recursion_finds() {
        fn descend(trees: &Trees, at: u16, input: &[f32]) -> usize {
            let parts = trees.parts();
            if at >= LEAF {
                return usize::from(at - LEAF);
            }
            let split = usize::from(at);
            let goes_below = input[usize::from(parts.features[split])] <= parts.thresholds[split];
            descend(trees, if goes_below { parts.below[split] } else { parts.above[split] }, input)
        }
        let trees = full(6, 3, 2, 5, 4, 1.0);
        assert!(Trees::new(trees.parts().clone()).is_ok());
        assert_eq!((trees.trees(), trees.splits(), trees.leaves(), trees.depths()), (5, 75, 80, vec![4; 5]));
        let mut ends = std::collections::HashSet::new();
        for sample in 0..200 {
            let input: Vec<f32> = (0..6).map(|place| ((sample * 37 + place * 61) % 101) as f32 / 50.0 - 1.0).collect();
            let mut expected = trees.parts().biases.clone();
            for tree in 0..5 {
                let leaf = descend(&trees, trees.parts().roots[tree], &input);
                assert_eq!(trees.leaf(tree, &input), leaf);
                ends.insert(leaf);
                for place in 0..2 {
                    expected[tree % 2 + place] += trees.parts().leaves[2 * leaf + place];
                }
            }
            let mut output = vec![9.0; 3];
            trees.answer(&input, &mut output);
            assert_eq!(output, expected);
        }
        assert!(ends.len() >= 20, "{} leaves were met", ends.len());
    }

    #[test]
    fn what_leads_astray_is_refused_with_a_sentence() {
        let sound = full(4, 2, 2, 2, 2, 1.0);
        let refused = |change: &dyn Fn(&mut Parts), what: &str| {
            let mut parts = sound.parts().clone();
            change(&mut parts);
            let reason = Trees::new(parts).unwrap_err();
            assert!(reason.contains(what), "{reason}");
        };
        refused(&|parts| parts.below[1] = 1, "split 1 leads to what is not there");
        refused(&|parts| parts.above[2] = LEAF | 8, "split 2 leads to what is not there");
        refused(&|parts| parts.roots[1] = 6, "tree 1 begins at");
        refused(&|parts| parts.firsts[0] = 1, "tree 0 adds to outputs");
        refused(&|parts| parts.leaves.truncate(15), "make no leaves of 2");
        refused(&|parts| parts.width = 3, "from 1 to 2 values");
        refused(&|parts| parts.thresholds.truncate(5), "5 thresholds, but one for each split is 6");
        refused(&|parts| parts.thresholds[0] = f32::NAN, "finite numbers, which NaN is not");
        refused(&|parts| parts.outputs = 5000, "at most 4096 outputs, these are 5000");
        let text = serde_json::to_string(&sound).unwrap();
        assert_eq!(serde_json::from_str::<Trees>(&text).unwrap(), sound);
        let damaged = text.replacen("\"roots\":[0", "\"roots\":[7", 1);
        assert!(serde_json::from_str::<Trees>(&damaged).unwrap_err().to_string().contains("tree 0 begins at"));
    }

    #[test]
    fn equal_leaves_are_there_once() {
        let mut rows = Rows::new();
        let mut push = |row: [f32; 2]| rows.push(&row, f32::to_bits).unwrap();
        assert_eq!([push([1.0, 2.0]), push([2.0, 1.0]), push([1.0, 2.0])], [LEAF, LEAF | 1, LEAF]);
        assert_eq!((rows.len(), rows.values.len()), (2, 4));
    }
}
