//! The memory plan: where in the arena each tensor lies, and when.

use samara_runtime::op::Alias;

/// Everything in the arena starts at a multiple of this.
const ALIGNMENT: usize = 16;

/// A tensor, as the planner sees it.
#[derive(Debug, Clone, Copy)]
pub struct Need {
    /// Its size.
    pub bytes: usize,
    /// `true` if it is written before the first node runs.
    pub is_input: bool,
    /// `true` if it is read after the last node ran.
    pub is_output: bool,
}

/// A node, as the planner sees it.
#[derive(Debug, Clone)]
pub struct Step {
    /// Indices of the tensors it reads.
    pub inputs: Vec<usize>,
    /// Index of the tensor it writes.
    pub output: usize,
    /// Where its output may lie.
    pub alias: Alias,
    /// Its need of scratch memory.
    pub scratch_bytes: usize,
}

/// The plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Offset of each tensor.
    pub tensors: Vec<usize>,
    /// Offset of each step's scratch region.
    pub scratch: Vec<usize>,
    /// Size of the arena.
    pub arena_bytes: usize,
}

/// A region of the arena and the steps, first to last, in which it is taken.
#[derive(Debug, Clone, Copy)]
struct Block {
    bytes: usize,
    first: usize,
    last: usize,
}

/// Plans by lifetimes: ops that may work in place do so where their input is not needed any more; then the largest blocks
/// first, each at the lowest place that is free while it lives.
pub fn plan(needs: &[Need], steps: &[Step]) -> Plan {
    let end = steps.len();
    let mut lives: Vec<Option<Block>> =
        needs.iter().map(|need| need.is_input.then_some(Block { bytes: need.bytes, first: 0, last: 0 })).collect();
    for (index, step) in steps.iter().enumerate() {
        for &tensor in step.inputs.iter().chain([&step.output]) {
            let bytes = needs[tensor].bytes;
            lives[tensor].get_or_insert(Block { bytes, first: index, last: index }).last = index;
        }
    }
    for (life, need) in lives.iter_mut().zip(needs) {
        if let (Some(life), true) = (life, need.is_output) {
            life.last = end;
        }
    }

    // Block of each tensor; in-place outputs join their input's.
    let mut block_of: Vec<usize> = (0..needs.len()).collect();
    let mut blocks: Vec<Block> = lives.into_iter().map(|life| life.unwrap_or(Block { bytes: 0, first: 0, last: 0 })).collect();
    for (index, step) in steps.iter().enumerate() {
        let Some(&input) = step.inputs.first() else { continue };
        let (from, to) = (block_of[input], step.output);
        let read_again = step.inputs[1..].iter().any(|&other| block_of[other] == from);
        let dies_here = blocks[from].last == index && !read_again;
        if step.alias == Alias::InPlace && dies_here && needs[input].bytes == needs[step.output].bytes {
            blocks[from].last = blocks[to].last;
            blocks[to].bytes = 0;
            block_of[step.output] = from;
        }
    }
    let scratch_start = blocks.len();
    blocks.extend(steps.iter().enumerate().map(|(index, step)| Block { bytes: step.scratch_bytes, first: index, last: index }));

    let offsets = place(&blocks);
    let arena_bytes = blocks.iter().zip(&offsets).map(|(block, offset)| offset + block.bytes).max().unwrap_or(0);
    Plan {
        tensors: block_of.iter().map(|&block| offsets[block]).collect(),
        scratch: offsets[scratch_start..].to_vec(),
        arena_bytes: arena_bytes.next_multiple_of(ALIGNMENT),
    }
}

/// Every tensor in a place of its own: nothing is overwritten, so that all can be looked at after a run.
pub fn plan_separate(needs: &[Need], steps: &[Step]) -> Plan {
    let mut next = 0;
    let mut take = |bytes: usize| {
        let offset = next;
        next += bytes.next_multiple_of(ALIGNMENT);
        offset
    };
    let tensors = needs.iter().map(|need| take(need.bytes)).collect();
    let scratch = steps.iter().map(|step| take(step.scratch_bytes)).collect();
    Plan { tensors, scratch, arena_bytes: next }
}

fn place(blocks: &[Block]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..blocks.len()).filter(|&block| blocks[block].bytes > 0).collect();
    order.sort_by_key(|&block| (std::cmp::Reverse(blocks[block].bytes), blocks[block].first, block));
    let mut offsets = vec![0; blocks.len()];
    let mut placed: Vec<usize> = Vec::new();
    for index in order {
        let block = &blocks[index];
        // Neighbours in time, by their place; the first gap that is large enough is taken.
        let mut taken: Vec<(usize, usize)> = placed
            .iter()
            .filter(|&&other| blocks[other].first <= block.last && block.first <= blocks[other].last)
            .map(|&other| (offsets[other], offsets[other] + blocks[other].bytes))
            .collect();
        taken.sort_unstable();
        let mut offset = 0;
        for (start, end) in taken {
            if offset + block.bytes <= start {
                break;
            }
            offset = offset.max(end.next_multiple_of(ALIGNMENT));
        }
        offsets[index] = offset;
        placed.push(index);
    }
    offsets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(bytes: usize) -> Need {
        Need { bytes, is_input: false, is_output: false }
    }

    fn step(inputs: &[usize], output: usize, alias: Alias, scratch_bytes: usize) -> Step {
        Step { inputs: inputs.to_vec(), output, alias, scratch_bytes }
    }

    #[test]
    fn a_chain_needs_its_two_largest_neighbours() {
        let mut needs = [need(64), need(128), need(32), need(16)];
        needs[0].is_input = true;
        needs[3].is_output = true;
        let steps = [step(&[0], 1, Alias::Disjoint, 0), step(&[1], 2, Alias::Disjoint, 0), step(&[2], 3, Alias::Disjoint, 0)];
        assert_eq!(plan(&needs, &steps).arena_bytes, 192);
        assert_eq!(plan_separate(&needs, &steps).arena_bytes, 240);
    }

    #[test]
    fn in_place_ops_share_unless_the_input_is_needed_later() {
        let mut needs = [need(64), need(64), need(64)];
        needs[0].is_input = true;
        needs[2].is_output = true;
        let chain = [step(&[0], 1, Alias::InPlace, 0), step(&[1], 2, Alias::InPlace, 0)];
        let planned = plan(&needs, &chain);
        assert_eq!((planned.arena_bytes, planned.tensors[0]), (64, planned.tensors[2]));
        let residual = [step(&[0], 1, Alias::InPlace, 0), step(&[1, 0], 2, Alias::InPlace, 0)];
        let planned = plan(&needs, &residual);
        assert_ne!(planned.tensors[0], planned.tensors[1]);
        assert_eq!(planned.tensors[1], planned.tensors[2]);
        let twice = [step(&[0, 0], 1, Alias::InPlace, 0), step(&[1], 2, Alias::Disjoint, 0)];
        let planned = plan(&needs, &twice);
        assert_ne!(planned.tensors[0], planned.tensors[1]);
    }

    #[test]
    fn scratch_shares_no_byte_with_the_tensors_of_its_step() {
        let mut needs = [need(40), need(24)];
        needs[0].is_input = true;
        needs[1].is_output = true;
        let planned = plan(&needs, &[step(&[0], 1, Alias::Disjoint, 10)]);
        assert_eq!(planned.tensors, [0, 48]);
        assert_eq!(planned.scratch, [80]);
        assert_eq!(planned.arena_bytes, 96);
    }
}
