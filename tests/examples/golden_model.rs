//! Writes the golden files of a format version: `cargo run -p samara-tests --example golden_model NAME`.
//!
//! A file `tests/golden/NAME.samara` that was once released is never written again: it shows that later runtimes still read it
//! and give the same bits. This example refuses to overwrite one. For a new version of the format, make new ones.

use std::{error::Error, fs, path::Path};

use samara_trainer::device::{DeviceNode, Form, ops::OpExample};

fn main() -> Result<(), Box<dyn Error>> {
    let name = std::env::args().nth(1).ok_or("which name? For instance v2")?;
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let every_op = samara_tests::examples::side_by_side("every op");
    let f32_bytes = every_op.f32_file()?.to_bytes();
    let form = |node: &DeviceNode| if node.op.takes_i16() { Form::I16 } else { Form::I8 };
    let forms = every_op.graph.nodes.iter().map(form).collect();
    let every_op = OpExample { float_ports: true, forms, ..every_op };
    let i8_bytes = every_op.i8_file()?.to_bytes();
    let i16_bytes = every_op.i16_file()?.ok_or("no example has int16")?.to_bytes();
    let files = [(name.clone(), i8_bytes), (format!("{name}-f32"), f32_bytes), (format!("{name}-i16"), i16_bytes)];
    for (name, bytes) in files {
        let file = directory.join(format!("{name}.samara"));
        if file.exists() {
            return Err(format!("{} is there already, and stays as it is", file.display()).into());
        }
        let checksums = samara_tests::golden::checksums(&bytes)?;
        fs::write(directory.join(format!("{name}.checksums")), checksums)?;
        fs::write(&file, &bytes)?;
        println!("{} has {} bytes", file.display(), bytes.len());
    }
    Ok(())
}
