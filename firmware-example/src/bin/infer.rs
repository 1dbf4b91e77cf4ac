//! x
#![no_std]
#![no_main]
use samara_firmware::{board::*, counter::*, report::Report};
samara_firmware::start!(run);
fn run(mut board: Board) -> u8 {
    let gauge = StackGauge::paint();
    let a = board.counter.now();
    run_counted_loop(1_000_000);
    let b = board.counter.now();
    defmt::info!("hello {=u64} stack {=usize}", b - a, gauge.deepest());
    let arguments = Arguments::new();
    let _ = arguments.next();
    while let Some(x) = arguments.next() { defmt::info!("argument {=str}", x); }
    let mut report = Report::new(HostFile::create("report").unwrap());
    report.line("counted", &[b-a, u64::MAX, 0]);
    if report.finish() {0} else {1}
}
