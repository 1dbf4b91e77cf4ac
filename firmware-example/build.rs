//! Hands the board's memory map to the linker, and the model and the self-test's models to the compiler.
//!
//! | variable | meaning |
//! |---|---|
//! | `SAMARA_BOARD` | a directory of `boards/`; decides memory map and registers |
//! | `SAMARA_MODEL` | the model file that `infer` and `minimal` run |
//! | `SAMARA_BUNDLE` | the models that `selftest` runs, packed by `cargo xtask` |

use std::{
    env, fs,
    path::{Path, PathBuf},
};

fn main() {
    for variable in ["SAMARA_BOARD", "SAMARA_MODEL", "SAMARA_BUNDLE"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    println!("cargo::rustc-link-search={}", out.display());

    let target = env::var("TARGET").expect("cargo sets TARGET");
    let board = env::var("SAMARA_BOARD").unwrap_or_else(|_| default_board(&target).to_owned());
    let map = Path::new("boards").join(&board).join("memory.x");
    println!("cargo::rerun-if-changed={}", map.display());
    match fs::read(&map) {
        Ok(text) => fs::write(out.join("memory.x"), text).expect("OUT_DIR is writable"),
        Err(error) => println!("cargo::error=SAMARA_BOARD={board}: {} cannot be read: {error}", map.display()),
    }
    // cortex-m-rt asks for the device's interrupt handlers; `src/board/cortex_m.rs` has none.
    fs::write(out.join("device.x"), "").expect("OUT_DIR is writable");
    println!("cargo::rustc-cfg=board=\"{board}\"");

    println!("cargo::rustc-link-arg-bins=-Tlink.x");
    if env::var_os("CARGO_FEATURE_LOG").is_some() {
        println!("cargo::rustc-link-arg-bins=-Tdefmt.x");
    }

    embed("SAMARA_MODEL", &out, "model");
    embed("SAMARA_BUNDLE", &out, "bundle");
}

/// The board for a plain `cargo build --target ...`.
fn default_board(target: &str) -> &'static str {
    match target {
        "thumbv6m-none-eabi" | "thumbv7m-none-eabi" => "an385",
        "thumbv8m.main-none-eabihf" => "an505",
        "riscv32imac-unknown-none-elf" => "virt",
        _ => "an386",
    }
}

/// Copies the file that `variable` names to OUT_DIR and writes the expression that embeds it. Without the variable, the
/// expression is an error that says what to do, and only the binaries that use it fail to build.
fn embed(variable: &str, out: &Path, name: &str) {
    let expression = match env::var(variable) {
        Ok(file) => {
            println!("cargo::rerun-if-changed={file}");
            let copy = out.join(format!("{name}.bin"));
            match fs::copy(&file, &copy) {
                Ok(_) => format!("samara_runtime::include_model!({:?})", copy.display().to_string()),
                Err(error) => format!("compile_error!({:?})", format!("{variable}={file} cannot be read: {error}")),
            }
        }
        Err(_) => format!(
            "compile_error!({:?})",
            format!("set {variable} to an absolute path, or build with `cargo xtask firmware`, which does")
        ),
    };
    fs::write(out.join(format!("{name}.rs")), expression).expect("OUT_DIR is writable");
}
