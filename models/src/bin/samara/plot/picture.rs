//! A graph as it is to be drawn: boxes with lines of text, arrows between them, applied models around them.

use std::collections::BTreeSet;

/// What a box is coloured by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// An input or output of the model.
    Port,
    Convolution,
    Dense,
    Recurrent,
    Pool,
    Normalization,
    /// What brings several tensors together.
    Merge,
    Embedding,
    Activation,
    Other,
}

impl Family {
    /// By the kind of a layer or the name of an op.
    pub fn of(kind: &str) -> Self {
        let kind = kind.to_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| kind.contains(word));
        match () {
            () if has(&["conv"]) => Self::Convolution,
            () if has(&["lstm", "gru", "rnn", "delay"]) => Self::Recurrent,
            () if has(&["pool"]) || kind == "mean" => Self::Pool,
            () if has(&["normalization", "scale_shift"]) => Self::Normalization,
            () if has(&["embedding"]) => Self::Embedding,
            () if has(&["add", "concat", "multiply", "maximum", "subtract", "average", "difference"]) || kind == "dot" => {
                Self::Merge
            }
            () if has(&["dense"]) => Self::Dense,
            () if has(&["activation", "relu", "softmax", "lut"]) => Self::Activation,
            () => Self::Other,
        }
    }
}

/// A box.
#[derive(Debug, Clone)]
pub struct Block {
    /// Names of the applied models that it is part of, outermost first.
    pub path: Vec<String>,
    /// Lines of text, the first one bold.
    pub lines: Vec<String>,
    pub family: Family,
    /// How many times what it stands for is applied.
    pub times: usize,
}

impl Block {
    pub fn new(family: Family, lines: Vec<String>) -> Self {
        Self { path: Vec::new(), lines, family, times: 1 }
    }
}

/// A graph to be drawn.
#[derive(Debug, Clone)]
pub struct Picture {
    /// What stands above it.
    pub title: String,
    /// The boxes, each after all that it takes.
    pub blocks: Vec<Block>,
    /// The arrows: from, to.
    pub arrows: Vec<(usize, usize)>,
}

/// Boxes in the making: several nodes of a graph may share one.
#[derive(Debug, Default)]
pub struct Blocks {
    blocks: Vec<Block>,
    /// The box of each node.
    pub block_of: Vec<usize>,
    /// Between boxes.
    arrows: Vec<(usize, usize)>,
}

impl Blocks {
    /// A node with a box of its own.
    pub fn add(&mut self, block: Block, inputs: &[usize]) {
        self.blocks.push(block);
        self.join(self.blocks.len() - 1, inputs);
    }

    /// A node that is part of a box: nothing leads from the box to itself.
    pub fn fold(&mut self, block: usize, inputs: &[usize]) {
        self.join(block, inputs);
    }

    /// A node that is another application of what has a box, with the arrows of both; `false`, and nothing done, where an arrow would lead
    /// back to where it came from.
    pub fn apply_again(&mut self, block: usize, inputs: &[usize]) -> bool {
        let from = inputs.iter().map(|&input| self.block_of[input]);
        if from.clone().any(|from| self.leads(block, from)) {
            return false;
        }
        self.blocks[block].times += 1;
        self.join(block, inputs);
        true
    }

    fn join(&mut self, block: usize, inputs: &[usize]) {
        let arrows: Vec<_> =
            inputs.iter().map(|&input| (self.block_of[input], block)).filter(|(from, to)| from != to).collect();
        self.arrows.extend(arrows);
        self.block_of.push(block);
    }

    /// There is a way along arrows, or they are the same.
    fn leads(&self, from: usize, to: usize) -> bool {
        let (mut seen, mut open) = (BTreeSet::from([from]), vec![from]);
        while let Some(block) = open.pop() {
            if block == to {
                return true;
            }
            let next = self.arrows.iter().filter(|(from, _)| *from == block).map(|(_, to)| *to);
            open.extend(next.filter(|to| seen.insert(*to)));
        }
        false
    }

    /// The picture, with boxes in an order in which each stands after all that it takes.
    pub fn picture(self, title: String) -> Picture {
        let Self { blocks, arrows, .. } = self;
        let mut order: Vec<usize> = Vec::new();
        let mut place = vec![None; blocks.len()];
        while order.len() < blocks.len() {
            let is_ready = |block: &usize| {
                place[*block].is_none() && arrows.iter().all(|(from, to)| to != block || place[*from].is_some())
            };
            let Some(next) = (0..blocks.len()).find(is_ready) else { break };
            place[next] = Some(order.len());
            order.push(next);
        }
        let moved = |(from, to): (usize, usize)| Some((place[from]?, place[to]?));
        Picture {
            title,
            arrows: arrows.into_iter().filter_map(moved).collect(),
            blocks: order.into_iter().map(|block| blocks[block].clone()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(name: &str) -> Block {
        Block::new(Family::Other, vec![name.to_owned()])
    }

    /// a and b both through one box, whose applications are compared.
    #[test]
    fn another_application_adds_an_arrow_and_no_box() {
        let mut blocks = Blocks::default();
        blocks.add(block("a"), &[]);
        blocks.add(block("shared"), &[0]);
        blocks.add(block("b"), &[]);
        assert!(blocks.apply_again(1, &[2]));
        blocks.add(block("compare"), &[1, 3]);
        let picture = blocks.picture(String::new());
        let names: Vec<&str> = picture.blocks.iter().map(|block| block.lines[0].as_str()).collect();
        assert_eq!(names, ["a", "b", "shared", "compare"]);
        assert_eq!(picture.arrows, [(0, 2), (1, 2), (2, 3), (2, 3)]);
        assert_eq!(picture.blocks[2].times, 2);
    }

    #[test]
    fn what_is_applied_to_what_it_gave_has_two_boxes() {
        let mut blocks = Blocks::default();
        blocks.add(block("a"), &[]);
        blocks.add(block("shared"), &[0]);
        blocks.add(block("between"), &[1]);
        assert!(!blocks.apply_again(1, &[2]));
        assert!(!blocks.apply_again(1, &[1]));
        blocks.add(block("shared@1"), &[2]);
        assert_eq!(blocks.picture(String::new()).arrows, [(0, 1), (1, 2), (2, 3)]);
    }

    #[test]
    fn kinds_and_ops_have_their_colours() {
        for (kind, family) in [
            ("SeparableConv2D", Family::Convolution),
            ("depthwise_conv2d", Family::Convolution),
            ("GlobalAveragePooling2D", Family::Pool),
            ("Average", Family::Merge),
            ("AbsoluteDifference", Family::Merge),
            ("BatchNormalization", Family::Normalization),
            ("Lstm", Family::Recurrent),
            ("Dense", Family::Dense),
            ("softmax", Family::Activation),
            ("Flatten", Family::Other),
        ] {
            assert_eq!(Family::of(kind), family, "{kind}");
        }
    }
}
