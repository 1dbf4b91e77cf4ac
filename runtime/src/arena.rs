//! The storage that a model works in, and the alignment that models need.

/// Working memory of a session: `N` bytes at a multiple of 16.
///
/// `N` comes from the model's header, by [`arena_bytes`](crate::arena_bytes), so nobody guesses it.
#[derive(Debug)]
#[repr(C, align(16))]
pub struct Arena<const N: usize>([u8; N]);

impl<const N: usize> Arena<N> {
    /// An arena for models that are not known at compile time; [`Session::new`](crate::Session::new) refuses one that is
    /// too small.
    pub const fn new() -> Self {
        Self([0; N])
    }

    /// An arena for `model`. In a `static`, one that is too small does not compile:
    ///
    /// ```
    /// # use samara_runtime::{Arena, arena_bytes, include_model};
    /// static MODEL: &[u8] = include_model!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/v1.samara"));
    /// static ARENA: Arena<{ arena_bytes(MODEL) }> = Arena::for_model(MODEL);
    /// ```
    ///
    /// ```compile_fail,E0080
    /// # use samara_runtime::{Arena, arena_bytes, include_model};
    /// # static MODEL: &[u8] = include_model!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/v1.samara"));
    /// static ARENA: Arena<{ arena_bytes(MODEL) - 16 }> = Arena::for_model(MODEL);
    /// ```
    ///
    /// # Panics
    /// If `model` has no valid header or needs more than `N` bytes.
    #[expect(clippy::panic, reason = "meant for compile time, where the panic is the error message")]
    pub const fn for_model(model: &[u8]) -> Self {
        if crate::arena_bytes(model) > N {
            panic!("the arena is smaller than the model needs");
        }
        Self::new()
    }

    /// The bytes, for [`Session::new`](crate::Session::new).
    pub const fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl<const N: usize> Default for Arena<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// Bytes at a multiple of 16: what [`include_model!`](crate::include_model) makes, since `include_bytes!` gives no alignment.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(16))]
pub struct Aligned<const N: usize>(pub [u8; N]);

/// Embeds a model file as `&'static [u8]`, aligned as [`Model::parse`](crate::Model::parse) needs it.
#[macro_export]
macro_rules! include_model {
    ($path:expr) => {{
        static MODEL: $crate::Aligned<{ include_bytes!($path).len() }> = $crate::Aligned(*include_bytes!($path));
        const BYTES: &'static [u8] = &MODEL.0;
        BYTES
    }};
}

/// Bytes at a multiple of 16 on the heap, for hosts that read models from files.
#[cfg(feature = "std")]
#[derive(Debug, Clone, Default)]
pub struct AlignedBuffer {
    words: std::vec::Vec<u128>,
    length: usize,
}

#[cfg(feature = "std")]
impl AlignedBuffer {
    /// `length` zeros.
    pub fn zeros(length: usize) -> Self {
        Self { words: std::vec![0; length.div_ceil(16)], length }
    }

    /// A copy of `bytes`.
    pub fn copy_of(bytes: &[u8]) -> Self {
        let mut buffer = Self::zeros(bytes.len());
        buffer.as_mut_slice().copy_from_slice(bytes);
        buffer
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        bytemuck::cast_slice(&self.words).get(..self.length).unwrap_or_default()
    }

    /// The bytes.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(&mut self.words).get_mut(..self.length).unwrap_or_default()
    }
}
