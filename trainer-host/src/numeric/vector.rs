//! Loops compiled for the vector instructions that the machine turns out to have.

use pulp::Arch;
use std::sync::OnceLock;

/// Runs a block compiled for the widest vector instructions of this machine (AVX-512, AVX2, NEON), chosen at run time. The
/// block is the body of a closure that is inlined; functions and closures that it calls must be `#[inline(always)]`, or stay
/// compiled for the oldest machine. Results may differ in the last bit from one instruction set to another, not from one
/// run to another.
///
/// ```
/// use samara_trainer::numeric::vectorized;
///
/// let (mut values, factors) = (vec![1.0f32; 1000], vec![2.0f32; 1000]);
/// vectorized!({
///     for (value, factor) in values.iter_mut().zip(&factors) {
///         *value *= factor;
///     }
/// });
/// assert!(values.iter().all(|&value| value == 2.0));
/// ```
#[macro_export]
macro_rules! vectorized {
    ($body:block) => {
        $crate::numeric::vectorized(
            #[inline(always)]
            || $body,
        )
    };
}

/// What [`vectorized!`](crate::vectorized) expands to, so that no closure lacks its attribute.
#[inline(always)]
pub fn vectorized<R>(work: impl FnOnce() -> R) -> R {
    struct Work<F>(F);
    impl<R, F: FnOnce() -> R> pulp::WithSimd for Work<F> {
        type Output = R;

        #[inline(always)]
        fn with_simd<S: pulp::Simd>(self, simd: S) -> R {
            simd.vectorize(self.0)
        }
    }
    dispatch(Work(work))
}

/// As [`vectorized!`](crate::vectorized), for work that is written in vectors.
#[inline(always)]
pub fn dispatch<W: pulp::WithSimd>(work: W) -> W::Output {
    static ARCH: OnceLock<Arch> = OnceLock::new();
    ARCH.get_or_init(Arch::new).dispatch(work)
}
