//! Writes the small models of the tests as seeds for the fuzzer: `cargo run -p samara-tests --example fuzz_seeds [DIR]`.

use std::{io, path::PathBuf};

fn main() -> io::Result<()> {
    let default = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/model");
    let directory = std::env::args_os().nth(1).map_or_else(default, PathBuf::from);
    std::fs::create_dir_all(&directory)?;
    let models = samara_tests::examples::small();
    for model in &models {
        // The fuzz target repairs header and checksum if the first byte is odd.
        let seed = [&[1], model.file.to_bytes().as_slice()].concat();
        std::fs::write(directory.join(&model.name), seed)?;
    }
    println!("{} seeds in {}", models.len(), directory.display());
    Ok(())
}
