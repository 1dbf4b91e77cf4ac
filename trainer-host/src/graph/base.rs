//! What all layers have: a name, an identity, parameters.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::Shape;
use crate::initializers::{Initializer, SharedInitializer};
use crate::regularizers::SharedRegularizer;

/// A parameter that a layer wants.
#[derive(Debug, Clone)]
pub struct ParameterSpec {
    /// Its name within the layer: `"kernel"`.
    pub name: &'static str,
    /// Its shape.
    pub shape: Shape,
    /// Its first values.
    pub initializer: SharedInitializer,
    /// What its values add to the loss; for trainable parameters.
    pub regularizer: Option<SharedRegularizer>,
    /// `false` for statistics, which no optimizer touches.
    pub trainable: bool,
}

/// What a user can say about a trainable parameter.
#[derive(Debug, Clone)]
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
        ParameterSpec { name, shape: shape.into(), initializer, regularizer, trainable: true }
    }
}

/// A parameter of a layer, with its values.
#[derive(Clone)]
pub struct ParameterValue {
    /// Its name within the layer: `"kernel"`.
    pub name: &'static str,
    /// Its shape.
    pub shape: Shape,
    /// `false` for statistics.
    pub trainable: bool,
    /// Its values, row by row.
    pub values: Vec<f32>,
}

/// Without the values, which may be many.
impl fmt::Debug for ParameterValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, shape, .. } = self;
        write!(f, "{name} {shape}")
    }
}

/// Name, identity and parameters of a layer. A clone is the same layer: it shares the parameters, which are made when
/// the layer first becomes part of a model.
#[derive(Clone, Default)]
pub struct LayerBase {
    name: Option<String>,
    parameters: Arc<RwLock<Vec<ParameterValue>>>,
}

impl LayerBase {
    /// A new layer without a name; models number such layers by kind.
    pub fn new() -> Self {
        Self::default()
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
        Arc::ptr_eq(&self.parameters, &other.parameters)
    }

    /// A number that this layer and its clones have, and no other layer that exists at the same time.
    pub(crate) fn identity(&self) -> usize {
        Arc::as_ptr(&self.parameters).addr()
    }

    /// The parameters; empty before the layer is part of a model.
    pub fn parameters(&self) -> RwLockReadGuard<'_, Vec<ParameterValue>> {
        self.parameters.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The parameters, to change their values.
    pub fn parameters_mut(&self) -> RwLockWriteGuard<'_, Vec<ParameterValue>> {
        self.parameters.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name and the parameters' names and shapes.
impl fmt::Debug for LayerBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayerBase").field("name", &self.name).field("parameters", &*self.parameters()).finish()
    }
}
