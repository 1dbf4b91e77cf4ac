//! What of a model learns, and how fast.

use std::sync::Arc;

use super::Model;
use crate::constraints::Constraint;
use crate::error::{Error, Result};
use crate::graph::{Layer, ParameterKind, SharedTransform, Transform};
use crate::optimizers::check_option;

impl Model {
    /// Number of values that training changes now: those of all weights that are not frozen.
    pub fn trainable_size(&self) -> usize {
        self.parameters().iter().filter(|parameter| parameter.learns()).map(|parameter| parameter.shape.size()).sum()
    }

    /// Freezes a layer, or all whose names begin with a prefix and a slash (`"base"`: `base/conv2d` and all others of it),
    /// or with the name `""` all of the model, or lets them learn again; from the next step on where a training is under way. See
    /// [`Layer::set_trainable`].
    ///
    /// # Errors
    /// If there is no such layer.
    pub fn set_trainable(&self, name: &str, trainable: bool) -> Result<()> {
        self.layers_under(name)?.iter().for_each(|layer| layer.set_trainable(trainable));
        Ok(())
    }

    /// Multiplies the learning rate with a factor in a layer, or in all whose names begin with a prefix and a slash, or with the
    /// name `""` in all, from the next step on; 1 is what all begin with. It counts for all models that the layers are part of.
    ///
    /// # Errors
    /// If there is no such layer, or the factor is negative or not finite.
    pub fn set_learning_rate_factor(&self, name: &str, factor: f32) -> Result<()> {
        check_option("the learning-rate factor", factor, 0.0..=f32::MAX, "0 or a positive number")?;
        self.layers_under(name)?.iter().for_each(|layer| layer.base().set_learning_rate_factor(factor));
        Ok(())
    }

    /// Sets what makes the effective values of a weight from the stored ones, for all models that its layer is part of: those
    /// that predict, measure and are exported from now on, and trainings that begin. See [`Transform`].
    ///
    /// # Errors
    /// If there is no such parameter, or it is a statistic.
    pub fn set_transform(&self, name: &str, transform: impl Transform + 'static) -> Result<()> {
        self.change_transform(name, Some(Arc::new(transform)))
    }

    /// Takes a weight's transform away: the stored values are the effective ones.
    ///
    /// # Errors
    /// If there is no such parameter, or it is a statistic.
    pub fn remove_transform(&self, name: &str) -> Result<()> {
        self.change_transform(name, None)
    }

    fn change_transform(&self, name: &str, transform: Option<SharedTransform>) -> Result<()> {
        let entry = self.entry(name)?;
        if entry.kind == ParameterKind::Statistic {
            let (found, expected) = (format!("for the statistic {name}"), "for a weight".to_owned());
            return Err(Error::Argument { name: "the transform", found, expected });
        }
        entry.layer.base().parameters_mut()[entry.index].transform = transform;
        Ok(())
    }

    /// Keeps a weight within something, from the next training on, for all models that its layer is part of, as Keras's
    /// `kernel_constraint`; a saved model has it, if it is one of the library's. See [`constraints`](crate::constraints).
    ///
    /// # Errors
    /// If there is no such parameter, or it is a statistic.
    pub fn set_constraint(&self, name: &str, constraint: impl Constraint + 'static) -> Result<()> {
        let entry = self.entry(name)?;
        if entry.kind == ParameterKind::Statistic {
            let (found, expected) = (format!("for the statistic {name}"), "for a weight".to_owned());
            return Err(Error::Argument { name: "the constraint", found, expected });
        }
        entry.layer.base().parameters_mut()[entry.index].constraint = Some(Arc::new(constraint));
        Ok(())
    }

    /// The layers of this name or under this prefix; all for an empty one.
    fn layers_under(&self, name: &str) -> Result<Vec<&Arc<dyn Layer>>> {
        let path = name.strip_suffix('/').unwrap_or(name);
        let is_in = |rest: &str| path.is_empty() || rest.is_empty() || rest.starts_with('/');
        let is_under = |other: &str| other.strip_prefix(path).is_some_and(is_in);
        let layers = self.graph().nodes.iter().filter_map(|node| Some((&node.name, node.layer.as_ref()?)));
        let found: Vec<_> = layers.clone().filter(|(other, _)| is_under(other)).map(|(_, layer)| layer).collect();
        if found.is_empty() {
            let names: Vec<&str> = layers.map(|(name, _)| name.as_str()).collect();
            return Err(self.not_found("layer", name, &names));
        }
        Ok(found)
    }
}
