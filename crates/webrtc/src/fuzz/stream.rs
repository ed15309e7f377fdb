//! Data-channel frames and the ends of streams.

use bytes::Bytes;
use prost::Message as _;

use crate::{
    FRAME_BYTES, FRAME_BYTES_MAX,
    frame::{Decoder, Flag, Frame, Malformed, payload_max, put_data, put_flag},
    half_close::{HalfClose, Reading, Writing},
};

/// A channel's bytes: the first says into how long messages the rest is cut.
pub fn frames(data: &[u8]) {
    let Some((&step, stream)) = data.split_first() else { return };
    let (frames, end) = cut(stream, stream.len());
    assert_eq!(cut(stream, step.into()), (frames.clone(), end), "how a stream is cut into messages changes nothing");

    let mut again = Vec::new();
    for frame in &frames {
        frame.encode_length_delimited(&mut again).expect("a vector grows as needed");
        if let Some(payload) = frame.message.clone().filter(|payload| payload.len() <= payload_max(FRAME_BYTES)) {
            let mut alone = Vec::new();
            put_data(payload, &mut alone);
            assert!(alone.len() <= FRAME_BYTES, "a payload that fits makes a frame that fits");
        }
        if let Some(Ok(flag)) = frame.flag.map(Flag::try_from) {
            let mut alone = Vec::new();
            put_flag(flag, &mut alone);
            assert_eq!(cut(&alone, 1).0.first().and_then(|frame| frame.flag), Some(flag as i32));
        }
    }
    // A flag beyond the known ones may take longer in its plain encoding than in the one that came.
    if frames.iter().all(|frame| frame.encoded_len() + 3 <= FRAME_BYTES_MAX) {
        assert_eq!(cut(&again, again.len()), (frames, None), "what was read is written and read as the same");
    }
}

fn cut(stream: &[u8], step: usize) -> (Vec<Frame>, Option<Malformed>) {
    let (mut decoder, mut frames) = (Decoder::default(), Vec::new());
    for message in stream.chunks(step.max(1)) {
        let pushed = decoder.push(Bytes::copy_from_slice(message), FRAME_BYTES_MAX, |frame| frames.push(frame));
        if let Err(malformed) = pushed {
            return (frames, Some(malformed));
        }
        assert!(decoder.held() < FRAME_BYTES_MAX, "less than a frame waits for its rest");
    }
    (frames, None)
}

/// What a remote and an owner do to one stream, a byte for each act.
pub fn halves(data: &[u8]) {
    let mut halves = HalfClose::default();
    let (mut fins, mut resets) = (0, 0);
    for act in data {
        let before = (halves.reading(), halves.writing(), halves.is_over());
        let said = match act % 8 {
            0 => halves.on_flag(Flag::Fin),
            1 => halves.on_flag(Flag::StopSending),
            2 => halves.on_flag(Flag::Reset),
            3 => halves.on_flag(Flag::FinAck),
            4 => halves.close_write(),
            5 => halves.drop_stream(),
            6 => {
                halves.lose();
                None
            }
            _ => {
                halves.channel_closed();
                None
            }
        };
        fins += u32::from(said == Some(Flag::Fin));
        resets += u32::from(said == Some(Flag::Reset));
        assert_eq!(halves.takes_data(), halves.reading() == Reading::MayCome);
        assert!(before.0 == Reading::MayCome || halves.reading() == before.0, "a half that ended stays as it ended");
        assert!(before.1 == Writing::Open || halves.writing() != Writing::Open, "a closed half opens no more");
        assert!(!before.2 || halves.is_over(), "what is over stays over");
        assert!(!halves.is_over() || !halves.takes_data() || halves.writing() == Writing::Lost);
    }
    assert!(fins <= 1 && resets <= 1, "an end is said once");
}
