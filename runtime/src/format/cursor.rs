//! Reads postcard's wire format without serde: a decoder for nine ops costs 7.6 KB of flash, this a few hundred bytes.

/// A reader over bytes. Reads never fail: past the end they give zero and mark the cursor, which a check looks at once.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    broken: bool,
}

impl<'a> Cursor<'a> {
    /// At the start of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, broken: false }
    }

    /// One byte.
    #[inline(never)] // Called by most decoders; varints have a copy of their own, since most of parsing is there.
    pub fn u8(&mut self) -> u8 {
        self.next()
    }

    #[inline(always)]
    fn next(&mut self) -> u8 {
        match self.bytes.split_first() {
            Some((&first, rest)) => {
                self.bytes = rest;
                first
            }
            None => {
                self.broken = true;
                0
            }
        }
    }

    /// One signed byte (postcard writes `i8` as it is).
    pub fn i8(&mut self) -> i8 {
        self.u8() as i8
    }

    /// A varint of at most 16 bits.
    #[inline]
    pub fn u16(&mut self) -> u16 {
        let value = self.u32();
        self.broken |= value > u32::from(u16::MAX);
        value as u16
    }

    /// A varint of at most 32 bits: seven bits a byte, least significant first.
    #[inline(never)]
    pub fn u32(&mut self) -> u32 {
        // Most are small, and most of parsing is here.
        if let [first @ ..128, rest @ ..] = self.bytes {
            self.bytes = rest;
            return u32::from(*first);
        }
        let mut value = 0;
        let mut shift = 0;
        while shift < 32 {
            let byte = self.next();
            let bits = u32::from(byte & 127);
            // The fifth byte has room for four bits only.
            self.broken |= shift == 28 && bits > 15;
            value |= bits << shift;
            if byte < 128 {
                return value;
            }
            shift += 7;
        }
        self.broken = true;
        value
    }

    /// A varint as `usize`.
    #[inline]
    pub fn usize(&mut self) -> usize {
        self.u32() as usize
    }

    /// A zigzag varint.
    pub fn i32(&mut self) -> i32 {
        let value = self.u32();
        (value >> 1) as i32 ^ -((value & 1) as i32)
    }

    /// A zigzag varint of at most 16 bits.
    pub fn i16(&mut self) -> i16 {
        let value = self.u16();
        (value >> 1) as i16 ^ -((value & 1) as i16)
    }

    /// Four bytes.
    pub fn f32(&mut self) -> f32 {
        f32::from_le_bytes([self.u8(), self.u8(), self.u8(), self.u8()])
    }

    /// A length and that many bytes.
    #[inline(never)]
    pub fn bytes(&mut self) -> &'a [u8] {
        let length = self.usize();
        match self.bytes.split_at_checked(length) {
            Some((taken, rest)) => {
                self.bytes = rest;
                taken
            }
            None => {
                self.broken = true;
                &[]
            }
        }
    }

    /// The bytes that are left.
    pub const fn remaining(&self) -> &'a [u8] {
        self.bytes
    }

    /// `true` if no read went past the end and no varint was too large.
    pub const fn is_sound(&self) -> bool {
        !self.broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_postcard_writes() {
        // 300 = 0xac 0x02; zigzag(-3) = 5; f32 1.5; bytes [7, 8].
        assert_eq!(Cursor::new(&[0xff, 0xff, 0x03]).i16(), i16::MIN);
        assert_eq!(Cursor::new(&[0xfe, 0xff, 0x03]).i16(), i16::MAX);
        let mut cursor = Cursor::new(&[0xac, 0x02, 0x05, 0, 0, 0xc0, 0x3f, 2, 7, 8, 0xff]);
        assert_eq!(cursor.u32(), 300);
        assert_eq!(cursor.i32(), -3);
        assert_eq!(cursor.f32(), 1.5);
        assert_eq!(cursor.bytes(), [7, 8]);
        assert_eq!(cursor.i8(), -1);
        assert!(cursor.is_sound());
        assert_eq!(cursor.u8(), 0);
        assert!(!cursor.is_sound());
    }

    #[test]
    fn marks_varints_that_do_not_fit() {
        let mut fits = Cursor::new(&[0xff, 0xff, 0xff, 0xff, 0x0f]);
        assert_eq!(fits.u32(), u32::MAX);
        assert!(fits.is_sound());
        let mut too_large = Cursor::new(&[0xff, 0xff, 0xff, 0xff, 0x1f]);
        too_large.u32();
        assert!(!too_large.is_sound());
        let mut endless = Cursor::new(&[0x80; 9]);
        endless.u32();
        assert!(!endless.is_sound());
        let mut long = Cursor::new(&[200, 1, 0]);
        assert_eq!(long.bytes(), []);
        assert!(!long.is_sound());
    }
}
