//! How many different keys? Exact for a few, then a sketch with a known error.
//!
//! Knows 64-bit keyed hashes. Must not know what they name.

/// Up to this many keys the count is exact.
pub const EXACT: usize = 64;
const PRECISION: u32 = 10;
const REGISTERS: usize = 1 << PRECISION;
/// Relative standard error of a count above [`EXACT`]: 1.04/√1024.
pub const RELATIVE_ERROR: f64 = 0.0325;

/// A set of keys of which only the size can be asked. At most 1 KiB.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Distinct {
    held: Held,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Held {
    /// Sorted keys.
    Exact(Vec<u64>),
    /// Per register the largest number of leading zeros seen, plus one.
    Registers(Box<[u8; REGISTERS]>),
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
