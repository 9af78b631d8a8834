//! How many different keys? Exact for a few, then a sketch with a known error.
//!
//! Knows 64-bit keyed hashes. Must not know what they name.

use serde::{Deserialize, Serialize};
/// Up to this many keys the count is exact.
pub const EXACT: usize = 64;
const PRECISION: u32 = 10;
const REGISTERS: usize = 1 << PRECISION;
/// Relative standard error of a count above [`EXACT`]: 1.04/√1024.
pub const RELATIVE_ERROR: f64 = 0.0325;

/// A set of keys of which only the size can be asked. At most 1 KiB.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Distinct {
    held: Held,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Held {
    /// Sorted keys.
    Exact(Vec<u64>),
    /// Per register the largest number of leading zeros seen, plus one.
    #[serde(with = "registers")]
    Registers(Box<[u8; REGISTERS]>),
}

/// Registers as bytes: arrays of this length are no serde types.
mod registers {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::REGISTERS;

    #[expect(clippy::borrowed_box, reason = "serde hands over a reference to the field")]
    pub fn serialize<S: Serializer>(
        registers: &Box<[u8; REGISTERS]>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        registers.as_slice().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Box<[u8; REGISTERS]>, D::Error> {
        let bytes = Vec::<u8>::deserialize(deserializer)?.into_boxed_slice();
        bytes.try_into().map_err(|_| D::Error::custom("a sketch of another size"))
    }
}

/// A number of different keys and how far it may be off.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Count {
    /// Different keys seen.
    pub keys: f64,
    /// One standard error. Keys; 0 where the count is exact.
    pub error: f64,
}

impl Default for Distinct {
    fn default() -> Self {
        Self { held: Held::Exact(Vec::new()) }
    }
}

impl Distinct {
    /// Adds a key; adding it again changes nothing. O(64) at most.
    pub fn add(&mut self, key: u64) {
        match &mut self.held {
            Held::Exact(keys) => {
                if let Err(place) = keys.binary_search(&key) {
                    if keys.len() < EXACT {
                        keys.insert(place, key);
                    } else {
                        let mut registers = Box::new([0; REGISTERS]);
                        for &k in keys.iter().chain([&key]) {
                            raise(&mut registers, k);
                        }
                        self.held = Held::Registers(registers);
                    }
                }
            }
            Held::Registers(registers) => raise(registers, key),
        }
    }

    /// Adds another set: the result counts the union.
    pub fn merge(&mut self, other: &Self) {
        match &other.held {
            Held::Exact(keys) => keys.iter().for_each(|&key| self.add(key)),
            Held::Registers(theirs) => {
                let mut ours = match &self.held {
                    Held::Registers(registers) => registers.clone(),
                    Held::Exact(keys) => {
                        let mut registers = Box::new([0; REGISTERS]);
                        keys.iter().for_each(|&key| raise(&mut registers, key));
                        registers
                    }
                };
                for (to, from) in ours.iter_mut().zip(theirs.iter()) {
                    *to = (*to).max(*from);
                }
                self.held = Held::Registers(ours);
            }
        }
    }

    /// How many different keys were added.
    ///
    /// # Formula
    ///
    /// HyperLogLog with the improved raw estimator, which needs no bias table: Ertl, *New cardinality
    /// estimation algorithms for HyperLogLog sketches*, arXiv:1702.01284, algorithm 6.
    pub fn count(&self) -> Count {
        let registers = match &self.held {
            Held::Exact(keys) => return Count { keys: keys.len() as f64, error: 0.0 },
            Held::Registers(registers) => registers,
        };
        const WIDTH: usize = 64 - PRECISION as usize;
        let mut histogram = [0u32; WIDTH + 2];
        for &r in registers.iter() {
            if let Some(slot) = histogram.get_mut(usize::from(r)) {
                *slot += 1;
            }
        }
        let m = REGISTERS as f64;
        let at = |k: usize| f64::from(histogram.get(k).copied().unwrap_or(0));
        let mut z = m * tau(1.0 - at(WIDTH + 1) / m);
        for k in (1..=WIDTH).rev() {
            z = 0.5 * (z + at(k));
        }
        z += m * sigma(at(0) / m);
        // Chosen keys can fill every register (z = 0); there are no more than 2⁶⁴ keys.
        let keys = (m * m / (2.0 * std::f64::consts::LN_2 * z)).min(u64::MAX as f64);
        Count { keys, error: keys * RELATIVE_ERROR }
    }
}

fn raise(registers: &mut [u8; REGISTERS], key: u64) {
    let index = (key >> (64 - PRECISION)) as usize;
    let rank = ((key << PRECISION) | (1 << (PRECISION - 1))).leading_zeros() as u8 + 1;
    if let Some(register) = registers.get_mut(index) {
        *register = (*register).max(rank);
    }
}

/// σ(x) = x + Σ x^(2^k)·2^(k−1); Ertl 2017, eq. 12 ff.
fn sigma(x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut x, mut y, mut z) = (x, 1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z <= before {
            return z;
        }
    }
}

/// τ(x) = ⅓(1 − x − Σ (1 − x^(2^−k))²·2^−k); Ertl 2017, eq. 16 ff.
fn tau(x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut x, mut y, mut z) = (x, 1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z >= before {
            return z / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn of(keys: &[u64]) -> Distinct {
        let mut distinct = Distinct::default();
        keys.iter().for_each(|&key| distinct.add(key));
        distinct
    }

    /// Keys of which many repeat, few or many of them, so that every kind of merge happens.
    fn keys() -> impl Strategy<Value = Vec<u64>> {
        (1u64..300, any::<u64>(), 0usize..400).prop_map(|(range, seed, len)| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            (0..len).map(|_| super::super::key::mix(7, random.random_range(0..range))).collect()
        })
    }

    #[test]
    fn the_count_agrees_with_a_set_within_four_standard_errors() {
        for (size, seeds) in
            [(10, 3), (64, 3), (65, 200), (300, 200), (3_000, 100), (40_000, 20), (300_000, 3)]
        {
            let (mut squares, mut sum) = (0.0, 0.0);
            for seed in 0..seeds {
                let mut random = ChaCha8Rng::seed_from_u64(seed);
                let (mut fast, mut slow) = (Distinct::default(), BTreeSet::new());
                while slow.len() < size {
                    let key = random.random();
                    fast.add(key);
                    fast.add(key);
                    slow.insert(key);
                }
                let count = fast.count();
                let off = count.keys - slow.len() as f64;
                assert_eq!(count.error == 0.0, size <= EXACT);
                assert!(off.abs() <= 4.0 * count.error, "{} against {size}, seed {seed}", count.keys);
                squares += (off / size as f64).powi(2);
                sum += off / size as f64;
            }
            let n = seeds as f64;
            assert!((sum / n).abs() <= 4.0 * RELATIVE_ERROR / n.sqrt(), "biased by {} at {size}", sum / n);
            assert!(
                (squares / n).sqrt() <= 1.5 * RELATIVE_ERROR,
                "spread {} at {size}",
                (squares / n).sqrt()
            );
        }
    }

    #[test]
    fn a_sketch_with_one_bit_less_would_be_noticed() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let keys: Vec<u64> = (0..3_000).map(|_| random.random::<u64>() & !(1 << 63)).collect();
        let count = of(&keys).count();
        assert!((count.keys - 3_000.0).abs() > 4.0 * count.error, "{}", count.keys);
    }

    proptest! {
        #[test]
        fn merging_commutes_and_equals_the_union(a in keys(), b in keys()) {
            let mut one = of(&a);
            one.merge(&of(&b));
            let mut other = of(&b);
            other.merge(&of(&a));
            prop_assert_eq!(&one, &other);
            prop_assert_eq!(one, of(&[a, b].concat()));
        }

        #[test]
        fn merging_groups_in_any_way_and_twice_changes_nothing(a in keys(), b in keys(), c in keys()) {
            let (mut left, mut right) = (of(&a), of(&b));
            right.merge(&of(&c));
            left.merge(&of(&b));
            left.merge(&of(&c));
            let mut nested = of(&a);
            nested.merge(&right);
            prop_assert_eq!(&left, &nested);
            nested.merge(&right);
            prop_assert_eq!(left, nested);
        }

        #[test]
        fn the_order_of_adding_does_not_matter(keys in keys()) {
            let mut sorted = keys.clone();
            sorted.sort_unstable();
            prop_assert_eq!(of(&keys), of(&sorted));
        }

        #[test]
        fn a_few_keys_are_counted_exactly(keys in prop::collection::vec(any::<u64>(), 0..=EXACT)) {
            let slow: BTreeSet<_> = keys.iter().collect();
            prop_assert_eq!(of(&keys).count(), Count { keys: slow.len() as f64, error: 0.0 });
        }

        #[test]
        fn one_more_key_never_counts_for_less(keys in keys(), key in any::<u64>()) {
            // Where the exact count ends the sketch may start a few keys below it.
            let mut more = of(&keys);
            more.add(key);
            let (before, after) = (of(&keys).count(), more.count());
            prop_assert!(after.keys >= before.keys - 4.0 * after.error);
            prop_assert!(before.error == 0.0 || after.keys >= before.keys);
        }
    }

    #[test]
    fn chosen_keys_cannot_make_the_count_infinite() {
        let fill: Vec<u64> = (0..REGISTERS as u64).map(|register| register << (64 - PRECISION)).collect();
        let count = of(&fill).count();
        assert!(count.keys.is_finite() && count.error.is_finite(), "{count:?}");
        let one_register: Vec<u64> = (0..1_000).collect();
        assert!(of(&one_register).count().keys.is_finite());
        assert_eq!(of(&[0, u64::MAX, 0]).count().keys, 2.0);
    }
}
