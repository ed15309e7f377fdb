// `cargo xtask bench transport`: a bare data channel, our streams over WebRTC and js-libp2p's, side by side in one run, on this
// machine and over a link that takes time.
import { paired } from './bench/pages.mjs'
import { inside } from './bench/place.mjs'
import { median, publish, ratios, rotated, spread, tidy } from './bench/figures.mjs'
import { processorTimes, ran } from './bench/processor.mjs'
import { Networks } from './support/networks.mjs'

const MIB = 1024 * 1024
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 7)
const SIDES = ['raw16', 'raw256', 'ours', 'js'].filter(wanted)
/** The bytes of one transfer. */
const BYTES = 32 * MIB
const BOUNCES = 50
/** Over the link, where one connection brings a few MB a second. */
const FAR_BYTES = 16 * MIB
/** Sent first over connections that are new, which begin slowly. */
const FAR_WARM_UP = 4 * MIB
const MESSAGE_BYTES = { raw16: 16 * 1024, raw256: 256 * 1024 }

const FAR_ROUNDS = Number(process.env.BENCH_FAR_ROUNDS ?? 5)
/** One way. */
const DELAY_MS = Number(process.env.BENCH_DELAY_MS ?? 10)
const FAR_SIDES = ['raw16', 'raw256', 'ours', 'js'].filter(wanted)
/** Connections that a transfer is striped over. */
const STRIPES = [2, 4, 8]

const figures = {}
const found = {}
if (ROUNDS > 0) await near()
if (FAR_ROUNDS > 0) await far()
await publish({ name: 'transport', rounds: Math.max(ROUNDS, FAR_ROUNDS), figures, ratios: found })

/** Both pages on this machine. */
async function near () {
  console.log(`\n${ROUNDS} rounds, two fresh pages a side and round, each in a Chromium process of its own:
  cold, warm  ${BYTES / MIB} MiB from the first write until the sender hears that all were counted; cold is the first transfer
              after the connection, warm the mean of the second and third
  rtt         32 bytes there and back on an open stream, the median of ${BOUNCES}
  dial        from the call to the usable connection; pages of libp2p have had a relayed connection for a second then. For the
              bare channel from the offer to the open channel, signalled through this program
  reachable   from the start of the node to an address that others can dial through the relay
  cpu         processor time of both browsers, all their threads, for a warm MiB; cpu_page of that the two pages' own threads,
              where everything in JavaScript and WebAssembly runs
  failed      dials that failed and were tried again with fresh pages\n`)
  const rows = await inside(undefined, async (browsers, relays) => await rounds(ROUNDS, SIDES, async side => await paired(side, browsers, relays, async pair => {
    const { dial, reachable } = await connected(pair)
    const cold = await send(pair, BYTES)
    const before = processorTimes(browsers)
    const warm = (await send(pair, BYTES) + await send(pair, BYTES)) / 2
    const cost = before && costs(ran(before, processorTimes(browsers)), 2 * BYTES)
    const rtt = median(isRaw(side) ? await pair.call('bounce', BOUNCES) : await pair.call('bounce', pair.to.id, BOUNCES))
    return { cold, warm, rtt, dial, ...reachable !== undefined && { reachable }, ...cost }
  })))
  note('', rows)
  Object.assign(found, ratios(rows, figures, '', 'raw16', ['cold', 'warm', 'rtt']))
  Object.assign(found, ratios(rows, figures, '', 'raw256', ['warm']))
  Object.assign(found, ratios(rows, figures, '', 'js', ['cold', 'warm', 'rtt', 'dial', 'reachable']))
  for (const other of ['raw16', 'js']) {
    if (rows[0].ours?.cpu !== undefined) Object.assign(found, ratios(rows, figures, '', other, ['cpu', 'cpu_page']))
  }
}

/** The pages in two networks with a slow link between them. */
async function far () {
  const missing = await Networks.missing()
  if (missing !== undefined) return console.log(`\nNot over a link that takes time: ${missing}`)
  console.log(`\n${FAR_ROUNDS} rounds over a link with ${DELAY_MS} ms each way, ${2 * DELAY_MS} ms there and back; the other page's relay is behind it, too:
  cold, warm  as above, the first and second transfer of ${FAR_BYTES / MIB} MiB
  warm_N      so much striped over N connections to the same page, after ${FAR_WARM_UP / MIB} MiB that do not count\n`)
  let networks
  try {
    networks = await Networks.make({ delayMs: DELAY_MS })
  } catch (error) {
    return console.log(`\nNot over a link that takes time: ${error.message}`)
  }
  try {
    const rows = await inside(networks, async (browsers, relays) => await rounds(FAR_ROUNDS, FAR_SIDES, async side => await paired(side, browsers, relays, farOnce)))
    note('far_', rows)
    Object.assign(found, ratios(rows, figures, 'far_', 'raw16', ['cold', 'warm']))
    Object.assign(found, ratios(rows, figures, 'far_', 'js', ['cold', 'warm', 'rtt', 'dial', 'reachable']))
    if (rows[0].ours === undefined || rows[0].js === undefined) return
    for (const count of STRIPES) {
      found[`far_ours_${count}_to_js_warm`] = tidy(figures[`far_ours_warm_${count}`].median / figures.far_js_warm.median)
      Object.assign(found, ratios(rows, figures, 'far_', 'js', [`warm_${count}`]))
    }
  } finally {
    await networks.dispose()
  }
}

async function farOnce (pair) {
  const { dial, reachable } = await connected(pair)
  const row = { dial, ...reachable !== undefined && { reachable } }
  row.rtt = median(isRaw(pair.side) ? await pair.call('bounce', BOUNCES) : await pair.call('bounce', pair.to.id, BOUNCES))
  row.cold = await send(pair, FAR_BYTES)
  row.warm = await send(pair, FAR_BYTES)
  if (isRaw(pair.side)) return row
  for (const count of STRIPES) {
    for (let have = count / 2; have < count; have++) await pair.connect()
    await send(pair, FAR_WARM_UP, count)
    row[`warm_${count}`] = await send(pair, FAR_BYTES, count)
  }
  return row
}

async function rounds (count, sides, once) {
  const rows = []
  for (let round = 0; round < count; round++) {
    const row = {}
    for (const side of rotated(sides, round)) row[side] = await once(side)
    rows.push(row)
    const shown = sides.map(side => `${side} ${Object.entries(row[side]).map(([key, value]) => `${key} ${tidy(value)}`).join(' ')}`)
    console.log(`  round ${round + 1}: ${shown.join('; ')}`)
  }
  return rows
}

/** Connect the pages; how long the parts of that took. */
async function connected (pair) {
  if (isRaw(pair.side)) return { dial: await pair.connectRaw() }
  const { reachable } = await pair.meet()
  return { reachable, dial: await pair.connect() }
}

/** Send so much; gives the MB/s. */
async function send (pair, bytes, connections = 1) {
  const ms = isRaw(pair.side)
    ? await pair.call('count', bytes, MESSAGE_BYTES[pair.side])
    : await pair.call('count', pair.to.id, bytes, { connections })
  return bytes / 1e6 / (ms / 1_000)
}

/** Milliseconds for a MiB. */
function costs ({ all, page }, bytes) {
  return { cpu: all / (bytes / MIB), cpu_page: page / (bytes / MIB) }
}

function note (prefix, rows) {
  for (const [side, row] of Object.entries(rows[0])) {
    for (const key of Object.keys(row)) {
      const unit = key === 'cold' || key.startsWith('warm') ? 'MB/s' : key.startsWith('cpu') ? 'ms/MiB' : key === 'failed' ? 'dials' : 'ms'
      figures[`${prefix}${side}_${key}`] = spread(rows.map(row => row[side][key]), unit)
    }
  }
}

function isRaw (side) {
  return MESSAGE_BYTES[side] !== undefined
}

/** A part of the sides, for a quick look. */
function wanted (side) {
  return process.env.BENCH_SIDES === undefined || process.env.BENCH_SIDES.split(',').includes(side)
}
