//! The fuzz target's function on a bounded number of random scripts.

use proptest::prelude::*;

use crate::drive::drive;

/// Steps are likelier than they are in random bytes, so that sessions come to be.
fn script() -> impl Strategy<Value = Vec<u8>> {
    let step = prop_oneof![
        2 => (0..2_u8, proptest::collection::vec(any::<u8>(), 0..60))
            .prop_map(|(step, bytes)| [&[step, u8::try_from(bytes.len()).unwrap()], bytes.as_slice()].concat()),
        1 => (prop_oneof![Just(1_u8), Just(3)], any::<u8>()).prop_map(|(kind, byte)| vec![1, 3, kind, byte, 5]),
        1 => (2..4_u8, any::<u8>()).prop_map(|(step, argument)| vec![step, argument]),
        6 => (4..10_u8, any::<u8>()).prop_map(|(step, argument)| vec![step, argument]),
        3 => any::<u8>().prop_map(|argument| [7, 0, 9, 0, 9, 0, 4, 0, 8, argument, 9, 0].to_vec()),
    ];
    proptest::collection::vec(step, 0..60).prop_map(|steps| steps.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_script_is_survived(script in script()) {
        drive(&script);
    }

    #[test]
    fn any_bytes_are_survived(script in proptest::collection::vec(any::<u8>(), 0..2000)) {
        drive(&script);
    }
}
