// `cargo xtask bench join`: page load → joined → other peer visible, for the web app and for a js-libp2p page, side by side.
//
// Ten rounds, the two sides taking turns in going first. In each round a fresh profile of one Chromium process opens the page,
// while another of its kind waits in a second process, joined through the same relay. Times are the page's own, in milliseconds since
// its navigation began. BENCH_OUT names the file for the result, BENCH_MACHINE the computer.
import { mkdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import path from 'node:path'
import { brotliCompressSync } from 'node:zlib'
import { bundle } from './support/bundle.mjs'
import { Chromium } from './support/chromium.mjs'
import { Relay } from './support/processes.mjs'

const ROUNDS = 10
/** Ends a round that would never end. */
const ROUND_MS_MAX = 60_000

const relay = await Relay.start()
const processes = [await Chromium.start(), await Chromium.start()]
const here = path.dirname(new URL(import.meta.url).pathname)
const site = await serve(await bundle(path.join(here, 'js-peer/page.mjs')))
const out = process.env.BENCH_OUT ??
  path.join(process.env.CARGO_TARGET_DIR ?? path.join(here, '../../target'), 'bench/join.json')
try {
  console.log(what())
  const result = await measure()
  await mkdir(path.dirname(out), { recursive: true })
  await writeFile(out, `${JSON.stringify(result, null, 2)}\n`)
  print(result)
} finally {
  for (const own of processes) await own.close()
  site.server.close()
  await relay.dispose()
}

function what () {
  return `Measured, ${ROUNDS} rounds, fresh profile each, in ms since the navigation began:
  ours    joined:  the page shows the stage "joined": connected to the relay, with a reservation.
                   It is drawn once somebody is there or 200 ms have passed, so that both moments may be one
          visible: the page lists the other page as online. It knows nobody beforehand; the other's signed
                   presence is told by the relay and checked
  js      joined:  its relayed address is confirmed
          visible: gossipsub's subscription-change of the other page. The other's id is in the page's address, and it
                   dials the circuit to it at once, beside reserving: nothing has to be discovered
  Both:   the same relay over WebSocket on loopback, brotli-compressed files, the other page joined beforehand in
          another Chromium process`
}

async function measure () {
  const waiting = { ours: await openOurs(1), js: await openJs(1) }
  const rows = []
  for (let round = 0; round < ROUNDS; round++) {
    const row = {}
    for (const side of round % 2 === 0 ? ['ours', 'js'] : ['js', 'ours']) {
      const page = await { ours: openOurs, js: openJs }[side](0, waiting[side].id)
      row[side] = page.times
      await page.close()
    }
    console.log(`  round ${String(round + 1).padStart(2)}: ours joined ${ms(row.ours.joined)} visible ${ms(row.ours.visible)}, ` +
      `js joined ${ms(row.js.joined)} visible ${ms(row.js.visible)}`)
    rows.push(row)
  }
  const figures = {}
  for (const side of ['ours', 'js']) {
    for (const moment of ['joined', 'visible']) figures[`${side}_${moment}`] = spread(rows.map(row => row[side][moment]))
  }
  const ratio = moment => Number((figures[`ours_${moment}`].median / figures[`js_${moment}`].median).toFixed(3))
  return {
    name: 'join',
    rounds: ROUNDS,
    machine: process.env.BENCH_MACHINE ?? process.arch,
    figures,
    ratios: { ours_to_js_joined: ratio('joined'), ours_to_js_visible: ratio('visible') }
  }
}

/** Open the web app in a fresh profile; with `other`, wait until it is visible. */
async function openOurs (number, other) {
  return await open(number, relay.origin, other, other => {
    // The page's hooks, watched from its first moment on.
    const times = window.times = {}
    const look = () => {
      if (document.querySelector('[data-testid="join-stage"][data-stage="joined"]')) times.joined ??= performance.now()
      times.peerId ??= document.querySelector('[data-testid="self-peer-id"]')?.dataset.peerId
      const row = other && document.querySelector(`[data-testid="peer-row"][data-peer-id="${other}"]`)
      if (row && ['idle', 'reputable', 'busy'].includes(row.dataset.status)) times.visible ??= performance.now()
    }
    new MutationObserver(look).observe(document, { subtree: true, childList: true, attributes: true })
  })
}

/** Open the js-libp2p page in a fresh profile; with `other`, wait until it is visible. */
async function openJs (number, other) {
  const query = new URLSearchParams({ relay: relay.address('ws'), ...(other && { other }) })
  return await open(number, `${site.origin}/?${query}`, other, () => {})
}

async function open (number, url, other, prepare) {
  const context = await processes[number].browser.newContext()
  const page = await context.newPage()
  page.on('pageerror', error => console.error(`  ${url}: ${error}`))
  await page.addInitScript(prepare, other)
  await page.goto(url, { waitUntil: 'commit' })
  const wanted = ['peerId', 'joined', ...(other === undefined ? [] : ['visible'])]
  await page.waitForFunction(wanted => wanted.every(key => window.times?.[key] !== undefined), wanted, { timeout: ROUND_MS_MAX })
  const times = await page.evaluate(() => window.times)
  return { id: times.peerId, times, close: async () => await context.close() }
}

/** Serve the js-libp2p page as our relay serves ours: compressed once, beforehand. */
async function serve (script) {
  const page = '<!doctype html><meta charset="utf-8"><title>js-libp2p</title><script type="module" src="/page.js"></script>'
  const files = {
    '/': { type: 'text/html', body: brotliCompressSync(page) },
    '/page.js': { type: 'text/javascript', body: brotliCompressSync(script) }
  }
  const server = createServer((request, response) => {
    const file = files[new URL(request.url, 'http://site').pathname]
    if (file === undefined) response.writeHead(404).end()
    else response.writeHead(200, { 'content-type': file.type, 'content-encoding': 'br' }).end(file.body)
  })
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  return { server, origin: `http://127.0.0.1:${server.address().port}` }
}

function spread (values) {
  const sorted = [...values].sort((a, b) => a - b)
  const [low, high] = [sorted[Math.floor((sorted.length - 1) / 2)], sorted[Math.floor(sorted.length / 2)]]
  const median = (low + high) / 2
  return { median: round(median), min: round(sorted[0]), max: round(sorted.at(-1)), unit: 'ms' }
}

function print ({ figures, ratios }) {
  for (const [name, { median, min, max }] of Object.entries(figures)) {
    console.log(`  ${name.padEnd(14)} median ${ms(median)} (${ms(min)} to ${ms(max)})`)
  }
  for (const [name, value] of Object.entries(ratios)) console.log(`  ${name}: ${value}`)
}

function ms (value) {
  return `${Math.round(value)} ms`
}

function round (value) {
  return Math.round(value * 10) / 10
}
