//! Every bound of a node, with its unit and its reason. Remote input never sizes memory: what goes
//! past a bound is refused, cut or evicted as the comment says.

use crate::{rates::Rate, time::Millis};

// --- frames ---------------------------------------------------------------------------------

/// A gossip frame. Presences and receipts are about 1 KiB; the rest is room for later kinds.
pub const GOSSIP_FRAME_BYTES_MAX: usize = 64 * 1024;
/// A request or a response.
pub const REQUEST_BYTES_MAX: usize = 256 * 1024;
/// What a page of objects may hold, leaving room for the frame around it.
pub const PAGE_BYTES_MAX: usize = 192 * 1024;
/// Objects in one page, so that many tiny ones do not cost a long verification at once.
pub const PAGE_OBJECTS_MAX: usize = 128;
/// Pages pulled from one neighbour at a time; ends a pull from a peer that never says "done".
/// Enough for everything that is held.
pub const PAGES_MAX: u32 = 128;
const _: () = assert!(PAGES_MAX as usize * PAGE_OBJECTS_MAX >= RECEIPTS_MAX);
const _: () = assert!(PAGES_MAX as usize * PAGE_OBJECTS_MAX / 2 >= PEERS_MAX);
/// Content ids in one `objects` request.
pub const OBJECT_IDS_MAX: usize = 64;

// --- texts ----------------------------------------------------------------------------------

/// An agent's name.
pub const NAME_BYTES_MAX: usize = 64;
/// A skill's name.
pub const SKILL_BYTES_MAX: usize = 48;
/// Skills of one agent.
pub const SKILLS_MAX: usize = 16;
/// The input of a direct task. Larger things travel as blobs.
pub const INPUT_BYTES_MAX: usize = 64 * 1024;
/// The output of a direct task.
pub const OUTPUT_BYTES_MAX: usize = 128 * 1024;
/// A reason given for declining or failing.
pub const REASON_BYTES_MAX: usize = 512;
/// A network's name.
pub const NETWORK_BYTES_MAX: usize = 32;
/// Tasks one peer works on at a time.
pub const SLOTS_MAX: u32 = 64;

// --- presence -------------------------------------------------------------------------------

/// Peers known at a time. Above it the one unheard of for longest goes, offline ones first.
pub const PEERS_MAX: usize = 4_096;
/// Addresses in one presence.
pub const PRESENCE_ADDRS_MAX: usize = 8;
/// The longest address taken, in bytes.
pub const ADDR_BYTES_MAX: usize = 256;
/// A presence is valid for this many intervals.
pub const PRESENCE_TTL_INTERVALS: u64 = 3;
/// The longest ttl taken from others: a hidden tab's is 180 s, a stretched one's longer.
pub const PRESENCE_TTL_MAX: Millis = Millis::secs(900);
/// What a hidden tab announces before its timers run once a minute.
pub const PRESENCE_TTL_HIDDEN: Millis = Millis::secs(180);
/// Presences a node wants to handle a second; intervals stretch to keep to it.
pub const PRESENCES_PER_SECOND_MAX: u64 = 8;
/// How long an offline peer is shown before it is forgotten. Longer than any presence is valid for
/// anybody, so that an old one cannot bring a peer back that said goodbye.
pub const OFFLINE_KEPT: Millis = Millis::secs(1_200);
const _: () = assert!(OFFLINE_KEPT.0 > PRESENCE_TTL_MAX.0 + 2 * CLOCK_SKEW_MAX.0);
/// How far a sender's clock may be off.
pub const CLOCK_SKEW_MAX: Millis = Millis::secs(120);

// --- cards and receipts ---------------------------------------------------------------------

/// Cards held; those of peers that are gone are evicted first.
pub const CARDS_MAX: usize = 4_096;
/// Receipts held, also bounded by `storage_bytes_max`. What strangers signed is evicted first, the oldest
/// of the provider with the most; what this peer signed itself last.
pub const RECEIPTS_MAX: usize = 10_000;
/// Receipts by one signer about one provider; the oldest goes first. More would not count anyway.
pub const RECEIPTS_PER_PAIR_MAX: usize = 32;
/// The longest a receipt is taken as evidence.
pub const RECEIPT_LIFETIME: Millis = Millis::secs(365 * 24 * 3_600);

// --- tasks ----------------------------------------------------------------------------------

/// Tasks held; ended and acknowledged ones are evicted first, oldest first.
pub const TASKS_MAX: usize = 1_000;
/// Tasks of this peer's own that have not ended.
pub const TASKS_OPEN_MAX: usize = 256;
/// Tasks waiting for this person; above it a request is rejected as busy.
pub const INBOX_MAX: usize = 64;
/// The longest a task may run, from asking to delivery.
pub const TASK_DURATION_MAX: Millis = Millis::secs(7 * 24 * 3_600);
/// The shortest a task may run.
pub const TASK_DURATION_MIN: Millis = Millis::secs(1);
/// How long a message of ours is tried after its task ended, before the outbox gives it up.
pub const OUTBOX_LIFETIME: Millis = Millis::secs(7 * 24 * 3_600);
/// First wait before an unacknowledged message is sent again; doubles up to the next limit.
pub const RETRY_MIN: Millis = Millis(1_000);
/// The longest wait between two tries while the peer is reachable.
pub const RETRY_MAX: Millis = Millis::secs(30);

// --- conduct --------------------------------------------------------------------------------

/// One violation fades in this time: two in a day are an accident, three in an hour are not. Guess.
pub const VIOLATION_FORGOTTEN: Millis = Millis::secs(3_600);
/// One doubling fades in this time after the end of the last quarantine. Longer than the longest
/// quarantine by default, so that waiting it out is not what makes it shorter. Guess.
pub const DOUBLING_FORGOTTEN: Millis = Millis::secs(7 * 24 * 3_600);
/// Doublings after which a quarantine stops growing: 2^7 times the first, about five days by default.
pub const DOUBLINGS_MAX: u32 = 7;

// --- rates ----------------------------------------------------------------------------------
// Each has room above what an honest peer does at most, so that only who does not keep to the
// protocol is ever above. A peer keeps to the `ASKING` rates by itself; what answers allows more.

/// Buckets kept; a full one goes first, then the fullest. Twice the peers: most have none, since a
/// bucket is full again within seconds.
pub const RATES_MAX: usize = 2 * PEERS_MAX;
/// Presences of one signer. An honest one signs five a second at most (changes are 200 ms apart).
/// At 50 a second the burst lasts 1.5 s and three violations another 2.2 s.
pub const PRESENCE_RATE: Rate = Rate { per_second: 6, burst: 64, violation: Some(32) };
/// Different cards that one peer's presences name; each costs a fetch. Nobody is blamed: a program may
/// change its card with each presence. What is not fetched now is with a later presence.
pub const CARD_RATE: Rate = Rate { per_second: 1, burst: 8, violation: None };
/// Receipts by one signer that come by gossip, each with three signatures to check and a write.
pub const RECEIPT_RATE: Rate = Rate { per_second: 8, burst: 64, violation: Some(32) };
/// Receipts of its own that a peer publishes; what is above waits.
pub const OWN_RECEIPT_RATE: Rate = Rate { per_second: 4, burst: 32, violation: None };
/// Peers unheard of whose presences one neighbour forwards. A crowd of two thousand may come through one
/// relay at once; a flood of invented ones fills the table slowly. The neighbour is not to blame.
pub const NEWCOMER_RATE: Rate = Rate { per_second: PRESENCES_PER_SECOND_MAX as u32, burst: 2_048, violation: None };
/// New receipts of others that one neighbour forwards. Not to blame either. Guess.
pub const STRANGERS_RECEIPT_RATE: Rate = Rate { per_second: 128, burst: 2_048, violation: None };
/// `presence/1` requests of one peer. The burst is one whole pull and some; an answer has
/// [`PAGE_BYTES_MAX`] bytes at most.
pub const PRESENCES_RATE: Rate = Rate { per_second: 16, burst: PAGES_MAX + 64, violation: Some(16) };
/// What a peer asks for itself; a pull that meets this limit goes on with the next link.
pub const ASKING_PRESENCES_RATE: Rate = Rate { per_second: 8, burst: PAGES_MAX, violation: None };
/// `objects/1` requests of one peer: a whole pull of receipts, and cards as they are named.
pub const OBJECTS_RATE: Rate = Rate { per_second: 64, burst: 2 * PAGES_MAX + 64, violation: Some(32) };
/// What a peer asks for itself: cards in batches 30 ms apart.
pub const ASKING_OBJECTS_RATE: Rate = Rate { per_second: 40, burst: 2 * PAGES_MAX, violation: None };
/// `tasks/1` requests of one peer. High, since programs ask programs; slots bound what is taken on.
pub const TASKS_RATE: Rate = Rate { per_second: 200, burst: 400, violation: Some(100) };
/// What a peer sends itself; a step that meets this limit waits in the outbox.
pub const ASKING_TASKS_RATE: Rate = Rate { per_second: 100, burst: 256, violation: None };
const _: () = assert!(ASKING_PRESENCES_RATE.per_second < PRESENCES_RATE.per_second);
const _: () = assert!(ASKING_PRESENCES_RATE.burst < PRESENCES_RATE.burst);
const _: () = assert!(ASKING_OBJECTS_RATE.per_second < OBJECTS_RATE.per_second);
const _: () = assert!(ASKING_OBJECTS_RATE.burst < OBJECTS_RATE.burst);
const _: () = assert!(ASKING_TASKS_RATE.per_second < TASKS_RATE.per_second);
const _: () = assert!(ASKING_TASKS_RATE.burst < TASKS_RATE.burst);
const _: () = assert!(OWN_RECEIPT_RATE.per_second < RECEIPT_RATE.per_second);
const _: () = assert!(OWN_RECEIPT_RATE.burst < RECEIPT_RATE.burst);
/// Own receipts that wait to be published; above it the oldest is left to pulls.
pub const RECEIPTS_WAITING_MAX: usize = 1_024;

// --- links ----------------------------------------------------------------------------------

/// Neighbours a node looks for besides its relays; what others add on top is bounded by
/// `max_peers`.
pub const NEIGHBOURS_WANTED: usize = 6;
/// How many of them may be reached through a relay. Such a link dies with the relay and costs it
/// traffic, so it only ties the gossip mesh together where nothing direct can be had. Guess.
pub const NEIGHBOURS_RELAYED_MAX: usize = 2;
/// Dials under way at a time.
pub const DIALS_MAX: usize = 8;
/// How many of them may look for neighbours. Anybody can invent peers at addresses that never answer, and each such dial
/// lasts until its timeout; the other half is left for peers that a task or the owner wants.
pub const SEARCH_DIALS_MAX: usize = DIALS_MAX / 2;
/// First wait before a relay is dialled again.
pub const REDIAL_MIN: Millis = Millis(500);
/// The longest wait between two dials of a relay. Short, since a restarted relay should bring its
/// peers back within seconds.
pub const REDIAL_MAX: Millis = Millis::secs(8);
/// The longest wait between two dials of an ordinary peer.
pub const PEER_REDIAL_MAX: Millis = Millis::secs(60);
/// Attempts at a direct connection beside a relayed one, under way at a time. Each costs a browser an
/// `RTCPeerConnection` and some seconds of probing; fifty relayed links at once must not start fifty.
pub const UPGRADES_MAX: usize = 3;
/// How long the side that accepted a relayed link leaves the first attempt to the side that dialled it.
/// An attempt that works takes less than a second.
pub const UPGRADE_WAIT: Millis = Millis::secs(5);
/// At most so much is added to it by chance, so that not everybody begins at once.
pub const UPGRADE_JITTER: Millis = Millis::secs(2);
/// The wait after the first attempt that failed; doubles up to the next limit. Also the shortest time
/// between two attempts, whatever the other side announces meanwhile.
pub const UPGRADE_RETRY_MIN: Millis = Millis::secs(15);
/// The longest wait between two attempts. Where no direct path is found today there may be one after
/// somebody moved, which is told by new addresses; this is for what nobody tells.
pub const UPGRADE_RETRY_MAX: Millis = Millis::secs(600);
/// How long a connection is kept beside the one that replaced it, so that what is under way on it ends
/// there.
pub const REPLACED_GRACE: Millis = Millis::secs(3);
/// A direct link that lasted this long counts as one that works: its loss is made good at once. One
/// that breaks sooner waits like an attempt that failed.
pub const LINK_STABLE: Millis = Millis::secs(10);
/// Peers whose failed attempts are remembered after their last link went, so that a peer that comes
/// again does not get an attempt each time.
pub const UPGRADES_REMEMBERED_MAX: usize = 256;
/// Neighbours in a row to which no direct way was found, after which neighbours are sought for a while
/// as if this node had no WebRTC: its own network is probably what is in the way.
pub const HOPES_LOST_MAX: u32 = 4;
/// How long a relay may take to answer a reservation.
pub const RESERVE_TIMEOUT: Millis = Millis::secs(15);
/// Configured relays.
pub const RELAYS_MAX: usize = 3;
/// DHT queries under way at a time.
pub const QUERIES_MAX: usize = 32;
/// Peers one DHT query may bring.
pub const QUERY_PEERS_MAX: usize = 64;
/// The longest a DHT query may take.
pub const QUERY_TIMEOUT: Millis = Millis::secs(30);

// --- reading --------------------------------------------------------------------------------

/// Rows of a table in a snapshot.
pub const SNAPSHOT_ROWS_MAX: usize = 200;
/// Receipts shown behind one trust score.
pub const EVIDENCE_ROWS_MAX: usize = 20;
/// What changes all the time and tells little (round trips, when a presence was renewed) is shown
/// this often, so that an idle page among many peers rests.
pub const QUIET_INTERVAL: Millis = Millis::secs(5);
/// Lines of the event log.
pub const LOG_ENTRIES_MAX: usize = 500;
/// Lines of the list of security events, apart from the event log. Repeated ones are one line.
pub const AUDIT_ENTRIES_MAX: usize = 256;
/// The longest span that one line of it stands for, so that its two times still tell when it was.
pub const AUDIT_FOLDED: Millis = Millis::secs(3_600);
/// What is said of one security event; part of it may be a remote's words.
pub const SECURITY_TEXT_BYTES_MAX: usize = 240;
/// Requests that wait for an answer of the other side.
pub const REQUESTS_MAX: usize = 512;
/// Requests of others that wait for the store here.
pub const RESPONSES_WAITING_MAX: usize = 256;
