//! The addresses of this machine, as the kernel lists them in `/proc`: the unit may not open the sockets that
//! `getifaddrs` wants.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Most addresses that are told.
const MAX: usize = 64;

/// All addresses but those that only this machine can use, or only its neighbours on one cable.
pub(crate) fn of_this_machine() -> Vec<IpAddr> {
    let v4 = fs::read_to_string("/proc/net/fib_trie").map(|table| v4(&table)).unwrap_or_default();
    let v6 = fs::read_to_string("/proc/net/if_inet6").map(|table| v6(&table)).unwrap_or_default();
    let all = v4.into_iter().map(IpAddr::from).chain(v6.into_iter().map(IpAddr::from));
    all.take(MAX).collect()
}

/// In the table of routes an own address is a leaf of 32 bits that is local (kernel: `fib_trie_seq_show`).
fn v4(table: &str) -> BTreeSet<Ipv4Addr> {
    let mut found = BTreeSet::new();
    let mut leaf = None;
    for line in table.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.parse::<Ipv4Addr>().ok();
        } else if line.starts_with("/32 host LOCAL") {
            found.extend(leaf.filter(|address| !address.is_loopback() && !address.is_link_local()));
        }
    }
    found
}

/// One line an address (kernel: `if6_seq_show`).
fn v6(table: &str) -> BTreeSet<Ipv6Addr> {
    let addresses = table.lines().filter_map(|line| u128::from_str_radix(line.split_whitespace().next()?, 16).ok());
    addresses.map(Ipv6Addr::from).filter(|address| !address.is_loopback() && !address.is_unicast_link_local()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_addresses_are_told_from_networks_and_broadcasts() {
        let table = "\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 192.168.1.0/24 2 0 2
        |-- 192.168.1.0
           /24 link UNICAST
        |-- 192.168.1.20
           /32 host LOCAL
        |-- 192.168.1.255
           /32 link BROADCAST
Local:
     |-- 127.0.0.1
        /32 host LOCAL
     |-- 192.168.1.20
        /32 host LOCAL
";
        assert_eq!(v4(table).into_iter().collect::<Vec<_>>(), [Ipv4Addr::new(192, 168, 1, 20)]);
        let table = "\
00000000000000000000000000000001 01 80 10 80       lo
fe800000000000000000000000000001 02 40 20 80    wlan0
fd000000000000000000000000000007 02 40 00 00    wlan0
";
        assert_eq!(v6(table).into_iter().collect::<Vec<_>>(), ["fd00::7".parse::<Ipv6Addr>().unwrap()]);
    }
}
