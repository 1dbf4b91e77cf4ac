//! Global max pooling of sequences: `y[c] = max_t x[t, c]`; pooling.rs.
//!
//! Inputs `[T, C]`, outputs `[C]`.

use serde::{Deserialize, Serialize};

use super::pooling::{Pooling, pooling_layer};
use super::{Example, Layer, LayerBase};
use crate::device::ops::PoolKind;

/// Keeps the largest value of each channel of the whole sequence.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct GlobalMaxPooling1D {
    base: LayerBase,
}

impl GlobalMaxPooling1D {
    /// The layer.
    pub fn new() -> Self {
        Self::default()
    }

    fn pooling(&self) -> Pooling {
        Pooling::global(PoolKind::Maximum, 1)
    }
}

impl Layer for GlobalMaxPooling1D {
    pooling_layer!("GlobalMaxPooling1D");
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![Example::new(GlobalMaxPooling1D::new(), &[&[6, 5]])]
}

#[cfg(test)]
mod tests {
    use super::super::harness::check;
    use super::super::pooling::tests::largest;
    use super::*;
    use crate::graph::Shape;

    #[test]
    fn agrees_with_the_naive_reference() {
        for [steps, channels] in [[9, 3], [1, 5], [7, 17]] {
            check(&GlobalMaxPooling1D::new(), &[Shape::from([steps, channels])], &|inputs, _| {
                let values = |channel: usize| inputs[0].iter().skip(channel).step_by(channels).copied().collect::<Vec<_>>();
                (0..channels).map(|channel| largest(&values(channel))).collect()
            });
        }
        let error = GlobalMaxPooling1D::new().output_shape(&[Shape::from([4, 4, 1])]).expect_err("no sequence");
        assert_eq!(error, "one input of shape [steps, channels]");
    }
}
