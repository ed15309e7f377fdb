//! STUN and TURN servers as typed in the settings, one a line. Pure.

use mycomesh_net::IceServer;

/// Servers a page may use. Browsers ask all of them for every connection and warn above four.
pub const SERVERS_MAX: usize = 4;
/// The longest line taken; real ones are below a hundred bytes.
const LINE_BYTES_MAX: usize = 512;

/// Read servers, one a line: `stun:host:port`, or `turn:host:port name password`. Empty lines are
/// skipped; the error says what is wrong. A browser refuses every WebRTC connection when one of its
/// servers is malformed, so nothing doubtful may pass.
pub fn parse(text: &str) -> Result<Vec<IceServer>, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let servers = lines.map(line).collect::<Result<Vec<_>, _>>()?;
    if servers.len() > SERVERS_MAX {
        return Err(format!("At most {SERVERS_MAX} servers are used; these are {}.", servers.len()));
    }
    Ok(servers)
}

/// What [`parse`] reads back.
pub fn shown(servers: &[IceServer]) -> String {
    let line = |server: &IceServer| {
        let parts = server.urls.iter().chain(&server.username).chain(&server.credential);
        parts.map(String::as_str).collect::<Vec<_>>().join(" ")
    };
    servers.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn line(line: &str) -> Result<IceServer, String> {
    if line.len() > LINE_BYTES_MAX {
        return Err(format!("A line is longer than {LINE_BYTES_MAX} bytes."));
    }
    let mut words = line.split_whitespace();
    let url = words.next().unwrap_or_default();
    let (username, credential) = (words.next().map(str::to_owned), words.next().map(str::to_owned));
    let wrong = |what: &str| Err(format!("“{url}” {what}"));
    if words.next().is_some() {
        return wrong("is followed by more than a name and a password.");
    }
    let Some((scheme, rest)) = url.split_once(':') else {
        return wrong("does not begin with stun:, stuns:, turn: or turns:.");
    };
    let (place, query) = rest.split_once('?').map_or((rest, None), |(place, query)| (place, Some(query)));
    let turn = match scheme {
        "stun" | "stuns" => false,
        "turn" | "turns" => true,
        _ => return wrong("does not begin with stun:, stuns:, turn: or turns:."),
    };
    if !is_place(place) {
        return wrong("names no host, or a port that is none: stun:example.org:3478 is well-formed.");
    }
    match (turn, query) {
        (_, None) | (true, Some("transport=udp" | "transport=tcp")) => {}
        _ => return wrong("ends in something else than ?transport=udp or ?transport=tcp, which only turn: may have."),
    }
    match (turn, &username, &credential) {
        (true, Some(_), Some(_)) | (false, None, None) => {}
        (true, ..) => return wrong("needs a name and a password behind it, with spaces between."),
        (false, ..) => return wrong("is a STUN server and takes no name or password."),
    }
    Ok(IceServer { urls: vec![url.to_owned()], username, credential })
}

/// `host`, `host:port`, `[::1]` or `[::1]:port`.
fn is_place(place: &str) -> bool {
    let (host_fits, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => (host.parse::<std::net::Ipv6Addr>().is_ok(), port),
        None => {
            let (host, port) = place.split_at(place.find(':').unwrap_or(place.len()));
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
            (!host.is_empty() && host.bytes().all(fits), port)
        }
    };
    host_fits && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Result<usize, &str>) {
        match (parse(text), expect) {
            (Ok(servers), Ok(count)) => {
                assert_eq!(servers.len(), count, "{text}");
                assert_eq!(parse(&shown(&servers)).as_ref(), Ok(&servers), "{text}");
            }
            (Err(found), Err(part)) => assert!(found.contains(part), "{text}: {found}"),
            (found, wanted) => panic!("{text}: {found:?} where {wanted:?} was expected"),
        }
    }

    #[test]
    fn servers_are_read_line_by_line_and_shown_as_they_were_typed() {
        check("", Ok(0));
        check("stun:stun.example.org\n\n  stun:192.0.2.1:3478 ", Ok(2));
        check("turn:turn.example.org:3478?transport=udp ada secret\nturns:[2001:db8::1]:5349 ada secret", Ok(2));
        check("stun:[::1]", Ok(1));
    }

    #[test]
    fn what_a_browser_would_refuse_is_told_before_it_is_kept() {
        for text in ["example.org", "https://example.org", "http:example.org", "STUN"] {
            check(text, Err("does not begin with"));
        }
        for text in [
            "stun:",
            "stun:example.org:",
            "stun:example.org:0",
            "stun:example.org:70000",
            "stun:exa mple:1",
            "stun:a:b:c",
            "stun:[zz]:1",
            "stun:[::1]1",
            "stun://example.org",
            "stun:example.org:+1",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        check("stun:example.org?transport=udp", Err("only turn: may have"));
        check("turn:example.org?transport=quic a b", Err("only turn: may have"));
        check("turn:example.org", Err("needs a name and a password"));
        check("turn:example.org ada", Err("needs a name and a password"));
        check("stun:example.org ada secret", Err("takes no name"));
        check("turn:example.org ada sec ret", Err("more than a name"));
        check(&"stun:example.org\n".repeat(5), Err("At most 4"));
        check(&format!("stun:{}", "a".repeat(600)), Err("longer than"));
    }
}
