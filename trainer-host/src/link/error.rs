use samara_runtime::link::Fault;

/// Why a device did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The port cannot be opened.
    #[error("{address} cannot be opened: {reason}")]
    Open {
        /// The address.
        address: String,
        /// Why.
        reason: String,
    },
    /// The port failed, or its other end has gone.
    #[error("the link to the device is broken: {0}")]
    Port(#[from] std::io::Error),
    /// The device does not answer.
    #[error(
        "the device gives no answer, after {tries} tries of {seconds} s: is it powered, is it the right port and speed, does its firmware serve the link?"
    )]
    NoAnswer {
        /// How often it was asked.
        tries: u32,
        /// How long each answer was waited for.
        seconds: f32,
    },
    /// The device answers that it does not.
    #[error(transparent)]
    Refused(#[from] Fault),
    /// The device answers something else.
    #[error("the device answers something else than it was asked: its firmware is of another version than this program")]
    Unexpected,
    /// The device speaks another version.
    #[error("the device speaks version {found} of the link, this program version {expected}")]
    Protocol {
        /// The device's.
        found: u16,
        /// This program's.
        expected: u16,
    },
    /// A sample or a head has another size than the device's.
    #[error("{what} of the device has {expected} bytes, {found} were given")]
    Size {
        /// What it is.
        what: &'static str,
        /// The device's.
        expected: u32,
        /// What was given.
        found: usize,
    },
}
