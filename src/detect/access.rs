//! `access`: new and rare resources, actions and destinations, and many new resources at once.
//!
//! Knows which keys an agent, its type and the fleet use. Must not know orders or origins.

use crate::baseline::agent::{Familiarity, KeySpace};
use crate::baseline::pool::{ACCESS_LAW, Baselines, TypeBaseline};
use crate::identity::Key;

use super::Call;

/// What is known of one key a call touches.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct KeyBits {
    /// What it is a key of.
    pub space: KeySpace,
    /// The key.
    pub key: Key,
    /// Its surprise for the agent, smoothed by type and fleet. Bits.
    pub bits: f64,
    /// What the agent knew of it.
    pub familiarity: Familiarity,
}

/// The keys a call touches: its action, its resource, and the values of its destination-like arguments.
pub fn keys<'c>(call: &'c Call<'_, '_>) -> impl Iterator<Item = (KeySpace, Key)> + 'c {
    let destinations = call.arguments.iter().filter(|a| a.is_destination).filter_map(|a| a.value);
    std::iter::once((KeySpace::Action, call.action))
        .chain(call.resource.map(|r| (KeySpace::Resource, r)))
        .chain(destinations.map(|d| (KeySpace::Destination, d)))
}

/// How unusual a key is for an agent of which `familiarity` is known.
///
/// # Formula
///
/// A key the agent used in an earlier hour costs nothing. A new one costs −log2(ρ·s): ρ = (θ + d·kinds)/(θ + n),
/// the probability that the agent's next key is a new one (Pitman–Yor, n active hours), and s the share of its
/// peers that use this key. So an agent that was born today and does what its peers do surprises nobody, which
/// the textbook probability of one key among all keys does not achieve (docs/adr).
pub fn judge(
    baselines: &Baselines,
    own: Option<&TypeBaseline>,
    space: KeySpace,
    key: Key,
    familiarity: Familiarity,
) -> KeyBits {
    let bits = if familiarity.hours > 0.0 {
        0.0
    } else {
        let (peers, _) = baselines.key_share(own, space, key);
        -(familiarity.novelty_rate(ACCESS_LAW) * peers).log2()
    };
    KeyBits { space, key, bits, familiarity }
}

/// New resources of an hour that are no enumeration yet: a new task brings as many.
pub const EVERYDAY_NEW: f64 = 12.0;

/// What one more new resource adds to the surprise of all that are new in the running hour.
///
/// * `used`: different resources of the hour so far, this one included; ≥ 1;
/// * `bits`: its own surprise, as of [`judge`].
///
/// Returns bits, ≥ 0.
///
/// # Formula
///
/// max(0, bits − log2 used). Of n resources some k are new with probability at most Π(n·pᵢ)/k! (union bound over the
/// k-subsets); that the n-th is set against the n so far stands for the factorial. Resources of which so many may be
/// expected add nothing, so that a long hour is not unusual for being long.
pub fn enumeration_bits(used: f64, bits: f64) -> f64 {
    (bits - used.max(1.0).log2()).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Surprise of an hour in which every so many-th resource is new, each with these bits.
    fn surprise(resources: u32, every: u32, bits: f64) -> f64 {
        (1..=resources).filter(|n| n % every == 0).map(|n| enumeration_bits(f64::from(n), bits)).sum()
    }

    #[test]
    fn many_new_resources_at_once_say_more_than_any_of_them() {
        assert!(surprise(40, 1, 10.0) > 200.0);
    }

    #[test]
    fn a_long_hour_with_its_share_of_new_resources_says_little() {
        let (long, short) = (surprise(4000, 50, 5.6), surprise(50, 50, 5.6));
        assert!(long <= short + 1.0, "{long} {short}");
    }
}
