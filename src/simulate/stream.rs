//! Random streams: one per purpose, agent and session, so that nothing drawn for one moves another.
//!
//! Knows seeds and hashing. Must not know what is drawn.

use std::hash::Hasher;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use siphasher::sip::SipHasher13;

/// What a stream is for. Streams of different purposes are independent.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    /// Traits of an agent.
    Agent = 1,
    /// Starts of an agent's sessions.
    Arrivals = 2,
    /// Calls of a session.
    Session = 3,
    /// What an attack adds to a session.
    Attack = 4,
    /// Dates of an agent type.
    Type = 5,
}

/// The stream of one `purpose`, `owner` (an agent or agent type) and `number` (of the session).
///
/// The key of the cipher *is* the tuple: different tuples cannot collide.
pub fn stream(seed: u64, purpose: Purpose, owner: u32, number: u32) -> ChaCha8Rng {
    let mut key = [0u8; 32];
    let words = [seed, purpose as u64, u64::from(owner), u64::from(number)];
    for (part, word) in key.chunks_exact_mut(8).zip(words) {
        part.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

/// What a hash is for. Hashes of different salts are independent.
#[derive(Clone, Copy, Debug)]
pub enum Salt {
    /// Key of an agent's habits.
    Habits = 1,
    /// How long one of its places stays filled, and since when.
    Place,
    /// What fills it.
    Favourite,
    /// Id of a session.
    Session,
    /// The person a session works for.
    Person,
    /// Id of a credential.
    Credential,
    /// Whether a session is attacked.
    Dice,
    /// Id of an event.
    Event,
    /// Hash of an argument's value.
    Value,
    /// How a type decides a kind of case.
    Custom,
}

/// A keyed 64-bit hash of two numbers: ids, value hashes, and choices that must be the same whenever they are asked for.
pub fn mix(seed: u64, salt: Salt, a: u64, b: u64) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(seed, salt as u64);
    hasher.write_u64(a);
    hasher.write_u64(b);
    hasher.finish()
}

/// Maps a hash to the unit interval, `[0, 1)`.
pub fn unit(hash: u64) -> f64 {
    // 53 bits are what a double holds exactly.
    (hash >> 11) as f64 / (1u64 << 53) as f64
}

/// A rank in `0..n` that falls off like 1/(rank + 1), from a uniform number in `[0, 1)`. 0 when `n` is 0.
///
/// # Formula
///
/// ⌊(n + 1)^u⌋ − 1, so that P(rank = k) = ln((k + 2)/(k + 1))/ln(n + 1): the log-uniform distribution,
/// close to Zipf's law with exponent 1. Inversion needs one number, so that a rank can also be a function of a hash.
pub fn zipf_rank(n: u32, uniform: f64) -> u32 {
    let rank = (f64::from(n) + 1.0).powf(uniform).floor() as u32;
    rank.saturating_sub(1).min(n.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use rand::RngCore;

    use super::*;

    #[test]
    fn streams_of_neighbours_differ() {
        let first = |purpose, owner, number| stream(7, purpose, owner, number).next_u64();
        let all = [
            first(Purpose::Session, 1, 1),
            first(Purpose::Session, 1, 2),
            first(Purpose::Session, 2, 1),
            first(Purpose::Attack, 1, 1),
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(all.iter().skip(i + 1).all(|b| a != b));
        }
    }

    #[test]
    fn ranks_follow_the_stated_law() {
        let n = 50;
        let draws = 200_000u64;
        let mut counts = vec![0u32; n as usize];
        for i in 0..draws {
            counts[zipf_rank(n, unit(mix(1, Salt::Value, i, 3))) as usize] += 1;
        }
        for k in [0usize, 1, 9, 49] {
            let expected = ((k as f64 + 2.0) / (k as f64 + 1.0)).ln() / (f64::from(n) + 1.0).ln();
            let seen = f64::from(counts[k]) / draws as f64;
            assert!(
                (seen - expected).abs() < 4.0 * (expected / draws as f64).sqrt(),
                "{k}: {seen} {expected}"
            );
        }
    }

    #[test]
    fn a_rank_of_nothing_is_zero() {
        assert_eq!(zipf_rank(0, 0.99), 0);
        assert_eq!(zipf_rank(1, 0.99), 0);
    }
}
