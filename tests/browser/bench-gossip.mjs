// `cargo xtask bench gossip`: messages of gossip between two pages that are connected directly, for our pages and js-libp2p's,
// side by side in one run. Unsigned on both sides; signed and checked objects of ours are a figure of their own.
import { paired } from './bench/pages.mjs'
import { inside } from './bench/place.mjs'
import { median, publish, quantile, ratios, rotated, spread, tidy } from './bench/figures.mjs'

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 7)
const SIDES = ['ours', 'js', 'raw']
/** Of one message. */
const BYTES = 256
/** Published as fast as they are delivered. */
const FLOOD = Number(process.env.BENCH_FLOOD ?? 20_000)
/** Published beforehand, so that the page's code is compiled. */
const WARM_UP = 2_000
const RATE = 1_000
const PACED_S = Number(process.env.BENCH_PACED_S ?? 10)
/** Looks at both clocks; the quickest one counts. */
const CLOCK_LOOKS = 50

const rows = await inside(undefined, async (browsers, relays) => {
  console.log(`\n${ROUNDS} rounds, two fresh pages a side and round, each in a Chromium process of its own, connected directly and not through the relay:
  rate         messages of ${BYTES} bytes a second: ${FLOOD} after a warm-up of ${WARM_UP}, at most 512 published and not yet reported as
               delivered by the other page; ids are the SHA-256 of the content on both sides, and nothing is signed
  rate_signed  the same with objects that are signed here and checked there, ours only; object_bytes is how long one is
  p50, p99     from the call that publishes to the event that delivers, ${RATE} messages a second for ${PACED_S} s
  raw          the same bytes on a bare data channel: what is left of p50 and p99 without any gossip
  clock        how far the two pages' clocks seem to be apart; the times above are corrected by it
  failed       dials that failed and were tried again with fresh pages\n`)
  const rows = []
  for (let round = 0; round < ROUNDS; round++) {
    const row = {}
    for (const side of rotated(SIDES, round)) row[side] = await paired(side, browsers, relays, once)
    rows.push(row)
    const shown = SIDES.map(side => `${side} ${Object.entries(row[side]).map(([key, value]) => `${key} ${tidy(value)}`).join(' ')}`)
    console.log(`  round ${round + 1}: ${shown.join('; ')}`)
  }
  return rows
})

const UNITS = { failed: 'dials', rate: 'messages/s', rate_signed: 'messages/s', object_bytes: 'bytes' }
const figures = {}
for (const [side, row] of Object.entries(rows[0])) {
  for (const key of Object.keys(row)) figures[`${side}_${key}`] = spread(rows.map(row => row[side][key]), UNITS[key] ?? 'ms')
}
await publish({ name: 'gossip', rounds: ROUNDS, figures, ratios: { ...ratios(rows, figures, '', 'js', ['rate', 'p50', 'p99']), ...ratios(rows, figures, '', 'raw', ['p50', 'p99']) } })

async function once (pair) {
  if (pair.side === 'raw') {
    await pair.connectRaw()
    return await paced(pair)
  }
  await pair.meet()
  await pair.connect()
  for (const lab of [pair.from, pair.to]) await lab.call('gossipEnd')
  await pair.leaveRelay()
  for (const lab of [pair.from, pair.to]) await lab.call('gossipBegin')
  for (const lab of [pair.from, pair.to]) await lab.until('the other in its mesh', count => count > 0, 'meshed')
  await flood(pair, 'flood', WARM_UP)
  const row = { rate: FLOOD / (await flood(pair, 'flood', FLOOD)).ms * 1_000 }
  if (pair.side === 'ours') {
    const signed = await flood(pair, 'floodSigned', FLOOD)
    Object.assign(row, { rate_signed: FLOOD / signed.ms * 1_000, object_bytes: signed.bytes })
  }
  return { ...row, ...await paced(pair) }
}

/** Delivery at a fixed rate. */
async function paced (pair) {
  const apart = await clocksApart(pair)
  await pair.to.call('delays')
  const ms = await pair.call('publishPaced', RATE, RATE * PACED_S, BYTES)
  await pair.to.until('the last message', count => count >= RATE * PACED_S, 'delivered')
  const delays = (await pair.to.call('delays')).map(delay => delay - apart)
  if (ms > 1_050 * PACED_S) console.log(`  ${pair.side} took ${tidy(ms / 1_000)} s to publish what is due in ${PACED_S} s`)
  return { p50: quantile(delays, 0.5), p99: quantile(delays, 0.99), clock: apart }
}

async function flood (pair, method, count) {
  await pair.to.call('delays')
  return await pair.call(method, pair.to.id, count, BYTES)
}

/** By how many milliseconds the receiving page's clock is ahead, by the quickest of some looks at both. */
async function clocksApart (pair) {
  const looks = []
  for (let look = 0; look < CLOCK_LOOKS; look++) {
    const before = await pair.from.call('clock')
    const there = await pair.to.call('clock')
    const after = await pair.from.call('clock')
    looks.push({ span: after - before, ahead: there - (before + after) / 2 })
  }
  looks.sort((one, other) => one.span - other.span)
  return median(looks.slice(0, 5).map(({ ahead }) => ahead))
}
