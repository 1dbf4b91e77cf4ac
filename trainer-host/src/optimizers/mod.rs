//! Optimizers: one file each. They see all trainable parameters as one flat buffer, a piece at a time.

mod adam;
mod rmsprop;
mod sgd;

pub use adam::Adam;
pub use rmsprop::RmsProp;
pub use sgd::Sgd;

use std::fmt;

/// How parameters follow their gradients.
pub trait Optimizer: fmt::Debug + Send + Sync {
    /// The name, as on the command line: `"adam"`.
    fn name(&self) -> &'static str;

    /// The learning rate where no schedule sets another.
    fn learning_rate(&self) -> f32;

    /// Values of state per parameter: 2 for Adam.
    fn state_per_parameter(&self) -> usize;

    /// Changes a piece of the parameters. The state is zero before the first step.
    fn update(&self, update: &mut Update<'_>);
}

/// A piece of all trainable parameters.
#[derive(Debug)]
pub struct Update<'a> {
    /// The step, from 1.
    pub step: u64,
    /// The learning rate of this step.
    pub learning_rate: f32,
    /// The parameters.
    pub parameters: &'a mut [f32],
    /// Their gradients.
    pub gradients: &'a [f32],
    /// Their state: all first values, then all second values.
    pub state: &'a mut [f32],
}

#[cfg(test)]
pub(crate) fn two_steps(optimizer: &dyn Optimizer) -> [f32; 2] {
    // One parameter at 1, gradient 0.5 in the first step and -0.25 in the second.
    let (mut parameters, mut state) = ([1.0], vec![0.0; optimizer.state_per_parameter()]);
    let mut values = [0.0; 2];
    for (step, gradient) in [(1, 0.5), (2, -0.25)] {
        optimizer.update(&mut Update {
            step,
            learning_rate: optimizer.learning_rate(),
            parameters: &mut parameters,
            gradients: &[gradient],
            state: &mut state,
        });
        values[step as usize - 1] = parameters[0];
    }
    values
}
