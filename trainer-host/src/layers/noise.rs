//! What layers have in common that do something at random in training, in place, and nothing outside of it.

/// Methods of `Layer` for a layer with the methods `check(&self, shape)`, which says what is wrong with its options or its input's shape,
/// `disturb(&self, shape, values, samples, random)`, which changes the values of some samples in `forward`, and `disturb_gradient` of the same
/// kind for `backward`.
macro_rules! noise_methods {
    () => {
        fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
            let [shape] = inputs else { return Err("exactly one input".to_owned()) };
            self.check(shape)?;
            Ok(shape.clone())
        }

        fn length_rule(&self, _inputs: &[Shape]) -> Result<LengthRule, String> {
            Ok(LengthRule::Kept)
        }

        fn requirements(&self, _inputs: &[Shape]) -> Requirements {
            Requirements { in_place: true, ..Requirements::default() }
        }

        fn is_noise(&self) -> bool {
            true
        }

        fn forward(&self, pass: &mut Forward<'_>) {
            if pass.training {
                self.disturb(pass.output_shape, pass.output, pass.samples, pass.random);
            }
        }

        fn backward(&self, pass: &mut Backward<'_>) {
            self.disturb_gradient(pass.output_shape, pass.output_gradient, pass.samples, pass.random);
        }

        /// Nothing on the device: it only trains.
        fn lower(&self, lowering: &mut Lowering<'_>) -> Result<Value, String> {
            Ok(lowering.inputs[0])
        }
    };
}

pub(super) use noise_methods;

/// Calls `change` with each sample's values and its key.
pub(super) fn for_each_sample(
    values: &mut [f32],
    samples: usize,
    random: super::RandomKey,
    mut change: impl FnMut(&mut [f32], u64),
) {
    let size = values.len() / if samples == 0 { 1 } else { samples };
    for (sample, values) in values.chunks_exact_mut(size).enumerate() {
        change(values, random.of_sample(sample));
    }
}

/// Of 32 random bits: those below this have the probability `rate`.
pub(super) fn threshold(rate: f32) -> u32 {
    (f64::from(rate) * 2f64.powi(32)) as u32
}

/// Checks a share that is dropped.
pub(super) fn check_rate(rate: f32) -> Result<(), String> {
    if (0.0..1.0).contains(&rate) { Ok(()) } else { Err(format!("a rate from 0 to below 1, not {rate}")) }
}
