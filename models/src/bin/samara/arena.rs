//! Who lives where in the arena, node by node.

use std::ops::Range;

use samara_runtime::format::writer::ModelFile;

/// Columns of a drawing.
const COLUMNS: usize = 64;
/// What the letters of a drawing mean.
pub const LEGEND: &str = "# written, = read, - kept for later, ~ scratch, . free";

/// The arena while a node runs.
pub struct Moment {
    /// Regions in use, and how; those that come later lie on top.
    regions: Vec<(Range<usize>, char)>,
}

impl Moment {
    /// Bytes in use.
    pub fn live_bytes(&self) -> usize {
        let mut ranges: Vec<_> = self.regions.iter().map(|(range, _)| (range.start, range.end)).collect();
        ranges.sort_unstable();
        let (mut end, mut sum) = (0, 0);
        for (start, stop) in ranges {
            sum += stop.saturating_sub(start.max(end));
            end = end.max(stop);
        }
        sum
    }

    /// The arena from its first byte to its last, a letter for each of [`COLUMNS`] equal parts; see [`LEGEND`].
    pub fn draw(&self, arena_bytes: usize) -> String {
        let columns = COLUMNS.min(arena_bytes);
        let mut letters = vec!['.'; columns];
        for (range, letter) in &self.regions {
            let first = range.start * columns / arena_bytes.max(1);
            let last = (range.end * columns).div_ceil(arena_bytes.max(1));
            letters.iter_mut().take(last).skip(first).for_each(|place| *place = *letter);
        }
        letters.into_iter().collect()
    }
}

/// The first and the last node at which each tensor lives: from the node that writes it to the last that reads it; inputs live from the
/// first node on, outputs to the end, one beyond the last node. `None` for a tensor that no node has.
pub fn lives(file: &ModelFile) -> Vec<Option<(usize, usize)>> {
    let mut lives = vec![None; file.tensors.len()];
    for &input in &file.inputs {
        lives[input as usize] = Some((0, 0));
    }
    for (number, node) in file.nodes.iter().enumerate() {
        for &tensor in node.inputs.iter().chain([&node.output]) {
            lives[tensor as usize].get_or_insert((number, number)).1 = number;
        }
    }
    for &output in &file.outputs {
        lives[output as usize].get_or_insert((0, 0)).1 = file.nodes.len();
    }
    lives
}

/// The arena at each node.
pub fn moments(file: &ModelFile) -> Vec<Moment> {
    let lives = lives(file);
    let range = |tensor: u32| file.tensors[tensor as usize].range();
    let moment = |(number, node): (usize, &samara_runtime::format::writer::NodeRecord)| {
        let used = |tensor: u32| node.output == tensor || node.inputs.contains(&tensor);
        let alive = |tensor: u32| lives[tensor as usize].is_some_and(|(first, last)| (first..=last).contains(&number));
        let kept = (0..file.tensors.len() as u32).filter(|&tensor| alive(tensor) && !used(tensor));
        let scratch = node.scratch_offset as usize..(node.scratch_offset as usize).saturating_add(node.scratch_bytes as usize);
        let regions = kept.map(|tensor| (range(tensor), '-'));
        let regions = regions.chain(node.inputs.iter().map(|&tensor| (range(tensor), '=')));
        Moment {
            regions: regions
                .chain([(scratch, '~'), (range(node.output), '#')])
                .filter(|(range, _)| !range.is_empty())
                .collect(),
        }
    };
    file.nodes.iter().enumerate().map(moment).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use samara_runtime::format::writer::NodeRecord;
    use samara_runtime::{ElementType, Tensor};

    fn tensor(offset: u32, bytes: u32) -> Tensor {
        Tensor {
            element_type: ElementType::I8,
            rank: 1,
            zero_point: 0,
            dimensions: [bytes, 1, 1, 1],
            scale: 1.0,
            offset,
            length_group: 0,
        }
    }

    fn node(inputs: &[u32], output: u32, scratch: (u32, u32)) -> NodeRecord {
        let (scratch_offset, scratch_bytes) = scratch;
        NodeRecord { code: 1, inputs: inputs.to_vec(), output, scratch_offset, scratch_bytes, ..NodeRecord::default() }
    }

    /// A shortcut: the input is kept while the first node's output is worked on in place.
    #[test]
    fn tensors_live_from_writing_to_the_last_reading() {
        let file = ModelFile {
            tensors: vec![tensor(0, 16), tensor(16, 16), tensor(16, 16), tensor(32, 16)],
            nodes: vec![node(&[0], 1, (48, 16)), node(&[1], 2, (0, 0)), node(&[0, 2], 3, (0, 0))],
            inputs: vec![0],
            outputs: vec![3],
            arena_bytes: 64,
            ..ModelFile::default()
        };
        let moments = moments(&file);
        let bars = |letters: &str| letters.chars().flat_map(|letter| [letter; 16]).collect::<String>();
        let drawn: Vec<String> = moments.iter().map(|moment| moment.draw(64)).collect();
        assert_eq!(drawn, ["=#.~", "-#..", "==#."].map(bars));
        assert_eq!(moments.iter().map(Moment::live_bytes).collect::<Vec<_>>(), [48, 32, 48]);
    }

    #[test]
    fn a_small_arena_has_a_column_a_byte() {
        let moment = Moment { regions: vec![(1..3, '#')] };
        assert_eq!(moment.draw(4), ".##.");
        assert_eq!(moment.draw(0), "");
    }
}
