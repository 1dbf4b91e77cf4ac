//! Max and average pools.

use crate::device::{Constants, DeviceOp, Encoded, ExportError, Quantization, Site, Tie};
use samara_runtime::OpDef;
use samara_runtime::ops::{pool, window::Window};

/// Which pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolKind {
    /// The largest element.
    Maximum,
    /// The mean of the elements that are not padding.
    Average,
}

/// A pool over windows of an image.
#[derive(Debug, Clone, Copy)]
pub struct Pool {
    /// Which.
    pub kind: PoolKind,
    /// Its window.
    pub window: Window,
}

/// The runtime's limit: more pixels could overflow the sum of an int8 average.
const LARGEST_WINDOW: usize = 1 << 16;

impl Pool {
    fn encode(&self, op: &'static OpDef, site: &Site<'_>) -> Result<Encoded, ExportError> {
        let taps = self.window.taps();
        if taps > LARGEST_WINDOW {
            return Err(
                site.error(format!("on the device, a pool's window has at most {LARGEST_WINDOW} pixels, this one has {taps}"))
            );
        }
        Ok(Encoded::new(op, &self.window))
    }
}

impl DeviceOp for Pool {
    fn tie(&self) -> Tie {
        Tie::Shared
    }

    /// Padding does not count, so an average is linear; a maximum keeps its place under factors that are not negative.
    fn lets_pass(&self, scale: &[f32]) -> bool {
        self.kind == PoolKind::Average || scale.iter().all(|&scale| scale >= 0.0)
    }

    fn encode_f32(&self, site: &Site<'_>, _: &mut Constants) -> Result<Encoded, ExportError> {
        let op = match self.kind {
            PoolKind::Maximum => &pool::MAX_POOL_F32,
            PoolKind::Average => &pool::AVERAGE_POOL_F32,
        };
        self.encode(op, site)
    }

    fn encode_i8(
        &self,
        site: &Site<'_>,
        _: &[Quantization],
        _: Quantization,
        _: &mut Constants,
    ) -> Result<Encoded, ExportError> {
        let op = match self.kind {
            PoolKind::Maximum => &pool::MAX_POOL_I8,
            PoolKind::Average => &pool::AVERAGE_POOL_I8,
        };
        self.encode(op, site)
    }
}
