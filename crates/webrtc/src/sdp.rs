//! Session descriptions of `/webrtc-direct`, where no offer travels: the dialler makes up the listener's answer from its
//! address, and both sides know the ICE credentials beforehand. See the libp2p specification "WebRTC Direct".

use std::{fmt::Write as _, net::SocketAddr};

use multihash::Multihash;

/// The code of SHA2-256 in multihashes.
const SHA2_256: u64 = 0x12;
/// What the specification puts in front of the random part of the ICE credentials.
const UFRAG_PREFIX: &str = "libp2p+webrtc+v1/";
/// What Noise mixes in, before both fingerprints, so that the DTLS session and the identities belong together.
const PROLOGUE_PREFIX: &[u8] = b"libp2p-webrtc-noise:";

/// SHA2-256 of a DTLS certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint(pub(crate) [u8; 32]);

impl Fingerprint {
    /// Of `/certhash/…` in an address; none for other hashes than SHA2-256.
    pub(crate) fn from_multihash(hash: &Multihash<64>) -> Option<Self> {
        (hash.code() == SHA2_256).then(|| hash.digest().try_into().ok().map(Self)).flatten()
    }

    /// Of the certificate that a description of ours names.
    pub(crate) fn from_sdp(sdp: &str) -> Option<Self> {
        let value = sdp.lines().find_map(|line| line.strip_prefix("a=fingerprint:sha-256 "))?;
        let mut digest = [0; 32];
        let mut parts = value.trim().split(':');
        for byte in &mut digest {
            *byte = octet(parts.next()?)?;
        }
        parts.next().is_none().then_some(Self(digest))
    }

    /// Upper-case pairs with colons, as descriptions have it (RFC 8122).
    fn to_sdp(self) -> String {
        self.0.map(|byte| format!("{byte:02X}")).join(":")
    }

    /// As a multihash: code, length, digest.
    fn put_multihash(self, out: &mut Vec<u8>) {
        out.extend([SHA2_256 as u8, 32]);
        out.extend(self.0);
    }
}

/// Two hex digits. Rust's own parser also takes a sign, or one digit.
fn octet(digits: &str) -> Option<u8> {
    let fits = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    fits.then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}

/// The ICE user name, which is the password as well, made of `entropy`.
pub(crate) fn ufrag(entropy: [u8; 32]) -> String {
    let mut text = UFRAG_PREFIX.to_owned();
    for byte in entropy {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The browser's offer with its ICE credentials replaced by `ufrag`, which tells the listener that this is libp2p.
pub(crate) fn munge(offer: &str, ufrag: &str) -> String {
    let mut out = String::with_capacity(offer.len() + 2 * ufrag.len());
    for line in offer.lines().filter(|line| !line.is_empty()) {
        match line.split_once(':') {
            Some((name @ ("a=ice-ufrag" | "a=ice-pwd"), _)) => {
                let _ = write!(out, "{name}:{ufrag}\r\n");
            }
            _ => {
                let _ = write!(out, "{line}\r\n");
            }
        }
    }
    out
}

/// The answer that the listener at `addr` would give.
pub(crate) fn answer(addr: SocketAddr, listener: Fingerprint, ufrag: &str) -> String {
    let family = if addr.is_ipv4() { "IP4" } else { "IP6" };
    let (ip, port, fingerprint) = (addr.ip(), addr.port(), listener.to_sdp());
    let lines = [
        "v=0".to_owned(),
        format!("o=- 0 0 IN {family} {ip}"),
        "s=-".into(),
        "t=0 0".into(),
        // The listener only answers connectivity checks.
        "a=ice-lite".into(),
        format!("m=application {port} UDP/DTLS/SCTP webrtc-datachannel"),
        format!("c=IN {family} {ip}"),
        "a=mid:0".into(),
        "a=ice-options:ice2".into(),
        format!("a=ice-ufrag:{ufrag}"),
        format!("a=ice-pwd:{ufrag}"),
        format!("a=fingerprint:sha-256 {fingerprint}"),
        // And is the DTLS server.
        "a=setup:passive".into(),
        "a=sctp-port:5000".into(),
        "a=max-message-size:16384".into(),
        format!("a=candidate:1467250027 1 UDP 1467250027 {ip} {port} typ host"),
        "a=end-of-candidates".into(),
    ];
    lines.into_iter().map(|line| line + "\r\n").collect()
}

/// What Noise mixes in.
pub(crate) fn prologue(dialler: Fingerprint, listener: Fingerprint) -> Vec<u8> {
    let mut out = PROLOGUE_PREFIX.to_vec();
    dialler.put_multihash(&mut out);
    listener.put_multihash(&mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\na=ice-ufrag:abcd\r\na=ice-pwd:efgh\r\n\
        a=fingerprint:sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F\r\n";

    fn counting() -> Fingerprint {
        Fingerprint(std::array::from_fn(|at| at as u8))
    }

    #[test]
    fn a_fingerprint_is_read_as_it_is_written() {
        assert_eq!(Fingerprint::from_sdp(OFFER), Some(counting()));
        assert!(OFFER.contains(&counting().to_sdp()));
        let changed = |to: &str| OFFER.replace(":1F", to);
        let bad = [changed(":1F:20"), changed(":F"), changed(":+F"), changed(":01F"), changed("")];
        let shorter = ["", "a=fingerprint:sha-256 00:01", "a=fingerprint:sha-1 00"];
        for bad in bad.iter().map(String::as_str).chain(shorter) {
            assert_eq!(Fingerprint::from_sdp(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_sha256_is_taken_from_an_address() {
        let hash = |code, digest: &[u8]| Multihash::wrap(code, digest).expect("short enough");
        assert_eq!(Fingerprint::from_multihash(&hash(SHA2_256, &counting().0)), Some(counting()));
        assert_eq!(Fingerprint::from_multihash(&hash(0x13, &counting().0)), None);
        assert_eq!(Fingerprint::from_multihash(&hash(SHA2_256, &[1, 2])), None);
    }

    #[test]
    fn munging_changes_the_credentials_and_nothing_else() {
        let munged = munge(OFFER, "libp2p+webrtc+v1/x");
        let expect = OFFER.replace("abcd", "libp2p+webrtc+v1/x").replace("efgh", "libp2p+webrtc+v1/x");
        assert_eq!(munged, expect);
    }

    #[test]
    fn the_answer_names_the_listener() {
        let text = answer("[::1]:4001".parse().expect("an address"), counting(), "u");
        for line in
            ["c=IN IP6 ::1", "m=application 4001 UDP/DTLS/SCTP webrtc-datachannel", "a=ice-ufrag:u", "a=ice-lite"]
        {
            assert!(text.lines().any(|other| other == line), "{line} in {text}");
        }
        assert!(text.lines().all(|line| !line.is_empty()) && text.ends_with("\r\n"));
        assert_eq!(Fingerprint::from_sdp(&text), Some(counting()));
    }

    #[test]
    fn the_prologue_is_the_specifications() {
        let bytes = prologue(counting(), Fingerprint([0xff; 32]));
        assert_eq!(bytes[..20], *b"libp2p-webrtc-noise:");
        assert_eq!(bytes[20..24], [0x12, 0x20, 0, 1]);
        assert_eq!(bytes[54..57], [0x12, 0x20, 0xff]);
        assert_eq!(bytes.len(), 20 + 2 * 34);
    }

    #[test]
    fn credentials_are_long_enough_and_of_allowed_characters() {
        let text = ufrag([0xab; 32]);
        assert!(text.starts_with(UFRAG_PREFIX));
        // ICE allows letters, digits, `+` and `/`, 256 at most; a password has 22 at least.
        assert!((22..=256).contains(&text.len()));
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte)));
    }
}
