//! Networks of IP addresses.
//!
//! Knows how a network is written and what lies in it. Must not know why anyone asks.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A network of IP addresses.
///
/// # Example
///
/// ```
/// use tiltmeter::network::Network;
///
/// let inside = Network::parse("10.0.0.0/8").unwrap();
/// assert!(inside.holds("10.1.2.3") && inside.holds("::ffff:10.1.2.3"));
/// assert!(!inside.holds("203.0.113.9") && !inside.holds("somewhere"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network(IpNet);

impl Network {
    /// Reads `10.0.0.0/8`, `2001:db8::/32` or a single address.
    pub fn parse(text: &str) -> Option<Self> {
        let net = text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        net.map(|net: IpNet| Self(net.trunc()))
    }

    /// Whether an address lies in it.
    pub fn contains(self, address: IpAddr) -> bool {
        // `::ffff:10.0.0.1` is how a dual-stack host writes 10.0.0.1.
        self.0.contains(&address.to_canonical())
    }

    /// Whether the text is an address that lies in it.
    pub fn holds(self, text: &str) -> bool {
        text.parse().is_ok_and(|address| self.contains(address))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// As text.
impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom(format!("{text:?} is no network; write 10.0.0.0/8, 2001:db8::/32 or an address"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_read_and_written_alike_and_refused_when_it_is_none() {
        for (text, written) in
            [("10.1.2.3/8", "10.0.0.0/8"), ("10.1.2.3", "10.1.2.3/32"), ("2001:db8::/32", "2001:db8::/32")]
        {
            let read: Network = serde_json::from_value(text.into()).unwrap();
            assert_eq!(serde_json::to_value(read).unwrap(), written);
        }
        let refused = serde_json::from_value::<Network>("10.0.0.0/33".into()).unwrap_err().to_string();
        assert!(refused.contains("10.0.0.0/33") && refused.contains("write 10.0.0.0/8"), "{refused}");
    }
}
