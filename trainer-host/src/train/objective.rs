//! What a model is trained for at each of its outputs.

use std::sync::Arc;

use crate::losses::Loss;
use crate::metrics::Metric;

/// The loss of an output with its weight, and what is measured there. Outputs go by name, see [`on`], or by position.
#[derive(Debug, Clone)]
pub struct Objective {
    pub(crate) output: Option<String>,
    pub(crate) loss: Arc<dyn Loss>,
    pub(crate) weight: f32,
    /// None yet: what goes with the loss.
    pub(crate) metrics: Option<Vec<Arc<dyn Metric>>>,
    pub(crate) class_weights: Option<Vec<f32>>,
}

/// The objective of the output of this name (that of its layer): `on("price", MeanSquaredError).weight(0.5)`.
pub fn on(output: &str, loss: impl IntoObjective) -> Objective {
    Objective { output: Some(output.to_owned()), ..loss.into_objective() }
}

impl Objective {
    /// An objective for an output by position.
    pub fn new(loss: impl IntoObjective) -> Self {
        loss.into_objective()
    }

    fn of(loss: Arc<dyn Loss>) -> Self {
        Self { output: None, loss, weight: 1.0, metrics: None, class_weights: None }
    }

    /// What the loss counts in the sum over all outputs; 1 if not set. Must be finite.
    pub fn weight(self, weight: f32) -> Self {
        Self { weight, ..self }
    }

    /// Measures this at the output, and what else is given so, instead of what goes with the loss.
    pub fn metric(mut self, metric: impl Metric + 'static) -> Self {
        self.metrics.get_or_insert_default().push(Arc::new(metric));
        self
    }

    /// What samples of each class count in the loss in training, class 0 first; multiplied with the samples' own weights.
    /// Evaluation is not weighted by it. For targets that are one class: its number, or one value per class of which the
    /// largest counts. Must be finite and not negative.
    pub fn class_weights(self, weights: impl Into<Vec<f32>>) -> Self {
        Self { class_weights: Some(weights.into()), ..self }
    }

    /// What is measured.
    pub(crate) fn metrics(&self) -> &[Arc<dyn Metric>] {
        self.metrics.as_deref().unwrap_or_default()
    }

    /// How many sums are kept for the output: one for the loss, then those of its metrics.
    pub(crate) fn sums(&self) -> usize {
        1 + self.metrics().iter().map(|metric| metric.sums()).sum::<usize>()
    }
}

/// The class that a target says: a number, or a part for each class that sum to 1; `None` for any other target.
pub(crate) fn class_of(target: &[f32]) -> Option<usize> {
    match *target {
        [number] => Some(number as usize).filter(|&class| class as f32 == number),
        _ => {
            let are_parts = target.iter().all(|&part| part >= 0.0) && (target.iter().sum::<f32>() - 1.0).abs() < 1e-3;
            are_parts.then(|| crate::metrics::largest(target))
        }
    }
}

/// A loss, or an objective: what `compile` takes for an output.
pub trait IntoObjective {
    /// The objective.
    fn into_objective(self) -> Objective;
}

impl<L: Loss + 'static> IntoObjective for L {
    fn into_objective(self) -> Objective {
        Objective::of(Arc::new(self))
    }
}

impl IntoObjective for Arc<dyn Loss> {
    fn into_objective(self) -> Objective {
        Objective::of(self)
    }
}

impl IntoObjective for Objective {
    fn into_objective(self) -> Objective {
        self
    }
}

/// One objective for a model with one output, or a list with one for each: an array or `Vec` of losses of one kind or of
/// objectives, or a tuple of losses of different kinds.
pub trait IntoObjectives {
    /// The objectives.
    fn into_objectives(self) -> Vec<Objective>;
}

impl<O: IntoObjective> IntoObjectives for O {
    fn into_objectives(self) -> Vec<Objective> {
        vec![self.into_objective()]
    }
}

impl<O: IntoObjective, const N: usize> IntoObjectives for [O; N] {
    fn into_objectives(self) -> Vec<Objective> {
        self.into_iter().map(O::into_objective).collect()
    }
}

impl<O: IntoObjective> IntoObjectives for Vec<O> {
    fn into_objectives(self) -> Vec<Objective> {
        self.into_iter().map(O::into_objective).collect()
    }
}

macro_rules! of_tuples {
    ($($name:ident)*) => {
        impl<$($name: IntoObjective),*> IntoObjectives for ($($name,)*) {
            #[expect(non_snake_case, reason = "values under the names of their types")]
            fn into_objectives(self) -> Vec<Objective> {
                let ($($name,)*) = self;
                vec![$($name.into_objective()),*]
            }
        }
    };
}
of_tuples!(A B);
of_tuples!(A B C);
of_tuples!(A B C D);
