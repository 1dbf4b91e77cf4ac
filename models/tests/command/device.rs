//! `samara device` where there is no device. What it does with one is tested on the boards: `cargo xtask test --stage qemu`.

use std::net::TcpListener;

use crate::common::{refusal, success};

#[test]
fn every_action_has_help_and_json() {
    let help = success(&["device", "--help"]);
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let actions: Vec<&str> = lines.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect();
    assert!(actions.len() >= 11, "{actions:?}");
    for action in actions {
        assert!(success(&["device", action, "--help"]).contains("--json"), "{action}");
    }
}

#[test]
fn a_device_that_cannot_be_reached_is_told() {
    let message = refusal(1, &["device", "--port", "/no/such/port", "stats"]);
    assert!(message.starts_with("/no/such/port cannot be opened: "), "{message}");

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("tcp:{}", silent.local_addr().unwrap());
    let message = refusal(1, &["device", "--port", &port, "--tries", "2", "--timeout", "0.05", "stats"]);
    assert!(message.starts_with("the device gives no answer, after 2 tries of 0.05 s: is it powered"), "{message}");

    drop(silent.accept().unwrap());
    let closing = std::thread::spawn(move || drop(silent.accept()));
    let message = refusal(1, &["device", "--port", &port, "reset", "--yes"]);
    assert!(message.starts_with("the link to the device is broken: "), "{message}");
    closing.join().unwrap();
    let message = refusal(2, &["device", "--port", &port, "--tries", "0", "stats"]);
    assert!(message.contains("--tries"), "{message}");
}
