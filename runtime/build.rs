//! Finds out whether the target has Arm's DSP extension and Helium (MVE), and sets `cfg(simd_dsp)` and `cfg(simd_mve)`.
//!
//! `cfg(target_feature = "dsp")` is not visible on stable Rust, and target triples do not tell a Cortex-M33 from a
//! Cortex-M55. So a function of one instruction is compiled with the very compiler, target and flags of this build: if the
//! assembler takes the instruction, the core has it. Anything that goes wrong leaves the portable kernels; the device's
//! self-test prints the variant in use, so that this cannot go unnoticed.

use std::{
    env,
    ffi::OsString,
    path::PathBuf,
    process::{Command, Stdio},
};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(simd_dsp)");
    println!("cargo::rustc-check-cfg=cfg(simd_mve)");
    println!("cargo::rustc-check-cfg=cfg(simd_v8m)");
    println!("cargo::rustc-check-cfg=cfg(simd_v6m)");
    println!("cargo::rustc-check-cfg=cfg(simd_rv32m)");
    println!("cargo::rustc-check-cfg=cfg(simd_x86)");
    let features = env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    match env::var("CARGO_CFG_TARGET_ARCH").as_deref() {
        Ok("arm") => {}
        Ok("riscv32") if features.split(',').any(|feature| feature == "m") => {
            println!("cargo::rustc-cfg=simd_rv32m");
            return;
        }
        // What the processor has is found out by the standard library.
        Ok("x86_64") if env::var_os("CARGO_FEATURE_STD").is_some() => {
            println!("cargo::rustc-cfg=simd_x86");
            return;
        }
        _ => return,
    }
    if assembles("mve", "vmladava.s8 r0, q0, q1") {
        println!("cargo::rustc-cfg=simd_mve");
    } else if assembles("dsp", "smlad r0, r1, r2, r0") {
        println!("cargo::rustc-cfg=simd_dsp");
        if env::var("TARGET").is_ok_and(|target| target.starts_with("thumbv8m")) {
            println!("cargo::rustc-cfg=simd_v8m");
        }
    } else if env::var("TARGET").is_ok_and(|target| target.starts_with("thumbv6m")) {
        println!("cargo::rustc-cfg=simd_v6m");
    }
}

/// Whether the compiler of this build assembles `instruction` for the target of this build.
fn assembles(name: &str, instruction: &str) -> bool {
    let (Some(directory), Some(target)) = (env::var_os("OUT_DIR").map(PathBuf::from), env::var_os("TARGET")) else {
        return false;
    };
    let source = directory.join(format!("probe_{name}.rs"));
    // Everything is written as clobbered or left alone: the function is compiled and never linked or run.
    let text = format!(
        "#![no_std]\n#![crate_type = \"lib\"]\n#[unsafe(no_mangle)]\npub unsafe extern \"C\" fn probe() {{ \
         unsafe {{ core::arch::asm!(\"{instruction}\", out(\"r0\") _) }} }}\n"
    );
    if std::fs::write(&source, text).is_err() {
        return false;
    }
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let compiler = env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    Command::new(compiler)
        .args(["--edition=2024", "--emit=obj", "--cap-lints=allow", "--target"])
        .arg(target)
        .arg("-o")
        .arg(directory.join(format!("probe_{name}.o")))
        .args(flags.split('\x1f').filter(|flag| !flag.is_empty()))
        .arg(source)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
