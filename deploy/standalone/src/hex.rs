//! Hexadecimal encoding.

/// Encodes bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(digit).collect()
}

fn digit(value: u8) -> Option<char> {
    char::from_digit(u32::from(value), 16)
}

#[cfg(test)]
mod tests {
    #[test]
    fn bytes_are_two_lower_case_digits_each() {
        assert_eq!(super::hex(&[0, 0xab, 0x7f]), "00ab7f");
    }
}
