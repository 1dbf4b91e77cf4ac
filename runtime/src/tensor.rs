//! What the model file says of a tensor.

/// Type of a tensor's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ElementType {
    /// 32-bit IEEE 754, little-endian.
    F32 = 0,
    /// Quantized: `real = scale * (q - zero_point)`.
    I8 = 1,
}

impl ElementType {
    /// Size of one element.
    pub const fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::I8 => 1,
        }
    }
}

/// A tensor: shape (without the batch), type, quantization, and its place in the arena.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tensor {
    /// Type of the elements.
    pub element_type: ElementType,
    /// Number of dimensions, 1 to 4.
    pub rank: u8,
    /// Zero point of an `I8` tensor; 0 for `F32`.
    pub zero_point: i8,
    /// Dimensions, outermost first; 1 beyond `rank`.
    pub dimensions: [u32; 4],
    /// Scale of an `I8` tensor, finite and positive; 1 for `F32`.
    pub scale: f32,
    /// First byte in the arena.
    pub offset: u32,
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
    pub fn range(&self) -> core::ops::Range<usize> {
        let start = self.offset as usize;
        start..start + self.bytes()
    }

    /// The dimensions that the rank counts.
    pub fn shape(&self) -> &[u32] {
        self.dimensions.get(..self.rank as usize).unwrap_or_default()
    }

    /// Size of the last dimension: the channels.
    pub fn channels(&self) -> usize {
        self.shape().last().copied().unwrap_or(1) as usize
    }

    /// Product of the dimensions before the last.
    pub fn pixels(&self) -> usize {
        let before = self.shape().split_last().map_or(&[][..], |(_, before)| before);
        before.iter().fold(1usize, |product, &size| product.wrapping_mul(size as usize))
    }

    /// `(height, width, channels)` of a tensor of rank 3.
    pub fn height_width_channels(&self) -> Option<(usize, usize, usize)> {
        let [height, width, channels, _] = self.dimensions;
        (self.rank == 3).then_some((height as usize, width as usize, channels as usize))
    }

    /// `true` if both have the same shape and element type.
    pub fn same_form(&self, other: &Self) -> bool {
        self.rank == other.rank && self.dimensions == other.dimensions && self.element_type == other.element_type
    }

    /// `true` if both have the same scale and zero point.
    pub fn same_quantization(&self, other: &Self) -> bool {
        self.scale.to_bits() == other.scale.to_bits() && self.zero_point == other.zero_point
    }
}
