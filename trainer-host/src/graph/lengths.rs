//! Real lengths: tensors whose first dimension is the largest number of steps that a sample may have. Those of inputs come with the
//! samples; those of what layers make of them follow, as on the device: `(n + add) / stride` of the length `n` of their inputs.

use samara_runtime::LengthGroup;

use super::{Graph, Node, Shape};

/// What a layer makes of sequences that may be shorter than their shapes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LengthRule {
    /// As many steps, each of the inputs' steps of the same number and those before; or of all, by [`Forward::lengths`](super::pass::Forward::lengths).
    Kept,
    /// A step for each window of steps: `(n + add) / stride` of `n`, rounded down.
    Windows {
        /// What is added.
        add: i32,
        /// What the sum is divided by, rounded down.
        stride: u16,
    },
    /// No steps: what it gives is of the whole sequence.
    Reduced,
}

/// The number of a sample's steps where those that are left, `[steps, ...]` of `size` values in a step, are all `padding`; at
/// least 1.
pub(crate) fn length_before_padding(values: &[f32], size: usize, padding: f32) -> usize {
    let is_real = |step: &[f32]| step.iter().any(|&value| value != padding);
    let last = values.chunks_exact(size).rposition(is_real);
    last.map_or(1, |last| last + 1)
}

/// Fills the steps that samples, of `size` values and at most `steps` steps, do not have with zeros.
pub(crate) fn clear_behind(values: &mut [f32], lengths: &[u32], size: usize, steps: usize) {
    for (sample, &length) in values.chunks_exact_mut(size).zip(lengths) {
        sample[length as usize * (size / steps)..].fill(0.0);
    }
}

impl Graph {
    /// For an input of the model: what fills its steps up, to layers that read it.
    pub(crate) fn padding(&self, input: usize) -> Option<f32> {
        self.paddings(input).next()
    }

    fn paddings(&self, input: usize) -> impl Iterator<Item = f32> {
        let of_reader = move |&reader: &usize| {
            let Node { layer, inputs, .. } = &self.nodes[reader];
            let numbers = (0..inputs.len()).filter(move |&number| inputs[number] == input);
            numbers.filter_map(move |number| layer.as_ref()?.padding(number))
        };
        self.nodes[input].consumers.iter().flat_map(of_reader)
    }

    /// The least number of steps that samples of the input of this number may have, so that all windows of the model fit; 1 for one that
    /// is not of variable length.
    pub fn least_length(&self, input: usize) -> usize {
        let group = self.inputs.get(input).map_or(0, |&node| usize::from(self.nodes[node].length_group));
        self.least_lengths().get(group.wrapping_sub(1)).map_or(1, |&least| least as usize)
    }

    /// The least number of steps that samples of each group may have, so that all that follows from it has some.
    pub(crate) fn least_lengths(&self) -> Vec<u32> {
        let mut least = vec![1u32; self.length_groups.len()];
        for (number, group) in self.length_groups.iter().enumerate().rev().filter(|(_, group)| group.source > 0) {
            let needed = i64::from(least[number]) * i64::from(group.stride) - i64::from(group.add);
            let source = &mut least[usize::from(group.source) - 1];
            *source = (*source).max(needed.try_into().unwrap_or(1));
        }
        least
    }

    /// Fills in the lengths that follow from those of inputs, group by group.
    pub(crate) fn derive_lengths(groups: &[LengthGroup], lengths: &mut [u32]) {
        for (number, group) in groups.iter().enumerate().filter(|(_, group)| group.source > 0) {
            lengths[number] = group.derived(lengths[usize::from(group.source) - 1]).unwrap_or(0);
        }
    }

    /// Gives nodes their length groups.
    pub(super) fn find_lengths(&mut self, faults: &mut Vec<String>) {
        for index in 0..self.nodes.len() {
            match self.length_group_of(index) {
                Ok(group) => self.nodes[index].length_group = group,
                Err(fault) => faults.push(fault),
            }
        }
    }

    fn length_group_of(&mut self, index: usize) -> Result<u16, String> {
        let Node { name, layer, shape, inputs, symbol, .. } = &self.nodes[index];
        let Some(layer) = layer else {
            let padding = self.padding(index);
            if self.paddings(index).any(|other| Some(other) != padding) {
                return Err(format!("input '{name}' is padding to two layers by two values: expected one"));
            }
            if padding.is_none() && !symbol.has_variable_length() {
                return Ok(0);
            }
            if shape.len() < 2 && self.vocabulary(index).is_none() {
                return Err(format!("input '{name}' of shape {shape} is of variable length: expected a shape [steps, ...]"));
            }
            self.length_groups.push(LengthGroup::own(shape[0] as u32));
            return Ok(self.length_groups.len() as u16);
        };
        if let Some(number) = (0..inputs.len()).find(|&number| layer.padding(number).is_some())
            && let Node { name: maker, layer: Some(_), .. } = &self.nodes[inputs[number]]
        {
            return Err(format!("layer '{name}' finds padding in an input of the model, not in what layer '{maker}' makes"));
        }
        let groups = || inputs.iter().map(|&input| self.nodes[input].length_group);
        let Some(group) = groups().find(|&group| group > 0) else { return Ok(0) };
        let refuse = |wanted: &str| format!("layer '{name}' on sequences of variable length: expected {wanted}");
        let shapes = self.input_shapes(index);
        let rule = layer.length_rule(&shapes).map_err(|wanted| refuse(&wanted))?;
        if groups().any(|other| other != group && other > 0) {
            return Err(refuse("all of one length, which follows from one input by the same windows"));
        }
        let is_long = |(shape, group): (&Shape, u16)| group == 0 && shape.len() > 1 && shape[0] > 1;
        if shapes.iter().zip(groups()).any(is_long) {
            return Err(refuse("all inputs to be such: what is always of the largest length has no shorter one"));
        }
        let steps = shape.first().map_or(0, |&steps| steps as u32);
        let source = self.length_groups[usize::from(group) - 1];
        let wrong = |found: Option<u32>| {
            let found = found.unwrap_or(0);
            Err(refuse(&format!("{found} steps by its `length_rule`, but its output has the shape {shape}")))
        };
        match rule {
            LengthRule::Reduced => Ok(0),
            LengthRule::Kept | LengthRule::Windows { add: 0, stride: 1 } => {
                if steps == source.maximum {
                    Ok(group)
                } else {
                    wrong(Some(source.maximum))
                }
            }
            LengthRule::Windows { add, stride } => {
                // What takes away as many steps as were put before: as many as there were.
                let is_undone = source.source > 0 && (source.stride, stride) == (1, 1) && source.add + add == 0;
                if is_undone && self.length_groups[usize::from(source.source) - 1].maximum == steps {
                    return Ok(source.source);
                }
                let derived = LengthGroup { source: group, stride, add, maximum: steps };
                if derived.derived(source.maximum) != Some(steps) {
                    return wrong(derived.derived(source.maximum));
                }
                let known = self.length_groups.iter().position(|other| *other == derived);
                let place = known.unwrap_or_else(|| {
                    self.length_groups.push(derived);
                    self.length_groups.len() - 1
                });
                Ok(place as u16 + 1)
            }
        }
    }
}
