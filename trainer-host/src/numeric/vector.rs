//! Loops compiled for the vector instructions that the machine turns out to have.

use pulp::Arch;
use std::sync::OnceLock;

/// Runs `work` compiled for the widest vector instructions of this machine (AVX-512, AVX2, NEON), chosen at run time.
/// What it calls must be `#[inline(always)]`, or stays compiled for the oldest machine. Results may differ in the last
/// bit from one instruction set to another, not from one run to another.
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

/// As [`vectorized`], for work that is written in vectors.
#[inline(always)]
pub fn dispatch<W: pulp::WithSimd>(work: W) -> W::Output {
    static ARCH: OnceLock<Arch> = OnceLock::new();
    ARCH.get_or_init(Arch::new).dispatch(work)
}
