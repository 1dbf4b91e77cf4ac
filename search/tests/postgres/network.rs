//! Network namespaces, one a worker, on a bridge: machines of their own, as far as the network is concerned.

use std::ffi::OsStr;
use std::process::Command;

use crate::server::run;

/// A bridge, and namespaces that are connected with it; gone when dropped.
pub struct Network {
    name: String,
    /// The first three parts of all addresses.
    subnet: String,
    namespaces: usize,
}

fn ip(arguments: &[&str]) -> Command {
    let mut command = Command::new("ip");
    command.args(arguments);
    command
}

impl Network {
    /// Makes so many namespaces, if this process may.
    pub fn new(namespaces: usize) -> Option<Self> {
        let process = std::process::id();
        // At most 15 letters, and nobody else's.
        let name = format!("sm{}", process % 1_000_000);
        let made = ip(&["link", "add", &name, "type", "bridge"]).output().is_ok_and(|output| output.status.success());
        if !made {
            return None;
        }
        let network = Self { subnet: format!("10.231.{}", process % 250 + 1), name, namespaces };
        run(&mut ip(&["address", "add", &format!("{}/24", network.address()), "dev", &network.name]));
        run(&mut ip(&["link", "set", &network.name, "up"]));
        for place in 0..namespaces {
            let (namespace, outer) = (network.namespace(place), format!("{}v{place}", network.name));
            run(&mut ip(&["netns", "add", &namespace]));
            run(&mut ip(&["link", "add", &outer, "type", "veth", "peer", "name", "eth0", "netns", &namespace]));
            run(&mut ip(&["link", "set", &outer, "master", &network.name, "up"]));
            let address = format!("{}.{}/24", network.subnet, place + 2);
            run(&mut ip(&["-n", &namespace, "address", "add", &address, "dev", "eth0"]));
            run(&mut ip(&["-n", &namespace, "link", "set", "eth0", "up"]));
        }
        Some(network)
    }

    /// The bridge's own address.
    pub fn address(&self) -> String {
        format!("{}.1", self.subnet)
    }

    fn namespace(&self, place: usize) -> String {
        format!("{}n{place}", self.name)
    }

    /// A command that runs in a namespace.
    pub fn command(&self, place: usize, program: impl AsRef<OsStr>) -> Command {
        let mut command = ip(&["netns", "exec", &self.namespace(place)]);
        command.arg(program);
        command
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for place in 0..self.namespaces {
            let _ = ip(&["netns", "delete", &self.namespace(place)]).output();
        }
        let _ = ip(&["link", "delete", &self.name]).output();
    }
}
