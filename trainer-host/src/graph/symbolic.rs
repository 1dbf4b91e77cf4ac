//! Symbolic tensors: what a layer will compute, before there are values.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Layer, Shape};

/// The result of applying a layer, or an input: to apply further layers to, and to make a model of. A clone is the same
/// tensor.
#[derive(Clone)]
pub struct SymbolicTensor(Arc<Symbol>);

struct Symbol {
    /// Grows with every tensor made, so a tensor's number is above those of all it depends on.
    number: u64,
    origin: Origin,
    /// The shape, or why there is none.
    shape: Result<Shape, ShapeFault>,
}

/// Where a symbolic tensor comes from.
pub(crate) enum Origin {
    /// An input of the model.
    Input { name: Mutex<Option<String>>, has_variable_length: AtomicBool },
    /// A layer.
    Layer {
        layer: Arc<dyn Layer>,
        /// The layer whose `activation` this one is.
        part_of: Option<Arc<dyn Layer>>,
        inputs: Vec<SymbolicTensor>,
        /// Where it stands in a model that was applied like a layer.
        scope: Option<Scope>,
    },
    /// Something that could not be applied.
    Nothing,
}

/// A node of a model that was applied like a layer.
#[derive(Clone)]
pub(crate) struct Scope {
    /// The application; the same for all nodes of it, another for each further one.
    pub application: Arc<Application>,
    /// The node's name within the model.
    pub node: String,
    /// The models applied within that model that the node is part of, as in [`super::Node::scopes`].
    pub scopes: Vec<String>,
}

/// A model is applied: its name, the very string for each application of it.
pub(crate) struct Application(pub Arc<str>);

/// Why a tensor has no shape.
#[derive(Debug, Clone)]
pub(crate) enum ShapeFault {
    /// The layer takes no such inputs: what it expects.
    Wanted(String),
    /// One of the inputs has a fault of its own.
    Upstream,
    /// The whole sentence.
    Sentence(String),
}

/// An input: the shape of one sample, without the batch. It can have a name, by which data is found for it, as layers can:
/// `input([28, 28, 1]).named("image")`.
pub fn input(shape: impl Into<Shape>) -> SymbolicTensor {
    SymbolicTensor::of_input(shape.into())
}

impl SymbolicTensor {
    fn new(origin: Origin, shape: Result<Shape, ShapeFault>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(Arc::new(Symbol { number, origin, shape }))
    }

    fn of_input(shape: Shape) -> Self {
        let checked = match shape.fault() {
            Some(fault) => Err(ShapeFault::Sentence(format!("an input has the shape {shape}, but {fault}"))),
            None => Ok(shape),
        };
        Self::new(Origin::Input { name: Mutex::new(None), has_variable_length: AtomicBool::new(false) }, checked)
    }

    /// This input under a name; all clones have it. Nothing else takes a name.
    pub(super) fn renamed(self, name: &str) -> Self {
        let Origin::Input { name: own, .. } = self.origin() else {
            return Self::of_fault(format!(
                "the name '{name}' is given to a tensor that is no input: name the layer that makes it instead"
            ));
        };
        *own.lock().unwrap_or_else(PoisonError::into_inner) = Some(name.to_owned());
        self
    }

    /// The name given to an input.
    pub(crate) fn input_name(&self) -> Option<String> {
        let Origin::Input { name, .. } = self.origin() else { return None };
        name.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes this input one of sequences: the first dimension is the largest number of steps, and a sample may have fewer, as many
    /// as its tensor says ([`Tensor::with_lengths`](crate::data::Tensor::with_lengths)). What stands behind them counts nowhere: loss,
    /// gradients and states are those of the sample without it. It holds for all clones of the input.
    ///
    /// ```
    /// use samara_trainer::prelude::*;
    ///
    /// let x = input([29, 12]).variable_length();
    /// let y = Dense::new(9).activation(Activation::Softmax).apply(Lstm::new(16).apply(&x));
    /// let model = Model::new("vowels", &x, y)?;
    /// // Two recordings, one of 29 steps and one of 7, filled up with whatever it may be.
    /// let recordings = Tensor::new([2, 29, 12], vec![0.5; 2 * 29 * 12])?.with_lengths([29, 7])?;
    /// let short = Tensor::new([1, 29, 12], [vec![0.5; 7 * 12], vec![9.0; 22 * 12]].concat())?.with_lengths([7])?;
    /// assert_eq!(model.predict(&recordings)?.sample(1), model.predict(&short)?.sample(0));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn variable_length(self) -> Self {
        let Origin::Input { has_variable_length, .. } = self.origin() else {
            let sentence = "`variable_length` is said of a tensor that is no input: lengths come with the samples of an input, and \
                            what layers make of it follows";
            return Self::of_fault(sentence.to_owned());
        };
        has_variable_length.store(true, Ordering::Relaxed);
        self
    }

    /// `true` for an input whose samples may be shorter than its shape says.
    pub(crate) fn has_variable_length(&self) -> bool {
        matches!(self.origin(), Origin::Input { has_variable_length, .. } if has_variable_length.load(Ordering::Relaxed))
    }

    pub(crate) fn of_layer(
        layer: Arc<dyn Layer>,
        inputs: Vec<SymbolicTensor>,
        part_of: Option<Arc<dyn Layer>>,
        scope: Option<Scope>,
    ) -> Self {
        let shapes: Option<Vec<Shape>> = inputs.iter().map(|input| input.shape().cloned()).collect();
        let shape = match shapes {
            None => Err(ShapeFault::Upstream),
            Some(shapes) => match layer.output_shape(&shapes) {
                Ok(shape) if shape.contains(&0) => {
                    Err(ShapeFault::Wanted(format!("inputs that leave something of the output, which is {shape}")))
                }
                Ok(shape) => match shape.fault() {
                    Some(fault) => Err(ShapeFault::Wanted(format!("a smaller output than {shape}: {fault}"))),
                    None => Ok(shape),
                },
                Err(wanted) => Err(ShapeFault::Wanted(wanted)),
            },
        };
        Self::new(Origin::Layer { layer, part_of, inputs, scope }, shape)
    }

    /// What this is, made of other tensors: of copies of its layer, and of an input's shape and name.
    pub(crate) fn again(&self, inputs: Vec<SymbolicTensor>, mut copy: impl FnMut(&Arc<dyn Layer>) -> Arc<dyn Layer>) -> Self {
        let Origin::Layer { layer, part_of, scope, .. } = self.origin() else { return self.as_input() };
        Self::of_layer(copy(layer), inputs, part_of.as_ref().map(copy), scope.clone())
    }

    /// An input of this shape; if this is an input, with its name and as variable in its length.
    pub(crate) fn as_input(&self) -> Self {
        let copy = Self::of_input(self.shape().cloned().unwrap_or_default());
        let copy = if self.has_variable_length() { copy.variable_length() } else { copy };
        match self.input_name() {
            Some(name) => copy.renamed(&name),
            None => copy,
        }
    }

    pub(crate) fn of_fault(sentence: String) -> Self {
        Self::new(Origin::Nothing, Err(ShapeFault::Sentence(sentence)))
    }

    /// The shape of one sample; `None` if the tensor cannot be computed, which `Model::new` explains.
    pub fn shape(&self) -> Option<&Shape> {
        self.0.shape.as_ref().ok()
    }

    pub(crate) fn fault(&self) -> Option<&ShapeFault> {
        self.0.shape.as_ref().err()
    }

    pub(crate) fn number(&self) -> u64 {
        self.0.number
    }

    /// The layer whose activation this is.
    pub(crate) fn part_of(&self) -> Option<Arc<dyn Layer>> {
        if let Origin::Layer { part_of, .. } = self.origin() { part_of.clone() } else { None }
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.0.origin
    }
}

/// Number, layer and shape, but not what lies before: in a net of residual blocks that is a tensor for each path.
impl fmt::Debug for SymbolicTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.origin() {
            Origin::Input { .. } => "Input",
            Origin::Layer { layer, .. } => layer.kind(),
            Origin::Nothing => "nothing",
        };
        write!(f, "SymbolicTensor({} {kind} ", self.number())?;
        match &self.0.shape {
            Ok(shape) => write!(f, "{shape})"),
            Err(fault) => write!(f, "{fault:?})"),
        }
    }
}

/// Takes a chain of tensors apart one by one: nested drops of tens of thousands of layers overflow a thread's stack.
impl Drop for Symbol {
    fn drop(&mut self) {
        let mut open = self.origin.take_inputs();
        while let Some(tensor) = open.pop() {
            if let Some(mut symbol) = Arc::into_inner(tensor.0) {
                open.append(&mut symbol.origin.take_inputs());
            }
        }
    }
}

impl Origin {
    fn take_inputs(&mut self) -> Vec<SymbolicTensor> {
        if let Self::Layer { inputs, .. } = self { std::mem::take(inputs) } else { Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Apply, Named};
    use crate::layers::{Add, Dense};

    #[test]
    fn a_residual_net_is_shown_in_a_line() {
        let mut x = input([4]);
        for _ in 0..60 {
            x = Add::new().apply([&x, &Dense::new(4).apply(&x)]);
        }
        assert_eq!(format!("{x:?}"), format!("SymbolicTensor({} Add [4])", x.number()));
        let wrong = Dense::new(0).named("none").apply(&x);
        assert_eq!(format!("{wrong:?}"), format!("SymbolicTensor({} Dense Wanted(\"at least 1 unit\"))", wrong.number()));
    }

    #[test]
    fn long_chains_are_dropped_without_recursion() {
        let thread = std::thread::Builder::new().stack_size(64 << 10).spawn(|| {
            let shared = Dense::new(1);
            let mut x = input([1]);
            for _ in 0..50_000 {
                x = shared.apply(&x);
            }
            x.number()
        });
        assert!(thread.unwrap().join().unwrap() >= 50_000);
    }
}
