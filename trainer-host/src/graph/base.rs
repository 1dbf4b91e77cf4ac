//! What all layers have: a name, an identity, parameters.

use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde::ser::Error;
use serde::{Deserialize, Serialize, Serializer};

use super::{Shape, SharedRounding, SharedTransform};
use crate::constraints::SharedConstraint;
use crate::initializers::{Initializer, SavedInitializer, SharedInitializer};
use crate::regularizers::{SavedRegularizer, SharedRegularizer};

/// What a parameter is. Whether it is trained now is another question: [`LayerBase::is_trainable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterKind {
    /// What the loss depends on and an optimizer can change.
    Weight,
    /// What a layer measures in training, such as moving averages: no optimizer touches it.
    Statistic,
}

/// A parameter that a layer has.
#[derive(Debug, Clone)]
pub struct ParameterSpec {
    /// Its name within the layer: `"kernel"`.
    pub name: &'static str,
    /// Its shape.
    pub shape: Shape,
    /// Its first values.
    pub initializer: SharedInitializer,
    /// What its values add to the loss while they are trained; for weights.
    pub regularizer: Option<SharedRegularizer>,
    /// What it is.
    pub kind: ParameterKind,
}

impl ParameterSpec {
    /// A weight, without regularizer.
    pub fn weight(name: &'static str, shape: impl Into<Shape>, initializer: impl Initializer + 'static) -> Self {
        Trainable::new(initializer).spec(name, shape)
    }

    /// A statistic.
    pub fn statistic(name: &'static str, shape: impl Into<Shape>, initializer: impl Initializer + 'static) -> Self {
        Self { kind: ParameterKind::Statistic, ..Self::weight(name, shape, initializer) }
    }
}

/// What a user can say about a weight.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "SavedTrainable")]
pub(crate) struct Trainable {
    pub initializer: SharedInitializer,
    pub regularizer: Option<SharedRegularizer>,
}

impl Trainable {
    /// Drawn by this initializer, without regularizer.
    pub fn new(initializer: impl Initializer + 'static) -> Self {
        Self { initializer: Arc::new(initializer), regularizer: None }
    }

    /// The parameter under this name.
    pub fn spec(&self, name: &'static str, shape: impl Into<Shape>) -> ParameterSpec {
        let Self { initializer, regularizer } = self.clone();
        ParameterSpec { name, shape: shape.into(), initializer, regularizer, kind: ParameterKind::Weight }
    }
}

/// A [`Trainable`] as it is saved.
#[derive(Serialize, Deserialize)]
struct SavedTrainable {
    initializer: SavedInitializer,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    regularizer: Option<SavedRegularizer>,
}

impl Serialize for Trainable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let initializer = SavedInitializer::of(&*self.initializer).map_err(S::Error::custom)?;
        let regularizer = self.regularizer.as_ref().map(|regularizer| SavedRegularizer::of(&**regularizer));
        SavedTrainable { initializer, regularizer: regularizer.transpose().map_err(S::Error::custom)? }.serialize(serializer)
    }
}

impl From<SavedTrainable> for Trainable {
    fn from(SavedTrainable { initializer, regularizer }: SavedTrainable) -> Self {
        Self { initializer: initializer.shared(), regularizer: regularizer.map(SavedRegularizer::shared) }
    }
}

/// A parameter of a layer, with its values.
#[derive(Clone)]
pub struct ParameterValue {
    /// Its name within the layer: `"kernel"`.
    pub name: &'static str,
    /// Its shape.
    pub shape: Shape,
    /// What it is.
    pub kind: ParameterKind,
    /// Its values, row by row.
    pub values: Vec<f32>,
    /// What makes the effective values from these.
    pub transform: Option<SharedTransform>,
    /// What these are kept within.
    pub constraint: Option<SharedConstraint>,
}

impl ParameterValue {
    /// The values that layers compute with.
    pub fn effective(&self) -> Cow<'_, [f32]> {
        let Some(transform) = &self.transform else { return Cow::Borrowed(&self.values) };
        let mut effective = self.values.clone();
        transform.apply(&self.shape, &self.values, &mut effective);
        Cow::Owned(effective)
    }
}

/// Without the values, which may be many.
impl fmt::Debug for ParameterValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, shape, .. } = self;
        write!(f, "{name} {shape}")
    }
}

/// Name, identity and parameters of a layer. A clone is the same layer: it shares the parameters, which are made when
/// the layer first becomes part of a model. Serde writes the name, whether the layer learns and how fast; what is read is
/// a layer of its own, without parameters.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(into = "SavedBase", try_from = "SavedBase")]
pub struct LayerBase {
    name: Option<String>,
    shared: Arc<Shared>,
}

/// A [`LayerBase`] as it is saved.
#[derive(Serialize, Deserialize)]
struct SavedBase {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    trainable: bool,
    learning_rate_factor: f32,
}

impl From<LayerBase> for SavedBase {
    fn from(base: LayerBase) -> Self {
        let (trainable, learning_rate_factor) = (base.is_trainable(), base.learning_rate_factor());
        Self { name: base.name, trainable, learning_rate_factor }
    }
}

impl TryFrom<SavedBase> for LayerBase {
    type Error = String;

    fn try_from(SavedBase { name, trainable, learning_rate_factor }: SavedBase) -> Result<Self, String> {
        if !(0.0..=f32::MAX).contains(&learning_rate_factor) {
            return Err(format!("the learning-rate factor is {learning_rate_factor}, but must be 0 or a positive number"));
        }
        let base = Self { name, ..Self::default() };
        base.set_trainable(trainable);
        base.set_learning_rate_factor(learning_rate_factor);
        Ok(base)
    }
}

/// What all clones of a layer have in common.
struct Shared {
    parameters: RwLock<Vec<ParameterValue>>,
    /// What the layer carries from batch to batch, row by row; nothing at first.
    carried: RwLock<Vec<f32>>,
    trainable: AtomicBool,
    /// The bits of an f32.
    learning_rate_factor: AtomicU32,
    inner_rounding: SharedRounding,
}

impl Default for Shared {
    fn default() -> Self {
        let learning_rate_factor = AtomicU32::new(1f32.to_bits());
        Self {
            parameters: RwLock::default(),
            carried: RwLock::default(),
            trainable: AtomicBool::new(true),
            learning_rate_factor,
            inner_rounding: SharedRounding::default(),
        }
    }
}

impl LayerBase {
    /// A new layer without a name; models number such layers by kind.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another base of the same name with copies of the parameters, and of what goes on from batch to batch.
    pub fn duplicate(&self) -> Self {
        let shared = Shared {
            parameters: RwLock::new(self.parameters().clone()),
            carried: RwLock::new(self.carried()),
            trainable: AtomicBool::new(self.is_trainable()),
            learning_rate_factor: AtomicU32::new(self.learning_rate_factor().to_bits()),
            inner_rounding: SharedRounding::default(),
        };
        shared.inner_rounding.set(self.inner_rounding().quantization());
        Self { name: self.name.clone(), shared: Arc::new(shared) }
    }

    /// The base of another layer: of no name and without parameters, it learns as this one does.
    pub(crate) fn anew(&self) -> Self {
        let base = Self::new();
        base.set_trainable(self.is_trainable());
        base.set_learning_rate_factor(self.learning_rate_factor());
        base
    }

    /// The name given by the user.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Sets the name.
    pub fn set_name(&mut self, name: &str) {
        self.name = Some(name.to_owned());
    }

    /// `true` if both are the same layer.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// A number that this layer and its clones have, and no other layer that exists at the same time.
    pub(crate) fn identity(&self) -> usize {
        Arc::as_ptr(&self.shared).addr()
    }

    /// `true` while training changes the layer's parameters, as it does at first.
    pub fn is_trainable(&self) -> bool {
        self.shared.trainable.load(Ordering::Relaxed)
    }

    /// Freezes the layer, or lets it learn again; for all its clones and all models it is part of. See
    /// [`Layer::set_trainable`](super::Layer::set_trainable).
    pub fn set_trainable(&self, trainable: bool) {
        self.shared.trainable.store(trainable, Ordering::Relaxed);
    }

    /// What the learning rate is multiplied with for the layer's weights; 1 at first.
    pub fn learning_rate_factor(&self) -> f32 {
        f32::from_bits(self.shared.learning_rate_factor.load(Ordering::Relaxed))
    }

    pub(crate) fn set_learning_rate_factor(&self, factor: f32) {
        self.shared.learning_rate_factor.store(factor.to_bits(), Ordering::Relaxed);
    }

    /// What the layer rounds values to that it keeps to itself: between two convolutions, or a state that goes into the next step.
    pub(crate) fn inner_rounding(&self) -> &SharedRounding {
        &self.shared.inner_rounding
    }

    /// What a layer that goes on from batch to batch carries for each row of a batch; empty before its first.
    pub(crate) fn carried(&self) -> Vec<f32> {
        self.shared.carried.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_carried(&self, values: &[f32]) {
        let mut carried = self.shared.carried.write().unwrap_or_else(PoisonError::into_inner);
        carried.clear();
        carried.extend_from_slice(values);
    }

    /// Makes a layer that goes on from batch to batch begin anew, for batches of any size; for all its clones.
    pub fn reset_states(&self) {
        self.set_carried(&[]);
    }

    /// The parameters; empty before the layer is part of a model.
    pub fn parameters(&self) -> RwLockReadGuard<'_, Vec<ParameterValue>> {
        self.shared.parameters.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The parameters, to change their values.
    pub fn parameters_mut(&self) -> RwLockWriteGuard<'_, Vec<ParameterValue>> {
        self.shared.parameters.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name and the parameters' names and shapes.
impl fmt::Debug for LayerBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayerBase").field("name", &self.name).field("parameters", &*self.parameters()).finish()
    }
}
