//! The trait of layers: all that graph, trainer and exporter know of one.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use super::pass::{Backward, Forward, Prepare, WeightGradient};
use super::{LayerBase, LayerOptions, LengthRule, ParameterSpec, Shape};
use crate::activation::Activation;
use crate::device::{Lowering, Value};

/// What the trainer has to provide for a node; the answer of [`Layer::requirements`].
#[derive(Debug, Clone, Default)]
pub struct Requirements {
    /// `backward` reads the inputs' values.
    pub backward_reads_inputs: bool,
    /// `backward` reads the output's values.
    pub backward_reads_output: bool,
    /// Forward turns the first input, which stands in `output` already, into the output; backward turns
    /// `output_gradient` into the input's gradient in the same place. Such a layer has one input, of the output's size,
    /// and its `backward` may not read the input.
    pub in_place: bool,
    /// f64 sums over the batch that training needs before `forward` ([`Layer::forward_sums`]).
    pub forward_sums: usize,
    /// f64 sums over the batch that training needs before `backward` ([`Layer::backward_sums`]).
    pub backward_sums: usize,
    /// f32 values that [`Layer::prepare`] leaves for `forward` and `backward` of the same step.
    pub state: usize,
    /// f32 values per sample that `forward` leaves for `backward`.
    pub saved: usize,
    /// f32 values per sample that go on from batch to batch ([`Forward::carried`]): row i of a batch goes on with what row i of the one
    /// before left. Training then takes batches of one size only, in order, and the layer stands at one node of a model.
    pub carried: usize,
}

/// The kind's name, the access to the field `base: LayerBase`, and deep copies, for an `impl` of [`Layer`] by a type that is
/// `Clone`. For one that is `serde::Serialize` and `serde::Deserialize`, `identity!("Kind", options)` makes models with it
/// be saved and loaded, too.
///
/// ```
/// use samara_trainer::device::{Lowering, Value};
/// use samara_trainer::layers::{Backward, Forward, Layer, LayerBase, Requirements, identity};
/// use samara_trainer::graph::Shape;
///
/// /// Lets everything through.
/// #[derive(Debug, Clone, Default)]
/// struct Identity {
///     base: LayerBase,
/// }
///
/// impl Layer for Identity {
///     identity!("Identity");
///
///     fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
///         inputs.first().cloned().ok_or_else(|| "one input".to_owned())
///     }
///
///     fn requirements(&self, _inputs: &[Shape]) -> Requirements {
///         Requirements { in_place: true, ..Requirements::default() }
///     }
///
///     fn forward(&self, _pass: &mut Forward<'_>) {}
///
///     fn backward(&self, _pass: &mut Backward<'_>) {}
///
///     fn lower(&self, lowering: &mut Lowering<'_>) -> Result<Value, String> {
///         Ok(lowering.inputs[0])
///     }
/// }
///
/// assert_eq!(Identity::default().kind(), "Identity");
/// ```
#[macro_export]
macro_rules! identity {
    ($kind:literal, options) => {
        $crate::identity!($kind);
        $crate::identity!(options);
    };
    (options) => {
        fn options(&self) -> Result<$crate::graph::LayerOptions, String> {
            $crate::graph::LayerOptions::of(self)
        }

        fn with_options(
            &self,
            options: &$crate::graph::LayerOptions,
        ) -> Result<std::sync::Arc<dyn $crate::graph::Layer>, String> {
            Ok(std::sync::Arc::new(options.read::<Self>()?))
        }
    };
    ($kind:literal) => {
        fn kind(&self) -> &'static str {
            $kind
        }

        fn base(&self) -> &$crate::layers::LayerBase {
            &self.base
        }

        fn base_mut(&mut self) -> &mut $crate::layers::LayerBase {
            &mut self.base
        }

        fn duplicate(&self) -> std::sync::Arc<dyn $crate::graph::Layer> {
            let mut copy = Self::clone(self);
            copy.base = self.base.duplicate();
            std::sync::Arc::new(copy)
        }
    };
}

/// A layer of one kind, with its configuration: what the trainer, the exporter and the summary need to know of it.
///
/// Passes see some consecutive samples of a batch (a shard), so a layer must treat samples independently; what it needs
/// of the whole batch (batch normalization's moments) goes through the sums.
pub trait Layer: fmt::Debug + Send + Sync + Any {
    /// The kind's name, as the user writes it: `"Dense"`.
    fn kind(&self) -> &'static str;

    /// Name, identity and parameters.
    fn base(&self) -> &LayerBase;

    /// Freezes the layer, or lets it learn again, as Keras's `trainable`; from the next step on where a training is under
    /// way. A frozen layer's weights stay as they are and have no penalty; one with statistics (batch normalization) uses
    /// and keeps them, as outside training. It counts for all clones of the layer and all models it is part of.
    fn set_trainable(&self, trainable: bool) {
        self.base().set_trainable(trainable);
    }

    /// As [`Layer::base`], to set the name before the layer is applied.
    fn base_mut(&mut self) -> &mut LayerBase;

    /// Another layer with the same configuration, the same name and the same values of the parameters: what happens to one
    /// does not happen to the other. (A clone is the same layer.)
    fn duplicate(&self) -> Arc<dyn Layer>;

    /// What is set of the layer, for [`Model::save`](crate::Model::save).
    ///
    /// # Errors
    /// Why it cannot be saved, as all layers that do not say otherwise: [`identity!`](crate::identity) does.
    fn options(&self) -> Result<LayerOptions, String> {
        Err(format!("its `impl Layer` gives no options: `identity!(\"{}\", options)` does", self.kind()))
    }

    /// A new layer of this kind with such options, for [`Model::load`](crate::Model::load). Of this layer nothing but the
    /// kind counts.
    ///
    /// # Errors
    /// Why there is no such layer.
    fn with_options(&self, options: &LayerOptions) -> Result<Arc<dyn Layer>, String> {
        let _ = options;
        Err("its `impl Layer` reads no options".to_owned())
    }

    /// The output's shape, or a sentence's end that says what was wanted: `"inputs of rank 3, [height, width, channels]"`.
    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String>;

    /// For an input of tokens: how many there are. They are integers from 0 to below this, and stand in an input of the model.
    fn vocabulary(&self, input: usize) -> Option<usize> {
        let _ = input;
        None
    }

    /// How many steps the output has of inputs `[steps, ...]` of which a sample has fewer than their shapes say: what is computed of it
    /// must be what the layer computes of the sample alone. Steps beyond its length are zeros when `forward` sees them, as are their
    /// gradients when `backward` sees those of the output; what either makes of them does not count.
    /// [`Forward::lengths`] says how many steps there are.
    ///
    /// # Errors
    /// The end of a sentence that says what was wanted, as of all layers that do not say otherwise.
    fn length_rule(&self, inputs: &[Shape]) -> Result<LengthRule, String> {
        let _ = inputs;
        Err("sequences of one length".to_owned())
    }

    /// For an input of the model: what all values of the steps behind a sample's last one are. Its samples then have the lengths that
    /// follow, where their tensors say none.
    fn padding(&self, input: usize) -> Option<f32> {
        let _ = input;
        None
    }

    /// The parameters, in Keras's order (kernel, bias; gamma, beta, moving_mean, moving_variance).
    fn parameters(&self, inputs: &[Shape]) -> Vec<ParameterSpec> {
        let _ = inputs;
        Vec::new()
    }

    /// What the trainer has to provide; by default nothing but the output's gradient.
    fn requirements(&self, inputs: &[Shape]) -> Requirements {
        let _ = inputs;
        Requirements::default()
    }

    /// f32 values of scratch memory that forward or backward want for this many samples.
    fn scratch(&self, inputs: &[Shape], samples: usize) -> usize {
        let _ = (inputs, samples);
        0
    }

    /// Computes the output of some samples.
    fn forward(&self, pass: &mut Forward<'_>);

    /// Adds the gradients of the inputs that want one, and of the parameters, for some samples.
    fn backward(&self, pass: &mut Backward<'_>);

    /// Adds to `sums` what training needs of these samples' inputs before `forward`.
    fn forward_sums(&self, pass: &Forward<'_>, sums: &mut [f64]) {
        let _ = (pass, sums);
    }

    /// Once per step before `forward`, with the sums over the batch (empty outside training): fills the state and, in
    /// training, updates its statistics.
    fn prepare(&self, pass: &mut Prepare<'_>) {
        let _ = pass;
    }

    /// Adds to `sums` what `backward` needs of these samples.
    fn backward_sums(&self, pass: &Backward<'_>, sums: &mut [f64]) {
        let _ = (pass, sums);
    }

    /// Once per step before `backward`, with the sums over the batch: fills the state, adds the gradients that the sums
    /// give.
    fn prepare_backward(&self, pass: &mut Prepare<'_>) {
        let _ = pass;
    }

    /// `true`: the trainer calls [`Layer::weight_gradient`] over the whole batch, in blocks of rows of each parameter,
    /// after `backward` of all nodes; `backward` itself then leaves the parameters alone. For parameters too large to
    /// have a gradient per lane.
    fn has_batch_weight_gradient(&self) -> bool {
        false
    }

    /// The gradient of some rows of a parameter; see [`Layer::has_batch_weight_gradient`]. Reads the inputs and the
    /// output's gradient.
    fn weight_gradient(&self, pass: &mut WeightGradient<'_>) {
        let _ = pass;
    }

    /// The function, if the layer is an activation that a loss might be computed together with.
    fn as_activation(&self) -> Option<Activation> {
        None
    }

    /// `false` for a layer whose output has no slope in its inputs. What stands before it cannot learn through it, and a training is refused in
    /// which it is to.
    fn passes_gradient(&self) -> bool {
        true
    }

    /// `true` for a layer whose forward pass is another in training only by the noise it makes, there and where a prediction asks for it
    /// ([`Predictor::with_noise`](crate::Predictor::with_noise)): `forward` then runs as in training.
    fn is_noise(&self) -> bool {
        false
    }

    /// The layer that `apply` puts behind this one as part of it: the one given as `activation`.
    fn activation_layer(&self) -> Option<Arc<dyn Layer>> {
        None
    }

    /// Adds what the layer is on the device to the graph of the runtime's ops, and gives its output; or says why it has no
    /// counterpart there.
    fn lower(&self, lowering: &mut Lowering<'_>) -> Result<Value, String>;

    /// The configuration for the summary: `"32 filters, 3x3, same, relu"`.
    fn describe(&self) -> String {
        String::new()
    }
}
