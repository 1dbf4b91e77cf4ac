//! What happens on a panic: firmware with logging says where and ends the run; without, it stops.

use core::panic::PanicInfo;

#[cfg(feature = "log")]
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    match info.location() {
        Some(place) => defmt::error!("panic at {=str}:{=u32}", place.file(), place.line()),
        None => defmt::error!("panic"),
    }
    crate::board::exit(101)
}

#[cfg(not(feature = "log"))]
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}
