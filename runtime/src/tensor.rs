//! What the model file says of a tensor.

/// Type of a tensor's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum ElementType {
    /// 32-bit IEEE 754, little-endian.
    F32 = 0,
    /// Quantized: `real = scale * (q - zero_point)`.
    I8 = 1,
    /// 32-bit integers, little-endian: tokens.
    I32 = 2,
    /// Quantized, little-endian, symmetric: `real = scale * q`.
    I16 = 3,
}

impl ElementType {
    /// The type of that number in a file; `F32` stands for unknown ones, which the check refuses.
    pub(crate) const fn of_code(code: u8) -> Self {
        match code {
            1 => Self::I8,
            2 => Self::I32,
            3 => Self::I16,
            _ => Self::F32,
        }
    }

    /// `"f32"`, `"int8"`, `"i32"` or `"int16"`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::I8 => "int8",
            Self::I32 => "i32",
            Self::I16 => "int16",
        }
    }

    /// Size of one element.
    pub const fn bytes(self) -> usize {
        match self {
            Self::F32 | Self::I32 => 4,
            Self::I8 => 1,
            Self::I16 => 2,
        }
    }
}

/// A tensor: shape (without the batch), type, quantization, and its place in the arena.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Tensor {
    /// Type of the elements.
    pub element_type: ElementType,
    /// Number of dimensions, 1 to 4.
    pub rank: u8,
    /// Zero point of an `I8` tensor; 0 for others.
    pub zero_point: i8,
    /// Dimensions, outermost first; 1 beyond `rank`.
    pub dimensions: [u32; 4],
    /// Scale of an `I8` or `I16` tensor, finite and positive; 1 for others.
    pub scale: f32,
    /// First byte in the arena.
    pub offset: u32,
    /// Number of the length group that the first dimension belongs to, from 1 on; 0 for none.
    pub length_group: u8,
}

/// A group of tensors whose first dimension is one length, which may be set from run to run:
/// [`Session::set_length`](crate::Session::set_length).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LengthGroup {
    /// 0 if the length is set; else the number of the group whose length `n` makes this one `(n + add) / stride`.
    pub source: u16,
    /// 1 to 4096; 1 if the length is set.
    pub stride: u16,
    /// 0 if the length is set.
    pub add: i32,
    /// The largest length: the first dimension in the file.
    pub maximum: u32,
}

impl LengthGroup {
    /// A group whose length is set.
    pub const fn own(maximum: u32) -> Self {
        Self { source: 0, stride: 1, add: 0, maximum }
    }

    /// The length of a group with a source of `length`. `None` if it were less than 1.
    pub fn derived(&self, length: u32) -> Option<u32> {
        let sum = u32::try_from(i64::from(length) + i64::from(self.add)).ok()?;
        // Most strides are 1, and M0 has no division.
        let quotient = if self.stride == 1 { sum } else { sum / core::num::NonZeroU32::new(self.stride.into())? };
        (quotient > 0).then_some(quotient)
    }
}

impl Tensor {
    /// Number of elements. At most 2^28 for a tensor that passed the check.
    pub fn elements(&self) -> usize {
        let [a, b, c, d] = self.dimensions;
        a.wrapping_mul(b).wrapping_mul(c).wrapping_mul(d) as usize
    }

    /// Number of bytes in the arena.
    pub fn bytes(&self) -> usize {
        self.elements() * self.element_type.bytes()
    }

    /// The bytes' place in the arena.
    #[inline(never)]
    pub fn range(&self) -> core::ops::Range<usize> {
        let start = self.offset as usize;
        start..start + self.bytes()
    }

    /// The dimensions that the rank counts.
    pub fn shape(&self) -> &[u32] {
        self.dimensions.get(..self.rank as usize).unwrap_or_default()
    }

    /// Size of the last dimension: the channels.
    #[inline(never)]
    pub fn channels(&self) -> usize {
        self.shape().last().copied().unwrap_or(1) as usize
    }

    /// Product of the dimensions before the last.
    #[inline(never)] // Called by most checks and ops.
    pub fn pixels(&self) -> usize {
        let before = self.dimensions.iter().take(usize::from(self.rank).saturating_sub(1));
        before.fold(1usize, |product, &size| product.wrapping_mul(size as usize))
    }

    /// `(height, width, channels)` of a tensor of rank 3.
    pub fn height_width_channels(&self) -> Option<(usize, usize, usize)> {
        let [height, width, channels, _] = self.dimensions;
        (self.rank == 3).then_some((height as usize, width as usize, channels as usize))
    }

    /// `true` if both have the same shape and element type.
    #[inline(never)]
    pub fn same_form(&self, other: &Self) -> bool {
        // Not by ==, for which a function that compares bytes would be linked.
        let mut sizes = self.dimensions.iter().zip(&other.dimensions);
        self.rank == other.rank && self.element_type == other.element_type && sizes.all(|(a, b)| a == b)
    }

    /// `true` if both have the same scale and zero point.
    pub fn same_quantization(&self, other: &Self) -> bool {
        self.scale.to_bits() == other.scale.to_bits() && self.zero_point == other.zero_point
    }
}
