//! Products of 64 bits where they fit: on the filter's target, 128 bits and checked products are function calls.

/// The product, where the factors' lengths say that it fits; nothing where it may not.
#[inline]
#[must_use]
pub(crate) fn product(a: u64, b: u64) -> Option<u64> {
    let zeros = a.leading_zeros().saturating_add(b.leading_zeros());
    // A product has at most as many bits as its factors have together.
    (zeros >= u64::BITS).then(|| a.wrapping_mul(b))
}

#[cfg(test)]
mod tests {
    use super::product;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_it_gives_is_the_product(a: u64, b: u64, shift_a in 0..64_u32, shift_b in 0..64_u32) {
            let (a, b) = (a >> shift_a, b >> shift_b);
            if let Some(product) = product(a, b) {
                prop_assert_eq!(Some(product), a.checked_mul(b));
            }
        }
    }

    #[test]
    fn what_is_short_fits() {
        assert_eq!(product(u64::from(u32::MAX), u64::from(u32::MAX)), Some(0xFFFF_FFFE_0000_0001));
        assert_eq!((product(1 << 32, 1 << 32), product(0, u64::MAX)), (None, Some(0)));
    }
}
