// The benches' third page: a bare RTCPeerConnection with one ordered data channel, signalled by whoever calls. It sets
// `globalThis.lab`, too. A text message says what follows; what is measured is what lab/bench.mjs measures on libp2p streams.

import { clock, pace } from './clock.mjs'

/** More than this waits to be sent: pause. */
const QUEUE_HIGH = 1024 * 1024
/** Less than this: go on. */
const QUEUE_LOW = 256 * 1024

let connection
let channel
/** What the receiver was told comes: `count`, `bounce`, `paced`; and bytes left to count. */
let mode
let left
let heard
/** How long each message of a paced run was on its way. */
let delays = []

globalThis.lab = {
  start: async () => 'raw',

  /** Offer a connection, with all candidates in it. */
  async offer () {
    make()
    take(connection.createDataChannel('raw'))
    return await describe(await connection.createOffer())
  },

  /** Answer an offer. */
  async answer (offer) {
    make()
    connection.ondatachannel = event => take(event.channel)
    await connection.setRemoteDescription(offer)
    return await describe(await connection.createAnswer())
  },

  /** Take the answer; done when the channel is open. */
  async accept (answer) {
    await connection.setRemoteDescription(answer)
    if (channel.readyState !== 'open') await new Promise(resolve => { channel.onopen = resolve })
  },

  /** Send so many bytes in messages of `size` until the other side has counted them; gives the milliseconds. */
  async count (bytes, size) {
    const message = new Uint8Array(size)
    let toSend = bytes
    const started = performance.now()
    const counted = reply()
    channel.send(`count ${bytes}`)
    const pump = () => {
      while (toSend > 0 && channel.bufferedAmount < QUEUE_HIGH) {
        channel.send(toSend < size ? message.subarray(0, toSend) : message)
        toSend -= size
      }
    }
    channel.onbufferedamountlow = pump
    pump()
    await counted
    channel.onbufferedamountlow = null
    return performance.now() - started
  },

  /** 32 bytes there and back, one after the other; gives the milliseconds of each. */
  async bounce (rounds) {
    channel.send('bounce')
    const bytes = new Uint8Array(32)
    const times = []
    for (let round = 0; round < rounds; round++) {
      const started = performance.now()
      const back = reply()
      channel.send(bytes)
      await back
      times.push(performance.now() - started)
    }
    return times
  },

  /** Send so many messages at a rate, each with the time it was sent; gives the milliseconds it took. */
  async publishPaced (rate, total, size) {
    channel.send('paced')
    return await pace(rate, total, count => {
      while (count-- > 0) {
        const message = crypto.getRandomValues(new Uint8Array(size))
        new DataView(message.buffer).setFloat64(4, clock())
        channel.send(message)
      }
    })
  },

  delivered: () => delays.length,
  delays: () => delays.splice(0),
  clock
}

function make () {
  connection = new RTCPeerConnection()
}

async function describe (description) {
  const gathered = new Promise(resolve => {
    connection.onicecandidate = ({ candidate }) => { if (candidate === null) resolve() }
  })
  await connection.setLocalDescription(description)
  await gathered
  return connection.localDescription.toJSON()
}

function take (opened) {
  channel = opened
  channel.binaryType = 'arraybuffer'
  channel.bufferedAmountLowThreshold = QUEUE_LOW
  channel.onmessage = ({ data }) => {
    if (heard !== undefined) {
      const resolve = heard
      heard = undefined
      resolve()
    } else if (typeof data === 'string') {
      mode = data.split(' ')[0]
      left = Number(data.split(' ')[1])
    } else if (mode === 'paced') {
      delays.push(clock() - new DataView(data).getFloat64(4))
    } else if (mode === 'bounce') {
      channel.send(data)
    } else {
      left -= data.byteLength
      if (left <= 0) channel.send(new Uint8Array(8))
    }
  }
}

function reply () {
  return new Promise(resolve => { heard = resolve })
}
