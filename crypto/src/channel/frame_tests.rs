use proptest::prelude::*;

use super::*;

const NOW: Duration = Duration::from_secs(1000);

fn message(length: usize) -> Vec<u8> {
    (0..length).map(|i| u8::try_from(i % 251).unwrap()).collect()
}

fn frames(id: u8, length: usize) -> Vec<Vec<u8>> {
    Splitter { next_id: id }.split(&message(length), LEAST_FRAME_BYTES).unwrap()
}

/// What a reassembler says of one frame after the other.
fn push_all(frames: &[Vec<u8>]) -> Vec<Result<Option<Vec<u8>>, FrameError>> {
    let mut reassembler = Reassembler::default();
    frames.iter().map(|frame| reassembler.push(frame, NOW)).collect()
}

fn last_of(frames: &[Vec<u8>]) -> Result<Option<Vec<u8>>, FrameError> {
    push_all(frames).pop().unwrap()
}

#[test]
fn a_frame_is_as_long_as_the_mtu_allows_but_never_longer_than_244_bytes() {
    for (mtu, bytes) in [(0, 20), (22, 20), (23, 20), (24, 21), (185, 182), (247, 244), (248, 244), (u16::MAX, 244)] {
        assert_eq!(frame_bytes(mtu), bytes, "MTU {mtu}");
    }
}

#[test]
fn the_header_is_flags_id_index_and_in_the_first_frame_the_length() {
    let frames = frames(7, 40);
    assert_eq!(frames.iter().map(|frame| frame[..3].to_vec()).collect::<Vec<_>>(), [[1, 7, 0], [0, 7, 1], [2, 7, 2]]);
    assert_eq!(frames[0][3..5], [0, 40]);
    assert_eq!(frames.iter().map(Vec::len).collect::<Vec<_>>(), [20, 20, 11]);
    let mut splitter = Splitter { next_id: 255 };
    assert_eq!(splitter.split(b"x", 20).unwrap(), [[3, 255, 0, 0, 1, b'x']]);
    assert_eq!(splitter.split(b"x", 20).unwrap(), [[3, 0, 0, 0, 1, b'x']], "the id goes round");
}

#[test]
fn frames_are_what_the_second_implementation_says() {
    let vectors: serde_json::Value = serde_json::from_str(include_str!("../../vectors/ble.json")).unwrap();
    let hex = |value: &serde_json::Value| data_encoding::HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap();
    for vector in vectors["frames"].as_array().unwrap() {
        let frame_bytes = frame_bytes(u16::try_from(vector["mtu"].as_u64().unwrap()).unwrap());
        let frames = Splitter::default().split(&hex(&vector["message"]), frame_bytes).unwrap();
        assert_eq!(frames, vector["frames"].as_array().unwrap().iter().map(hex).collect::<Vec<_>>());
    }
}

#[test]
fn a_message_has_1_to_8192_bytes() {
    assert_eq!(Splitter::default().split(&[], 244), Err(LengthError(0)));
    assert_eq!(Splitter::default().split(&message(8193), 244), Err(LengthError(8193)));
    assert_eq!(last_of(&frames(0, 8192)), Ok(Some(message(8192))), "and its index goes round twice");
}

#[test]
fn a_frame_that_continues_nothing_is_refused() {
    use FrameError::{Announced, Flags, FrameLength, MessageLength, Order};
    let first = || frames(5, 40)[0].clone();
    let table: &[(&[Vec<u8>], FrameError)] = &[
        (&[vec![]], FrameLength),
        (&[vec![3, 0]], FrameLength),
        (&[vec![3, 0, 0, 0]], FrameLength),
        (&[vec![3, 0, 0, 0, 1]], FrameLength),
        (&[[&[3, 0, 0, 0, 240], message(240).as_slice()].concat()], FrameLength),
        (&[vec![8, 0, 0, 0, 1, 1]], Flags),
        (&[vec![5, 0, 0, 0, 1, 1]], Flags),
        (&[vec![3, 0, 0, 0, 0, 1]], MessageLength),
        (&[vec![1, 0, 0, 0x20, 1, 1]], MessageLength),
        (&[vec![0, 5, 0, 1]], Order),
        (&[vec![3, 0, 1, 0, 1, 1]], Order),
        (&[first(), first()], Order),
        (&[first(), vec![0, 5, 2, 1]], Order),
        (&[first(), vec![0, 6, 1, 1]], Order),
        (&[first(), vec![0, 5, 1]], FrameLength),
        (&[first(), vec![2, 5, 1, 1]], Announced),
        (&[vec![3, 0, 0, 0, 2, 1]], Announced),
        (&[vec![1, 0, 0, 0, 1, 1]], Announced),
        (&[vec![3, 0, 0, 0, 1, 1, 1]], Announced),
    ];
    for (frames, error) in table {
        assert_eq!(last_of(frames), Err(*error), "{frames:?}");
    }
}

#[test]
fn one_error_is_enough_for_all_of_a_message() {
    let mut frames = frames(9, 100);
    frames.remove(1);
    let said = push_all(&frames);
    assert_eq!(said.iter().filter(|result| result.is_err()).count(), 1);
    assert!(said.iter().all(|result| !matches!(result, Ok(Some(_)))));
    frames.extend(self::frames(10, 30));
    assert_eq!(last_of(&frames), Ok(Some(message(30))), "and the next one is whole");
}

#[test]
fn an_abort_gives_up_what_is_under_way_and_is_no_error() {
    let mut frames = vec![self::frames(1, 40)[0].clone(), vec![4, 1, 1]];
    assert_eq!(last_of(&frames), Ok(None));
    frames.extend(self::frames(2, 40));
    assert_eq!(last_of(&frames), Ok(Some(message(40))));
    assert_eq!(last_of(&[vec![4, 1, 1]]), Ok(None), "and so it is when there is nothing");
}

#[test]
fn a_message_must_be_complete_30_s_after_its_first_frame() {
    let frames = frames(1, 30);
    let mut reassembler = Reassembler::default();
    reassembler.push(&frames[0], NOW).unwrap();
    assert_eq!(reassembler.deadline(), Some(NOW + MESSAGE_TIME));
    assert_eq!(reassembler.push(&frames[1], NOW + MESSAGE_TIME), Err(FrameError::Order));
    reassembler.push(&frames[0], NOW).unwrap();
    let just = NOW + MESSAGE_TIME.checked_sub(Duration::from_millis(1)).unwrap();
    assert_eq!(reassembler.push(&frames[1], just), Ok(Some(message(30))));
    assert_eq!(reassembler.deadline(), None);
}

/// What may happen to a frame on its way.
#[derive(Clone, Copy, Debug)]
enum Mishap {
    Drop(usize),
    Repeat(usize),
    Swap(usize),
    Change(usize, usize, u8),
}

fn mishaps() -> impl Strategy<Value = Vec<Mishap>> {
    let mishap = prop_oneof![
        any::<usize>().prop_map(Mishap::Drop),
        any::<usize>().prop_map(Mishap::Repeat),
        any::<usize>().prop_map(Mishap::Swap),
        (any::<usize>(), 0..3_usize, any::<u8>()).prop_map(|(at, byte, to)| Mishap::Change(at, byte, to)),
    ];
    proptest::collection::vec(mishap, 0..6)
}

fn apply(frames: &mut Vec<Vec<u8>>, mishap: Mishap) {
    let count = frames.len().max(2);
    match mishap {
        Mishap::Drop(at) if frames.len() > 1 => drop(frames.remove(at % count)),
        Mishap::Repeat(at) if frames.len() > 1 => frames.insert(at % count, frames[at % count].clone()),
        Mishap::Swap(at) if frames.len() > 1 => frames.swap(at % (count - 1), at % (count - 1) + 1),
        Mishap::Change(at, byte, to) if frames.len() > 1 => frames[at % count][byte] = to,
        _ => {}
    }
}

proptest! {
    #[test]
    fn every_message_arrives_through_every_mtu(length in 1..=MAX_MESSAGE_BYTES, mtu: u16, id: u8) {
        let frames = Splitter { next_id: id }.split(&message(length), frame_bytes(mtu)).unwrap();
        prop_assert!(frames.iter().all(|frame| frame.len() <= frame_bytes(mtu)));
        let mut said = push_all(&frames);
        prop_assert_eq!(said.pop().unwrap(), Ok(Some(message(length))));
        prop_assert!(said.iter().all(|result| *result == Ok(None)));
    }

    #[test]
    fn what_is_delivered_was_sent_whatever_happens_on_the_way(
        lengths in proptest::collection::vec(1..200_usize, 1..6),
        mishaps in mishaps(),
    ) {
        let mut splitter = Splitter::default();
        let sent: Vec<Vec<u8>> =
            lengths.iter().enumerate().map(|(i, length)| vec![u8::try_from(i).unwrap(); *length]).collect();
        let mut frames: Vec<_> = sent.iter().flat_map(|message| splitter.split(message, 20).unwrap()).collect();
        for mishap in mishaps {
            apply(&mut frames, mishap);
        }
        for message in push_all(&frames).into_iter().flatten().flatten() {
            prop_assert!(sent.contains(&message));
        }
    }

    #[test]
    fn any_bytes_are_survived(frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..30), 0..40)) {
        for message in push_all(&frames).into_iter().flatten().flatten() {
            prop_assert!((1..=MAX_MESSAGE_BYTES).contains(&message.len()));
        }
    }
}
