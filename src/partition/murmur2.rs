//! On which partition a key lies, as Kafka's own partitioner has it.
//!
//! Knows the hash. Must not know what a key means.

/// Seed and constants of the hash, as `org.apache.kafka.common.utils.Utils.murmur2` has them.
const SEED: u32 = 0x9747_b28c;
const M: u32 = 0x5bd1_e995;
const R: u32 = 24;

/// The partition of a record with this key.
///
/// * `partitions`: of its topic; 0 counts as 1.
///
/// Returns a number below `partitions`. Linear in the key.
///
/// # Formula
///
/// `toPositive(murmur2(key)) % partitions`: MurmurHash2, 32 bits, by Austin Appleby, with the seed of Kafka. Source:
/// `Utils.murmur2` and `BuiltInPartitioner.partitionForKey` of Apache Kafka.
pub fn partition_of(key: &[u8], partitions: u32) -> u32 {
    (murmur2(key) & 0x7fff_ffff) % partitions.max(1)
}

fn murmur2(key: &[u8]) -> u32 {
    let (words, rest) = key.as_chunks::<4>();
    let mut hash = SEED ^ key.len() as u32;
    for word in words {
        let word = u32::from_le_bytes(*word).wrapping_mul(M);
        let word = (word ^ (word >> R)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ word;
    }
    if !rest.is_empty() {
        let last = rest.iter().rev().fold(0, |last, byte| last << 8 | u32::from(*byte));
        hash = (hash ^ last).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of Kafka's own `UtilsTest.testMurmur2`.
    #[test]
    fn the_hash_is_that_of_java() {
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()), hash as u32, "{key}");
        }
    }

    #[test]
    fn every_partition_gets_its_share() {
        let mut shares = [0u32; 7];
        for agent in 0..7000 {
            shares[partition_of(format!("agent-{agent}").as_bytes(), 7) as usize] += 1;
        }
        assert!(shares.iter().all(|share| (850..1150).contains(share)), "{shares:?}");
    }
}
