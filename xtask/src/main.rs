//! House-keeping: `cargo xtask setup` and `cargo xtask demo` are all that a newcomer needs.

mod boards;
mod emulator;
mod firmware;
mod paths;
mod process;
mod report;
mod table;
fn main() {
    let b = boards::find(&std::env::args().nth(1).unwrap()).unwrap();
    let e = firmware::build(b, "infer", firmware::Embed::Model(std::path::Path::new("/etc/hostname"))).unwrap();
    emulator::run(b, &e, b"abc", &["count"], emulator::Clock::CountInstructions, std::time::Duration::from_secs(10)).unwrap();
    println!("{}", firmware::flash_bytes(&e).unwrap());
}
