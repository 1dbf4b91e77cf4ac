//! What follows a product with a kernel, in dense layers and convolutions: a bias, then an activation.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{ActivationLayer, Layer, ParameterGradients, ParameterSpec, Trainable};
use crate::initializers::zeros;
use crate::numeric::add_column_sums;

/// The bias, a layer's last parameter, and the activation, a layer of its own.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Epilogue {
    pub has_bias: bool,
    pub bias: Trainable,
    pub activation: Option<ActivationLayer>,
}

impl Epilogue {
    /// A bias of zeros, no activation.
    pub fn new() -> Self {
        Self { has_bias: true, bias: Trainable::new(zeros()), activation: None }
    }

    /// The bias of this many channels.
    pub fn spec(&self, channels: usize) -> Option<ParameterSpec> {
        self.has_bias.then(|| self.bias.spec("bias", [channels]))
    }

    /// Adds the gradient of the bias, the parameter with this number, where it learns.
    pub fn add_bias_gradient(&self, gradients: &mut ParameterGradients<'_>, parameter: usize, output_gradient: &[f32]) {
        if self.has_bias
            && let Some(sums) = gradients.get_mut(parameter)
        {
            add_column_sums(sums, output_gradient);
        }
    }

    /// The activation as the layer that follows.
    pub fn activation_layer(&self) -> Option<Arc<dyn Layer>> {
        self.activation.clone().map(|layer| Arc::new(layer) as Arc<dyn Layer>)
    }

    /// What a description ends with: `", relu"`.
    pub fn describe(&self) -> String {
        self.activation.as_ref().map(|layer| format!(", {}", layer.describe())).unwrap_or_default()
    }
}
