//! A callback made of a closure for each hook.

use super::Callback;
use crate::error::Result;
use crate::train::Training;

type Closure<'a> = Box<dyn FnMut(&mut Training<'_>) -> Result<()> + Send + 'a>;

/// Calls closures, as Keras's `LambdaCallback`; for one alone see [`each_epoch`](super::each_epoch) and
/// [`each_batch`](super::each_batch).
///
/// ```
/// use samara_trainer::prelude::*;
///
/// let mut steps = 0;
/// let tell = callbacks::Lambda::new()
///     .train_begin(|training| Ok(println!("{} steps to an epoch", training.steps())))
///     .batch_end(|_| Ok(steps += 1));
/// let fit = Fit { callbacks: vec![Box::new(tell)], ..Fit::default() };
/// ```
#[derive(Default)]
pub struct Lambda<'a> {
    train_begin: Option<Closure<'a>>,
    epoch_begin: Option<Closure<'a>>,
    batch_begin: Option<Closure<'a>>,
    batch_end: Option<Closure<'a>>,
    test_begin: Option<Closure<'a>>,
    test_end: Option<Closure<'a>>,
    epoch_end: Option<Closure<'a>>,
    train_end: Option<Closure<'a>>,
}

/// For each hook the builder's method, and the call.
macro_rules! hooks {
    ($($hook:ident: $when:literal),* $(,)?) => {
        impl<'a> Lambda<'a> {
            $(
                #[doc = concat!("Calls this ", $when, ".")]
                pub fn $hook(self, closure: impl FnMut(&mut Training<'_>) -> Result<()> + Send + 'a) -> Self {
                    Self { $hook: Some(Box::new(closure)), ..self }
                }
            )*
        }

        impl Callback for Lambda<'_> {
            $(
                fn $hook(&mut self, training: &mut Training<'_>) -> Result<()> {
                    self.$hook.as_mut().map_or(Ok(()), |closure| closure(training))
                }
            )*
        }
    };
}

impl Lambda<'_> {
    /// Calls nothing yet.
    pub fn new() -> Self {
        Self::default()
    }
}

hooks! {
    train_begin: "before the first step",
    epoch_begin: "before the first step of an epoch",
    batch_begin: "before every step",
    batch_end: "after every step",
    test_begin: "before the validation at the end of an epoch",
    test_end: "after the validation at the end of an epoch",
    epoch_end: "after every epoch",
    train_end: "after the last epoch",
}
