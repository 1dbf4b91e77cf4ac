//! Zeros before and after a sequence: inputs `[T, C]`, outputs `[before + T + after, C]`; zero_padding2d.rs.

use serde::{Deserialize, Serialize};

use super::steps::layer_on_steps;
use super::{Example, Layer, ZeroPadding2D};

/// Surrounds a sequence with steps of zeros.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ZeroPadding1D {
    layer: ZeroPadding2D,
}

impl ZeroPadding1D {
    /// This many steps on both sides.
    pub fn new(padding: usize) -> Self {
        Self::with_sides([padding; 2])
    }

    /// Steps `[before, after]`.
    pub fn with_sides(sides: [usize; 2]) -> Self {
        Self { layer: ZeroPadding2D::along_steps(sides) }
    }

    /// Steps before and after.
    pub fn sides(&self) -> [usize; 2] {
        self.layer.sides().1
    }
}

impl Layer for ZeroPadding1D {
    layer_on_steps!("ZeroPadding1D");
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![Example::new(ZeroPadding1D::new(1), &[&[3, 4]]), Example::new(ZeroPadding1D::with_sides([2, 0]), &[&[5, 3]])]
}

#[cfg(test)]
mod tests {
    use super::super::harness::{Harness, check};
    use super::*;
    use crate::graph::Shape;

    #[test]
    fn agrees_with_the_naive_reference() {
        for [before, after] in [[1, 1], [0, 0], [2, 0], [0, 3]] {
            let (steps, channels) = (4, 3);
            check(&ZeroPadding1D::with_sides([before, after]), &[Shape::from([steps, channels])], &|inputs, _| {
                [vec![0.0; before * channels], inputs[0].clone(), vec![0.0; after * channels]].concat()
            });
        }
    }

    #[test]
    fn sides_are_where_they_belong() {
        let layer = ZeroPadding1D::with_sides([1, 2]);
        let mut harness = Harness::new(&layer, &[Shape::from([2, 1])], 1);
        harness.inputs[0].copy_from_slice(&[1.0, 2.0]);
        assert_eq!(harness.forward(), [0.0, 1.0, 2.0, 0.0, 0.0]);
        assert_eq!((layer.sides(), layer.describe()), ([1, 2], "before 1, after 2".to_owned()));
        let error = layer.output_shape(&[Shape::from([4, 4, 1])]).expect_err("no sequence");
        assert_eq!(error, "one input of shape [steps, channels]");
    }
}
