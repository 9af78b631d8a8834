//! Mixing 64-bit keys into one.
//!
//! Knows keys that were hashed under a secret already. Must not know what they name.

/// Mixes two keys into one; order matters. Constant time.
///
/// The multiply-and-fold step is that of wyhash (Wang Yi, public domain): a 128-bit product, its halves
/// xor-ed. The inputs are keyed already, so that no key is needed here.
#[inline]
pub fn mix(a: u64, b: u64) -> u64 {
    let product =
        u128::from(a ^ 0x9E37_79B9_7F4A_7C15) * u128::from(b.rotate_left(32) ^ 0xD1B5_4A32_D192_ED03);
    (product as u64) ^ ((product >> 64) as u64) ^ a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixing_depends_on_order_and_on_both_sides() {
        assert_ne!(mix(1, 2), mix(2, 1));
        assert_ne!(mix(1, 2), mix(1, 3));
        assert_ne!(mix(0, 0), mix(0, 1));
        let mut seen: Vec<_> = (0..4096u64).map(|i| mix(i / 64, i % 64)).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 4096);
    }
}
