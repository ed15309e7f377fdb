//! Names for peers that gave none: two words made from the id, the same on every screen.
//!
//! They help people talk about a peer; they prove nothing. Whoever wants certainty compares the id.

use libp2p_identity::PeerId;

/// Two words for `peer`. 4,096 combinations: enough to tell a screenful of peers apart.
pub fn petname(peer: &PeerId) -> String {
    // The last bytes of an Ed25519 id are key material, evenly spread.
    let bytes = peer.to_bytes();
    let byte = |back: usize| bytes.get(bytes.len().wrapping_sub(back)).copied().unwrap_or_default();
    let (first, second) = (usize::from(byte(1)) % FIRST.len(), usize::from(byte(2)) % SECOND.len());
    format!("{} {}", FIRST[first], SECOND[second])
}

const FIRST: [&str; 64] = [
    "Amber", "Ashen", "Autumn", "Birch", "Bold", "Brisk", "Calm", "Cedar", "Clear", "Cloudy", "Copper", "Coral",
    "Crisp", "Dawn", "Deep", "Dewy", "Dusky", "Eager", "Early", "Fern", "Fleet", "Foggy", "Gentle", "Gilded", "Glad",
    "Hazel", "Hidden", "Humble", "Ivory", "Jade", "Keen", "Kind", "Late", "Light", "Lunar", "Maple", "Merry", "Mild",
    "Misty", "Mossy", "Noble", "Northern", "Ochre", "Olive", "Patient", "Pine", "Plain", "Quick", "Quiet", "Rainy",
    "Russet", "Sandy", "Silver", "Slate", "Snowy", "Solar", "Steady", "Still", "Sunny", "Tidal", "Umber", "Velvet",
    "Warm", "Willow",
];

const SECOND: [&str; 64] = [
    "Alder", "Badger", "Bay", "Beetle", "Brook", "Cairn", "Cove", "Crane", "Creek", "Cricket", "Crow", "Curlew",
    "Delta", "Dove", "Dune", "Elk", "Falcon", "Field", "Finch", "Fjord", "Fox", "Glade", "Grove", "Gull", "Hare",
    "Harbour", "Heath", "Heron", "Hill", "Ibis", "Island", "Jay", "Kestrel", "Lake", "Lark", "Ledge", "Lichen", "Lynx",
    "Marsh", "Marten", "Meadow", "Moth", "Newt", "Oak", "Orchard", "Otter", "Owl", "Pebble", "Plover", "Pond", "Raven",
    "Reed", "Ridge", "River", "Robin", "Shore", "Sparrow", "Spring", "Stone", "Swift", "Thicket", "Valley", "Wren",
    "Yarrow",
];

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use super::*;

    #[test]
    fn a_peer_has_the_same_name_everywhere() {
        let peer = PeerId::from_str("12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp").expect("an id");
        assert_eq!(petname(&peer), petname(&peer));
        assert_eq!(petname(&peer).split(' ').count(), 2);
    }
}
