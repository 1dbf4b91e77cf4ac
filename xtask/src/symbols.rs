//! What firmware holds, by its symbols: integer inference must not need code to panic, format, allocate or emulate floats.

use std::fs;

use anyhow::{Context, Result, bail};
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};

use crate::{firmware::Elf, paths};

/// A function of the firmware.
struct Function {
    name: String,
    address: u64,
    size: u64,
}

/// Checks that the firmware holds no code to panic, to format text, to allocate, or to emulate floating point.
///
/// # Errors
/// A sentence with the functions found and, on Arm, who calls them.
pub fn check(firmware: &Elf) -> Result<()> {
    let shown = paths::shown(&firmware.path);
    let image = fs::read(&firmware.path)?;
    let file = object::File::parse(&*image).with_context(|| format!("{shown} is no ELF file"))?;
    let functions: Vec<Function> = file
        .symbols()
        .filter(|symbol| symbol.kind() == SymbolKind::Text)
        .filter_map(|symbol| {
            let name = format!("{:#}", rustc_demangle::demangle(symbol.name().ok()?));
            Some(Function { name, address: symbol.address() & !1, size: symbol.size() })
        })
        .collect();
    if functions.len() < 3 {
        bail!("{shown} has no symbols to check: is it stripped?");
    }
    let calls = thumb_calls(&file);
    let described = functions.iter().filter_map(|function| {
        let reason = forbidden(&function.name)?;
        let callers = callers(function.address, &calls, &functions);
        let by = if callers.is_empty() { String::new() } else { format!(", called by {}", callers.join(" and ")) };
        Some(format!("{} ({reason}{by})", function.name))
    });
    let found: Vec<String> = described.collect();
    if !found.is_empty() {
        bail!("{shown} holds code that integer firmware must not need: {}", found.join("; "));
    }
    Ok(())
}

/// Names of the functions that hold a call to `address`.
fn callers<'a>(address: u64, calls: &[(u64, u64)], functions: &'a [Function]) -> Vec<&'a str> {
    let from = |function: &Function| {
        let places = function.address..function.address + function.size;
        calls.iter().any(|(place, target)| *target == address && places.contains(place))
    };
    functions.iter().filter(|function| from(function)).map(|function| function.name.as_str()).collect()
}

/// Address and target of each branch with link in the code of Arm firmware; nothing for other machines.
///
/// Data between functions may look like a branch: this is for messages, not for the verdict.
fn thumb_calls(file: &object::File<'_>) -> Vec<(u64, u64)> {
    if file.architecture() != object::Architecture::Arm {
        return Vec::new();
    }
    let mut calls = Vec::new();
    for section in file.sections().filter(|section| section.kind() == object::SectionKind::Text) {
        let halfwords: Vec<u32> =
            section.data().unwrap_or_default().as_chunks::<2>().0.iter().map(|&two| u16::from_le_bytes(two).into()).collect();
        for (index, pair) in halfwords.windows(2).enumerate() {
            let place = section.address() + 2 * index as u64;
            if let Some(offset) = branch_with_link(pair[0], pair[1]) {
                calls.push((place, place.wrapping_add(4).wrapping_add_signed(offset)));
            }
        }
    }
    calls
}

/// The offset of a Thumb branch (B.W and BL, encodings T4 and T1; Armv8-M Architecture Reference Manual, C2.4), relative
/// to the instruction's end.
fn branch_with_link(first: u32, second: u32) -> Option<i64> {
    if first >> 11 != 0b11110 || second & 0b1001_0000_0000_0000 != 0b1001_0000_0000_0000 {
        return None;
    }
    let sign = first >> 10 & 1;
    let bit = |position: u32| (second >> position & 1) ^ sign ^ 1;
    let offset = sign << 24 | bit(13) << 23 | bit(11) << 22 | (first & 0x3ff) << 12 | (second & 0x7ff) << 1;
    Some(i64::from((offset as i32) << 7 >> 7))
}

/// What is wrong with a function of that name, if anything.
fn forbidden(name: &str) -> Option<&'static str> {
    let contains = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    if contains(&["panicking", "panic_fmt", "rust_begin_unwind", "panic_bounds_check", "unwrap_failed", "slice_index_fail"]) {
        return Some("it panics");
    }
    if contains(&["core::fmt", "core::num::fmt", "::fmt::num::", "defmt"]) {
        return Some("it formats text");
    }
    if contains(&["__rust_alloc", "__rust_realloc", "__rustc::__rust", "alloc::alloc", "alloc::raw_vec"]) {
        return Some("it allocates");
    }
    soft_float(name).then_some("it emulates floating point")
}

/// `true` for the functions of the compiler's run-time library that compute with floating point.
fn soft_float(name: &str) -> bool {
    let name = name.rsplit("::").next().unwrap_or(name);
    if let Some(arm) = name.strip_prefix("__aeabi_") {
        let converts = arm.split_once('2').is_some_and(|(from, to)| {
            let floating = |part: &str| part.starts_with(['f', 'd']);
            from.len() <= 2 && to.len() <= 3 && (floating(from) || floating(to))
        });
        let computes =
            |rest: &str| ["add", "sub", "rsub", "mul", "div", "neg", "cmp"].iter().any(|operation| rest.starts_with(operation));
        let operates = arm.strip_prefix(['f', 'd', 'c']).is_some_and(computes) && !arm.starts_with("idiv");
        return converts || operates;
    }
    let Some(general) = name.strip_prefix("__") else { return false };
    let endings = ["sf2", "df2", "sf3", "df3", "sfsi", "dfsi", "sfdi", "dfdi", "sisf", "sidf", "disf", "didf"];
    endings.iter().any(|ending| general.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_that_integer_firmware_must_not_have() {
        for (name, reason) in [
            ("core::panicking::panic_bounds_check", "it panics"),
            ("rust_begin_unwind", "it panics"),
            ("core::option::unwrap_failed", "it panics"),
            ("<core::fmt::Formatter>::pad", "it formats text"),
            ("defmt::export::istr", "it formats text"),
            ("__rustc::__rust_alloc", "it allocates"),
            ("__aeabi_fadd", "it emulates floating point"),
            ("__aeabi_dmul", "it emulates floating point"),
            ("__aeabi_fcmplt", "it emulates floating point"),
            ("__aeabi_i2f", "it emulates floating point"),
            ("__aeabi_ui2d", "it emulates floating point"),
            ("__aeabi_f2iz", "it emulates floating point"),
            ("__aeabi_f2d", "it emulates floating point"),
            ("__mulsf3", "it emulates floating point"),
            ("__unordsf2", "it emulates floating point"),
            ("compiler_builtins::float::add::__addsf3", "it emulates floating point"),
            ("__floatunsisf", "it emulates floating point"),
            ("__fixdfsi", "it emulates floating point"),
        ] {
            assert_eq!(forbidden(name), Some(reason), "{name}");
        }
    }

    #[test]
    fn branches_are_decoded() {
        assert_eq!(branch_with_link(0xf000, 0xf801), Some(2)); // bl #2
        assert_eq!(branch_with_link(0xf7ff, 0xfffe), Some(-4)); // bl #-4, to itself
        assert_eq!(branch_with_link(0xf001, 0xbd02), Some(0x1a04)); // b.w #0x1a04
        assert_eq!(branch_with_link(0x4770, 0xf801), None); // bx lr
    }

    #[test]
    fn symbols_that_integer_firmware_may_have() {
        for name in [
            "main",
            "memcpy",
            "__aeabi_memcpy4",
            "__aeabi_uidiv",
            "__aeabi_idivmod",
            "__aeabi_uldivmod",
            "__aeabi_lmul",
            "__aeabi_llsl",
            "__muldi3",
            "__udivdi3",
            "HardFault_",
            "samara_runtime::ops::dense::run_i8",
            "samara_runtime::simd::dsp::multiply",
            "samara_runtime::model::Model::parse",
        ] {
            assert_eq!(forbidden(name), None, "{name}");
        }
    }
}
