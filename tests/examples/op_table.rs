//! Writes the table of ops in docs/format.md: `cargo run -p samara-tests --example op_table`.

use std::{error::Error, fs};

use samara_tests::specification;

fn main() -> Result<(), Box<dyn Error>> {
    let path = specification::path();
    fs::write(&path, specification::with_table(&fs::read_to_string(&path)?)?)?;
    println!("{} written", path.display());
    Ok(())
}
