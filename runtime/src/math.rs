//! The functions of real numbers that f32 kernels call: the one place that chooses between exact and approximate ones.

/// exp and its kin.
pub(crate) trait Functions {
    /// `exp(x)`.
    fn exp(x: f32) -> f32;
    /// `exp(x) - 1`.
    fn exp_minus_one(x: f32) -> f32;
    /// `ln(1 + x)`, x from 0 to 1.
    fn ln_one_plus(x: f32) -> f32;
    /// Hyperbolic tangent.
    fn tanh(x: f32) -> f32;
    /// `2 / sqrt(pi)` times the integral of `exp(-t^2)` from 0 to x.
    fn erf(x: f32) -> f32;
}

/// libm's functions: within two units of the last place, and the same bits on every core.
#[derive(Debug)]
pub(crate) struct Exact;

/// What learning needs beside, always exact.
#[cfg(feature = "train")]
impl Exact {
    /// Natural logarithm.
    pub fn ln(x: f32) -> f32 {
        libm::logf(x)
    }

    /// Square root.
    pub fn square_root(x: f32) -> f32 {
        libm::sqrtf(x)
    }
}

impl Functions for Exact {
    fn exp(x: f32) -> f32 {
        libm::expf(x)
    }

    fn exp_minus_one(x: f32) -> f32 {
        libm::expm1f(x)
    }

    fn ln_one_plus(x: f32) -> f32 {
        libm::log1pf(x)
    }

    fn tanh(x: f32) -> f32 {
        libm::tanhf(x)
    }

    fn erf(x: f32) -> f32 {
        libm::erff(x)
    }
}

/// micromath's `exp`, and functions made of it: the same bits on every core too, since all are plain operations.
#[cfg(any(test, feature = "micromath"))]
#[derive(Debug)]
pub(crate) struct Approximate;

#[cfg(any(test, feature = "micromath"))]
impl Functions for Approximate {
    fn exp(x: f32) -> f32 {
        // Beyond, the exponent of micromath's result would leave its eight bits, and a NaN would become a number. Compared as
        // integers, which is cheaper where there is no FPU.
        const LIMIT: u32 = 87.3f32.to_bits();
        if x.abs().to_bits() < LIMIT {
            micromath::F32(x).exp().0
        } else if x.is_nan() {
            x
        } else if x.is_sign_negative() {
            0.0
        } else {
            f32::INFINITY
        }
    }

    fn exp_minus_one(x: f32) -> f32 {
        Self::exp(x) - 1.0
    }

    /// Within 1e-5, and 0 at 0, which micromath's `ln` is not near 1 (Abramowitz and Stegun 1964, 4.1.43).
    fn ln_one_plus(x: f32) -> f32 {
        x * (0.999_495_56 + x * (-0.491_908_96 + x * (0.289_474_8 + x * (-0.136_062_75 + x * 0.032_158_45))))
    }

    fn tanh(x: f32) -> f32 {
        let falling = Self::exp(-2.0 * x.abs());
        ((1.0 - falling) / (1.0 + falling)).copysign(x)
    }

    /// `tanh(2 / sqrt(pi) * (x + 0.08943 x^3))`, as in GELU's approximation (Hendrycks and Gimpel 2016): within 4e-4 but for
    /// `tanh`.
    fn erf(x: f32) -> f32 {
        Self::tanh(x * (core::f32::consts::FRAC_2_SQRT_PI + 0.100_910_9 * x * x))
    }
}

/// The functions that kernels call.
#[cfg(not(feature = "micromath"))]
pub(crate) type OfKernels = Exact;
/// The functions that kernels call.
#[cfg(feature = "micromath")]
pub(crate) type OfKernels = Approximate;
