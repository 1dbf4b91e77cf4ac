//! About what an inference takes on a Cortex-M4F: prices of what each op does, fitted to what `cargo xtask device-bench --nodes --board an386`
//! counted for the nodes of twelve nets of the zoo. It orders files by their cost, and says about how much that is; the bench counts.

use samara_runtime::ALL_OPS;
use samara_runtime::format::writer::{ModelFile, NodeRecord};
use samara_trainer::device::run::DeviceModel;

/// What an op takes, in hundredths of an instruction.
struct Price {
    op: &'static str,
    /// For each multiply-accumulate.
    mac: u64,
    /// For each element that comes out, and that goes in.
    out: u64,
    input: u64,
    /// For each place of the output: all its channels.
    place: u64,
    /// Once.
    node: u64,
}

const fn price(op: &'static str, mac: u64, out: u64, input: u64, place: u64, node: u64) -> Price {
    Price { op, mac, out, input, place, node }
}

/// Those in int8 are fitted. On top of that come, for each multiply-accumulate, what unpacking weights of 4 bits took in one net, and what int16
/// and f32 took more in those of the zoo.
const PRICES: [Price; 20] = [
    price("conv2d_i8", 81, 787, 0, 13_794, 383_000),
    price("conv2d_i4", 156, 787, 0, 13_794, 383_000),
    // What is added to each element costs about as much as in an op of its own.
    price("conv2d_add_i8", 81, 1542, 0, 13_794, 383_000),
    price("depthwise_conv2d_i8", 0, 2597, 0, 13_639, 0),
    price("dense_i8", 117, 1180, 0, 0, 143_000),
    price("dense_i4", 267, 1180, 0, 0, 143_000),
    price("average_pool_i8", 0, 3673, 772, 0, 190_000),
    price("max_pool_i8", 0, 3544, 117, 0, 0),
    price("softmax_i8", 0, 2750, 0, 0, 86_000),
    price("add_i8", 0, 650, 0, 0, 115_000),
    price("scale_shift_i8", 0, 2050, 0, 0, 27_000),
    price("concat", 0, 352, 0, 0, 0),
    price("reshape", 0, 0, 0, 0, 74_000),
    price("dense_i16", 287, 1180, 0, 0, 143_000),
    price("conv2d_i16", 146, 974, 0, 16_100, 381_000),
    price("depthwise_conv2d_i16", 340, 2597, 0, 13_639, 0),
    price("dense_f32", 387, 1180, 0, 0, 143_000),
    price("conv2d_f32", 396, 974, 0, 16_100, 381_000),
    price("depthwise_conv2d_f32", 480, 2597, 0, 13_639, 0),
    // All else: recurrent ops as dense ones, others by what comes out.
    price("", 200, 1000, 0, 0, 0),
];
/// Convolutions that gather what is below their kernel: for each byte of it, and each of its pixels.
const GATHERED_BYTE: u64 = 215;
const GATHERED_PIXEL: u64 = 1578;

/// Instructions of an inference, about.
pub fn instructions(file: &DeviceModel) -> u64 {
    let Ok(file) = ModelFile::from_bytes(file.bytes()) else { return 0 };
    file.nodes.iter().map(|node| of_node(&file, node)).sum::<u64>() / 100
}

/// In hundredths.
fn of_node(file: &ModelFile, node: &NodeRecord) -> u64 {
    let name = ALL_OPS.iter().find(|op| u16::from(op.code) == node.code).map_or("", |op| op.name);
    let Some(price) = PRICES.iter().find(|price| price.op == name).or(PRICES.last()) else { return 0 };
    let elements = |tensor: u32| file.tensors.get(tensor as usize).map_or(0, |tensor| tensor.elements() as u64);
    let channels = |tensor: u32| {
        let tensor = file.tensors.get(tensor as usize);
        tensor.and_then(|tensor| tensor.shape().last().copied()).map_or(1, |channels| u64::from(channels).max(1))
    };
    let (out, macs) = (elements(node.output), u64::from(node.macs));
    let input = node.inputs.first().map_or(0, |input| elements(*input));
    let places = out / channels(node.output);
    let own = macs * price.mac + out * price.out + input * price.input + places * price.place + price.node;
    if !["conv2d_i8", "conv2d_add_i8", "conv2d_i4", "conv2d_i16", "conv2d_f32"].contains(&name) || out == 0 {
        return own;
    }
    let (below, depth) = (macs / out, node.inputs.first().map_or(1, |input| channels(*input)));
    // A kernel of one pixel reads it where it is.
    let gathered = if below == depth { 0 } else { places * (below * GATHERED_BYTE + below / depth * GATHERED_PIXEL) };
    own + gathered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export;
    use samara_trainer::quantize::Options;

    /// What `cargo xtask device-bench --board an386 --model` counted for nets as `samara export` writes them.
    #[test]
    fn estimates_are_near_what_was_counted() {
        for (name, counted, percent) in [
            ("fashion-separable", 1_824_900, 5),
            ("fashion-xception", 3_136_840, 6),
            ("fashion-mlp", 321_120, 5),
            ("ds-cnn", 3_543_160, 6),
            ("spoken-digits", 461_700, 6),
            ("motions", 120_560, 10),
        ] {
            let model = samara_models::find(name).unwrap().build().unwrap();
            let bytes = model.export_int8(&export::random_samples(&model, 1).unwrap(), Options::default()).unwrap();
            let found = instructions(&DeviceModel::new(&bytes).unwrap());
            println!("{name}: {found}, counted {counted}");
            assert!(found.abs_diff(counted) * 100 <= counted * percent, "{name}: {found}, counted {counted}");
        }
    }
}
