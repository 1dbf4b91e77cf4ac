//! Max and average pools.

use super::{DeviceOpKind, OpExample, registry::encoding, window, window_3x3, window_rows};
use crate::device::{Constants, DeviceOp, Encoded, ExportError, NodeContext, OutputQuantization, Quantization, Rows};
use crate::graph::LengthRule;
use samara_runtime::OpDef;
use samara_runtime::ops::{
    pool::{AVERAGE_POOL_F32, AVERAGE_POOL_I8, MAX_POOL_F32, MAX_POOL_I8},
    wide::pool::{AVERAGE_POOL_I16, MAX_POOL_I16},
    window::Window,
};

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
    fn encode(&self, op: &'static OpDef, context: &NodeContext<'_>) -> Result<Encoded, ExportError> {
        let taps = self.window.taps();
        if taps > LARGEST_WINDOW {
            return Err(context
                .error(format!("on the device, a pool's window has at most {LARGEST_WINDOW} pixels, this one has {taps}")));
        }
        Ok(Encoded::new(op, &self.window))
    }
}

impl DeviceOp for Pool {
    fn output_quantization(&self) -> OutputQuantization {
        OutputQuantization::Shared
    }

    /// Padding does not count, so an average is linear; a maximum keeps its place under factors that are not negative.
    fn lets_pass(&self, context: &NodeContext<'_>, scale: &[f32]) -> bool {
        let keeps_channels = context.inputs[0].channels().is_multiple_of(scale.len());
        keeps_channels && (self.kind == PoolKind::Average || scale.iter().all(|&scale| scale >= 0.0))
    }

    fn rows(&self, _: &NodeContext<'_>) -> Rows {
        // Padding does not count, so zeros cannot stand for it.
        if self.window.padding[0] == 0 { window_rows(&self.window) } else { Rows::All }
    }

    fn length_rule(&self, context: &NodeContext<'_>) -> Option<LengthRule> {
        let is_over_all = usize::from(self.window.kernel[0]) >= context.inputs[0][0] && self.window.padding[0] == 0;
        match context.output[0] {
            1 if is_over_all => Some(LengthRule::Reduced),
            // A window beyond the last row counts what is there.
            _ => context.length_rule(window_rows(&self.window)),
        }
    }

    fn encode_f32(&self, context: &NodeContext<'_>, _: &mut Constants) -> Result<Encoded, ExportError> {
        let op = match self.kind {
            PoolKind::Maximum => &MAX_POOL_F32,
            PoolKind::Average => &AVERAGE_POOL_F32,
        };
        self.encode(op, context)
    }

    fn encode_i8(
        &self,
        context: &NodeContext<'_>,
        _: &[Quantization],
        _: Quantization,
        _: &mut Constants,
    ) -> Result<Encoded, ExportError> {
        let op = match self.kind {
            PoolKind::Maximum => &MAX_POOL_I8,
            PoolKind::Average => &AVERAGE_POOL_I8,
        };
        self.encode(op, context)
    }

    fn takes_i16(&self) -> bool {
        true
    }

    fn encode_i16(&self, context: &NodeContext<'_>, _: &[f32], _: f32, _: &mut Constants) -> Result<Encoded, ExportError> {
        let op = match self.kind {
            PoolKind::Maximum => &MAX_POOL_I16,
            PoolKind::Average => &AVERAGE_POOL_I16,
        };
        self.encode(op, context)
    }
}

pub(super) static KIND: DeviceOpKind = DeviceOpKind {
    name: "pool",
    encodings: &[
        encoding!(MAX_POOL_I8, Window, "window"),
        encoding!(MAX_POOL_F32, Window, "window"),
        encoding!(AVERAGE_POOL_I8, Window, "window"),
        encoding!(AVERAGE_POOL_F32, Window, "window"),
        encoding!(MAX_POOL_I16, Window, "window"),
        encoding!(AVERAGE_POOL_I16, Window, "window"),
    ],
    examples,
    #[cfg(test)]
    golden: &[
        super::golden::vectors("average_pool", 0.15, |case| {
            case.model(Pool { kind: PoolKind::Average, window: case.field("window") })
        }),
        super::golden::vectors("global_average", 0.03, |case| {
            case.model(Pool { kind: PoolKind::Average, window: case.field("window") })
        }),
        super::golden::vectors("average_pool_i16", 0.15, |case| {
            case.model(Pool { kind: PoolKind::Average, window: case.field("window") })
        }),
        super::golden::vectors("max_pool_i16", 0.0, |case| {
            case.model(Pool { kind: PoolKind::Maximum, window: case.field("window") })
        }),
        super::golden::vectors("max_pool", 0.0, |case| {
            case.model(Pool { kind: PoolKind::Maximum, window: case.field("window") })
        }),
    ],
};

fn examples() -> Vec<OpExample> {
    let windows = [
        ("", [4, 4, 3], window([2, 2], [2, 2], [1, 1], [0, 0]), [2, 2, 3]),
        ("_padded", [3, 4, 2], window([3, 2], [1, 2], [1, 1], [1, 1]), [3, 2, 2]),
        ("_odd", [7, 5, 6], window([2, 2], [2, 2], [1, 1], [0, 0]), [3, 2, 6]),
        ("_3x3", [7, 5, 6], window_3x3(1), [7, 5, 6]),
        ("_3x2", [7, 5, 6], window([3, 2], [2, 1], [1, 1], [1, 0]), [4, 5, 6]),
        ("_whole_image", [7, 5, 6], window([7, 5], [1, 1], [1, 1], [0, 0]), [1, 1, 6]),
    ];
    let kinds = [("max_pool", PoolKind::Maximum), ("average_pool", PoolKind::Average)];
    let example = |(op, kind), (name, input, window, output): (&str, [usize; 3], Window, [usize; 3])| {
        OpExample::new(format!("{op}{name}"), Pool { kind, window }, &[&input], &output)
    };
    kinds.into_iter().flat_map(|kind| windows.map(|window| example(kind, window))).collect()
}
