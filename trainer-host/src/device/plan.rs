//! The memory plan: where in the arena each tensor lies, and when.

use super::ExportError;
use samara_runtime::{
    OpDef,
    format::{cursor::Cursor, writer::ModelFile},
    op::{Alias, Order},
};

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

/// Plans the arena of a file whose nodes say how much scratch and state they need: states come first, in the order of the
/// nodes, then the lengths of the groups, then tensors and scratch regions. The ops' alias classes come from `ops`.
///
/// # Errors
/// [`ExportError::TooLarge`] if the arena is beyond what a file can say.
pub fn arrange(file: &mut ModelFile, ops: &[&OpDef]) -> Result<(), ExportError> {
    let (needs, steps) = seen(file, ops);
    let mut base = 0usize;
    for node in file.nodes.iter_mut() {
        node.state_offset = if node.state_bytes > 0 { base as u32 } else { 0 };
        base += (node.state_bytes as usize).next_multiple_of(ALIGNMENT);
    }
    base += (4 * file.length_groups.len()).next_multiple_of(ALIGNMENT);
    let plan = plan(&needs, &steps);
    let (found, limit) = (base + plan.arena_bytes, u32::MAX as usize);
    if found > limit {
        return Err(ExportError::TooLarge { what: "bytes in its arena", found, limit });
    }
    file.tensors.iter_mut().zip(plan.tensors).for_each(|(tensor, offset)| tensor.offset = (base + offset) as u32);
    for (node, offset) in file.nodes.iter_mut().zip(plan.scratch) {
        node.scratch_offset = if node.scratch_bytes > 0 { (base + offset) as u32 } else { 0 };
    }
    file.arena_bytes = found as u32;
    Ok(())
}

/// Bytes below which no plan comes, of the file's nodes in their order, with the scratch and the freedom to overlap that their ops have: what
/// lives at the busiest of them, and all states.
pub fn least_arena_bytes(file: &ModelFile, ops: &[&OpDef]) -> usize {
    let (needs, steps) = seen(file, ops);
    let states: usize = file.nodes.iter().map(|node| node.state_bytes as usize).sum();
    states + 4 * file.length_groups.len() + least(&needs, &steps)
}

/// A file's tensors and nodes, as the planner sees them.
fn seen(file: &ModelFile, ops: &[&OpDef]) -> (Vec<Need>, Vec<Step>) {
    let listed = |list: &[u32], index: usize| list.contains(&(index as u32));
    let need = |(index, tensor): (usize, &samara_runtime::Tensor)| Need {
        bytes: tensor.bytes(),
        is_input: listed(&file.inputs, index),
        is_output: listed(&file.outputs, index),
    };
    let needs: Vec<Need> = file.tensors.iter().enumerate().map(need).collect();
    let step = |node: &samara_runtime::format::writer::NodeRecord| {
        let op = ops.iter().find(|op| u16::from(op.code) == node.code);
        let (input, output) = (node.inputs.first().unwrap_or(&node.output), &file.tensors[node.output as usize]);
        let alias = |op: &&OpDef| (op.alias)(&file.tensors[*input as usize], output, Cursor::new(&node.parameters));
        Step {
            inputs: node.inputs.iter().map(|&input| input as usize).collect(),
            output: node.output as usize,
            alias: op.map_or(Alias::Disjoint, alias),
            scratch_bytes: node.scratch_bytes as usize,
        }
    };
    let steps = file.nodes.iter().map(step).collect();
    (needs, steps)
}

/// A region of the arena and the steps, first to last, in which it is taken.
#[derive(Debug, Clone, Copy)]
struct Block {
    bytes: usize,
    first: usize,
    last: usize,
}

/// Two blocks that may share bytes although both live in one step: what the step reads and what it writes.
#[derive(Debug, Clone, Copy)]
struct Pair {
    input: usize,
    output: usize,
    order: Order,
    bytes: usize,
}

/// Plans by lifetimes: ops that may work in place do so where their input is not needed any more; then the largest blocks
/// first, each at the lowest place that is free while it lives. Outputs overlap inputs where that makes the arena smaller.
pub fn plan(needs: &[Need], steps: &[Step]) -> Plan {
    // Block of each tensor; in-place outputs join their input's.
    let mut block_of: Vec<usize> = (0..needs.len()).collect();
    let mut blocks = lives(needs, steps);
    let mut pairs: Vec<Pair> = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        // An input of whose bytes nothing is read after this step, nor by this step as another input.
        let dies = |number: usize, block_of: &[usize], blocks: &[Block]| {
            let block = block_of[step.inputs[number]];
            let uses = step.inputs.iter().filter(|&&input| block_of[input] == block).count();
            blocks[block].last == index && uses == 1
        };
        let to = step.output;
        match step.alias {
            Alias::Disjoint => {}
            Alias::InPlace(last) => {
                let fits =
                    |&number: &usize| needs[step.inputs[number]].bytes == needs[to].bytes && dies(number, &block_of, &blocks);
                if let Some(number) = (0..step.inputs.len().min(usize::from(last) + 1)).find(fits) {
                    let from = block_of[step.inputs[number]];
                    blocks[from].last = blocks[to].last;
                    blocks[to].bytes = 0;
                    block_of[to] = from;
                }
            }
            Alias::Overlap { order, bytes } => {
                if !step.inputs.is_empty() && dies(0, &block_of, &blocks) {
                    pairs.push(Pair { input: block_of[step.inputs[0]], output: to, order, bytes });
                }
            }
        }
    }
    let scratch_start = blocks.len();
    blocks.extend(steps.iter().enumerate().map(|(index, step)| Block { bytes: step.scratch_bytes, first: index, last: index }));

    // The lowest free place is a rule of thumb, so that more freedom may also lead to a larger arena.
    let size = |offsets: &[usize]| blocks.iter().zip(offsets).map(|(block, offset)| offset + block.bytes).max().unwrap_or(0);
    let (apart, overlapping) = (place(&blocks, &[]), place(&blocks, &pairs));
    let offsets = if size(&overlapping) < size(&apart) { overlapping } else { apart };
    Plan {
        tensors: block_of.iter().map(|&block| offsets[block]).collect(),
        scratch: offsets[scratch_start..].to_vec(),
        arena_bytes: size(&offsets).next_multiple_of(ALIGNMENT),
    }
}

/// From the step that writes each tensor to the last that reads it; of no bytes, if there is none.
fn lives(needs: &[Need], steps: &[Step]) -> Vec<Block> {
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
            life.last = steps.len();
        }
    }
    lives.into_iter().map(|life| life.unwrap_or(Block { bytes: 0, first: 0, last: 0 })).collect()
}

/// What [`plan`] cannot come below: the most bytes that a step needs, its output as far on an input that dies with it as its alias class lets it.
fn least(needs: &[Need], steps: &[Step]) -> usize {
    let lives = lives(needs, steps);
    // What lives at each step, from what begins and ends there.
    let mut changes = vec![0isize; steps.len() + 2];
    for life in &lives {
        changes[life.first] += life.bytes as isize;
        changes[life.last + 1] -= life.bytes as isize;
    }
    let mut alive = 0isize;
    let mut most = 0;
    for (index, step) in steps.iter().enumerate() {
        alive += changes[index];
        let dies =
            |input: usize| lives[input].last == index && step.inputs.iter().filter(|&&other| other == input).count() == 1;
        let output = needs[step.output].bytes;
        let shared = match step.alias {
            Alias::Disjoint => 0,
            Alias::InPlace(last) => {
                let candidates = step.inputs.iter().take(usize::from(last) + 1);
                let fits = |&&input: &&usize| needs[input].bytes == output && dies(input);
                candidates.filter(fits).map(|_| output).next().unwrap_or(0)
            }
            Alias::Overlap { bytes, .. } => match step.inputs.first() {
                Some(&input) if dies(input) => bytes.min(needs[input].bytes).min(output),
                _ => 0,
            },
        };
        most = most.max((alive as usize + step.scratch_bytes).saturating_sub(shared));
    }
    // Outputs live on behind the last step.
    most.max((alive + changes[steps.len()]) as usize)
}

/// Which placed blocks there are at each step.
struct Timeline {
    steps: Vec<Vec<usize>>,
}

impl Timeline {
    fn of(blocks: &[Block]) -> Self {
        Self { steps: vec![Vec::new(); blocks.iter().map(|block| block.last + 1).max().unwrap_or(0)] }
    }

    fn put(&mut self, index: usize, block: &Block) {
        self.steps[block.first..=block.last].iter_mut().for_each(|living| living.push(index));
    }

    /// What lives at the same time as a block: one that shares several steps with it comes several times. Their number is the
    /// work of placing a block.
    fn around(&self, block: &Block) -> impl Iterator<Item = usize> {
        self.steps[block.first..=block.last].iter().flatten().copied()
    }
}

fn place(blocks: &[Block], pairs: &[Pair]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..blocks.len()).filter(|&block| blocks[block].bytes > 0).collect();
    order.sort_by_key(|&block| (std::cmp::Reverse(blocks[block].bytes), blocks[block].first, block));
    let mut offsets = vec![0; blocks.len()];
    // A block's bytes overlap those of one input and of one output, at most.
    let mut pairs_of: Vec<[Option<&Pair>; 2]> = vec![[None; 2]; blocks.len()];
    for pair in pairs {
        pairs_of[pair.input][0] = Some(pair);
        pairs_of[pair.output][1] = Some(pair);
    }
    let mut timeline = Timeline::of(blocks);
    for index in order {
        let block = &blocks[index];
        let mut others: Vec<usize> = timeline.around(block).collect();
        others.sort_unstable();
        others.dedup();
        // Each neighbour in time leaves free what is up to the first number and what is from the second on. The first place
        // that all leave free is taken.
        let mut taken: Vec<(i64, usize)> = others
            .into_iter()
            .map(|other| {
                let (start, end) = (offsets[other] as i64 - block.bytes as i64, offsets[other] + blocks[other].bytes);
                let shared = |pair: &&&Pair| [(index, other), (other, index)].contains(&(pair.input, pair.output));
                // The lower one of the two may reach into the other; below, this block is the lower one.
                match pairs_of[index].iter().flatten().find(shared) {
                    None => (start, end),
                    Some(pair) if (pair.order == Order::Forward) == (pair.output == index) => (start + pair.bytes as i64, end),
                    Some(pair) => (start, end.saturating_sub(pair.bytes)),
                }
            })
            .collect();
        taken.sort_unstable();
        let mut offset = 0;
        for (start, end) in taken {
            if offset as i64 > start && offset < end {
                offset = end.next_multiple_of(ALIGNMENT);
            }
        }
        offsets[index] = offset;
        timeline.put(index, block);
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
        assert_eq!((plan(&needs, &steps).arena_bytes, least(&needs, &steps)), (192, 192));
    }

    #[test]
    fn in_place_ops_share_unless_the_input_is_needed_later() {
        let mut needs = [need(64), need(64), need(64)];
        needs[0].is_input = true;
        needs[2].is_output = true;
        let chain = [step(&[0], 1, Alias::InPlace(0), 0), step(&[1], 2, Alias::InPlace(0), 0)];
        let planned = plan(&needs, &chain);
        assert_eq!((planned.arena_bytes, planned.tensors[0], least(&needs, &chain)), (64, planned.tensors[2], 64));
        let residual = [step(&[0], 1, Alias::InPlace(0), 0), step(&[1, 0], 2, Alias::InPlace(0), 0)];
        let planned = plan(&needs, &residual);
        assert_ne!(planned.tensors[0], planned.tensors[1]);
        assert_eq!(planned.tensors[1], planned.tensors[2]);
        let twice = [step(&[0, 0], 1, Alias::InPlace(0), 0), step(&[1], 2, Alias::Disjoint, 0)];
        let planned = plan(&needs, &twice);
        assert_ne!(planned.tensors[0], planned.tensors[1]);
    }

    #[test]
    fn a_sum_lies_on_the_input_that_is_not_needed_any_more() {
        let mut needs = [need(64), need(64), need(64), need(64)];
        needs[0].is_input = true;
        needs[3].is_output = true;
        // Tensor 0 is read again, tensor 1 is not.
        let steps =
            [step(&[0], 1, Alias::Disjoint, 0), step(&[0, 1], 2, Alias::InPlace(1), 0), step(&[2, 0], 3, Alias::InPlace(0), 0)];
        let planned = plan(&needs, &steps);
        assert_eq!((planned.tensors[1], planned.arena_bytes), (planned.tensors[2], 128));
    }

    #[test]
    fn an_output_grows_over_its_input() {
        let mut needs = [need(64), need(128), need(32)];
        needs[0].is_input = true;
        needs[2].is_output = true;
        let widening = Alias::Overlap { order: Order::Backward, bytes: 64 };
        let narrowing = Alias::Overlap { order: Order::Forward, bytes: 32 };
        let steps = [step(&[0], 1, widening, 16), step(&[1], 2, narrowing, 16)];
        let planned = plan(&needs, &steps);
        assert_eq!((planned.tensors, planned.arena_bytes, least(&needs, &steps)), (vec![0, 0, 0], 144, 144));
        // An input that is read once more, or given out, stays.
        let again = [steps[0].clone(), step(&[0], 2, Alias::Disjoint, 0)];
        let planned = plan(&[needs[0], Need { is_output: true, ..needs[1] }, needs[2]], &again);
        let range = |tensor: usize| planned.tensors[tensor]..planned.tensors[tensor] + needs[tensor].bytes;
        let apart = |a: usize, b: usize| range(a).end <= range(b).start || range(b).end <= range(a).start;
        assert!(apart(0, 1) && apart(0, 2) && apart(1, 2), "{planned:?}");
    }

    #[test]
    fn the_work_grows_with_the_number_of_steps() {
        // Chains with a residual path around each pair of steps: each block has few others around it.
        let work = |count: usize| -> usize {
            let blocks: Vec<Block> =
                (0..count).map(|step| Block { bytes: 16, first: step, last: step + 1 + step % 2 }).collect();
            let mut timeline = Timeline::of(&blocks);
            let place = |block: &Block| {
                let around = timeline.around(block).count();
                timeline.put(0, block);
                around
            };
            blocks.iter().map(place).sum()
        };
        assert!(work(2000) <= 2 * work(1000) + 8 && work(2000) < 10 * 2000, "{} for 2,000 steps", work(2000));
        let needs: Vec<Need> = (0..=2000)
            .map(|tensor| Need { is_input: tensor == 0, is_output: tensor == 2000, ..need(16 + tensor % 32) })
            .collect();
        let steps: Vec<Step> =
            (0..2000).map(|step_of| step(&[step_of, step_of / 2 * 2], step_of + 1, Alias::InPlace(0), 8)).collect();
        assert!(plan(&needs, &steps).arena_bytes <= 48 * 5);
    }

    /// Pseudo-random numbers for plans.
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, bound: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) as usize % bound
        }
    }

    #[test]
    fn whatever_lives_at_once_lies_apart_or_as_its_alias_class_says() {
        let mut numbers = Numbers(1);
        let (mut smaller, mut tight) = (0, 0);
        for round in 0..2_000 {
            let count = 2 + numbers.below(8);
            let mut needs: Vec<Need> = (0..=count).map(|_| need(1 + numbers.below(200))).collect();
            needs[0].is_input = true;
            needs[count].is_output = true;
            let steps: Vec<Step> = (0..count)
                .map(|index| {
                    // Mostly the tensor before; sometimes an older one, too.
                    let mut inputs = vec![if numbers.below(5) == 0 { numbers.below(index + 1) } else { index }];
                    if numbers.below(3) == 0 {
                        inputs.push(numbers.below(index + 1));
                    }
                    let (input, output) = (needs[inputs[0]].bytes, needs[index + 1].bytes);
                    let alias = match numbers.below(4) {
                        0 => Alias::Disjoint,
                        1 => Alias::InPlace(1),
                        2 => Alias::Overlap { order: Order::Forward, bytes: output + numbers.below(9) },
                        _ => Alias::Overlap { order: Order::Backward, bytes: input + numbers.below(9) },
                    };
                    step(&inputs, index + 1, alias, numbers.below(3) * 8)
                })
                .collect();
            let planned = plan(&needs, &steps);
            let range = |tensor: usize| planned.tensors[tensor]..planned.tensors[tensor] + needs[tensor].bytes;
            let scratch = |step: usize| planned.scratch[step]..planned.scratch[step] + steps[step].scratch_bytes;
            let share = |a: &std::ops::Range<usize>, b: &std::ops::Range<usize>| a.start < b.end && b.start < a.end;
            let last_use = |tensor: usize| {
                let reads = steps.iter().rposition(|step| step.inputs.contains(&tensor));
                if needs[tensor].is_output { count } else { reads.unwrap_or(0).max(tensor.saturating_sub(1)) }
            };
            for (index, step) in steps.iter().enumerate() {
                let output = range(step.output);
                // Tensor t is written by step t - 1; the input is there from the start.
                for live in (0..=index).filter(|&tensor| last_use(tensor) >= index) {
                    let place = range(live);
                    assert!(!share(&place, &scratch(index)), "round {round}: scratch of step {index} on tensor {live}");
                    let number = step.inputs.iter().position(|&input| input == live);
                    let dies = last_use(live) == index && step.inputs.iter().filter(|&&input| input == live).count() == 1;
                    let allowed = dies && number.is_some_and(|number| step.alias.allows(number, &place, &output));
                    assert!(!share(&place, &output) || allowed, "round {round}: step {index} writes over tensor {live}");
                }
                assert!(!share(&output, &scratch(index)), "round {round}: scratch of step {index} on its output");
            }
            let apart: Vec<Step> = steps
                .iter()
                .map(|step| match step.alias {
                    Alias::Overlap { .. } => Step { alias: Alias::Disjoint, ..step.clone() },
                    _ => step.clone(),
                })
                .collect();
            let without = plan(&needs, &apart).arena_bytes;
            assert!(planned.arena_bytes <= without, "round {round}: overlapping made the arena larger");
            smaller += usize::from(planned.arena_bytes < without);
            let least = least(&needs, &steps);
            assert!(
                least <= planned.arena_bytes,
                "round {round}: {} bytes, which cannot be fewer than {least}",
                planned.arena_bytes
            );
            tight += usize::from(least.next_multiple_of(ALIGNMENT) == planned.arena_bytes);
        }
        assert!(smaller > 200, "only {smaller} arenas of 2,000 became smaller");
        assert!(tight > 200, "only {tight} arenas of 2,000 are as small as can be");
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
