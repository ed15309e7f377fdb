// Loaded before anything else in a page: counts the peer connections and data channels it makes, and holds none of them, so
// that what is still there after a garbage collection is what somebody leaked.
const connections = new Set()
const channels = new Set()
const made = { connections: 0, channels: 0 }
const Native = globalThis.RTCPeerConnection

function watch (channel) {
  made.channels += 1
  channels.add(new WeakRef(channel))
  return channel
}

function watchConnection (connection) {
  made.connections += 1
  connections.add(new WeakRef(connection))
  connection.addEventListener('datachannel', ({ channel }) => watch(channel))
}

if (Native !== undefined) {
  globalThis.RTCPeerConnection = class RTCPeerConnection extends Native {
    constructor (...args) {
      super(...args)
      watchConnection(this)
    }

    createDataChannel (...args) {
      return watch(super.createDataChannel(...args))
    }
  }
}

function living (refs) {
  const alive = []
  for (const ref of refs) {
    const object = ref.deref()
    if (object === undefined) refs.delete(ref)
    else alive.push(object)
  }
  return alive
}

/** Made so far; not yet collected; not yet closed. */
globalThis.meter = () => {
  const [pcs, dcs] = [living(connections), living(channels)]
  return {
    connections: { made: made.connections, kept: pcs.length, open: pcs.filter(pc => pc.connectionState !== 'closed').length },
    channels: { made: made.channels, kept: dcs.length, open: dcs.filter(dc => dc.readyState !== 'closed').length }
  }
}

/** Collect everything that can be; the browser must be started with `--js-flags=--expose-gc`. */
globalThis.collect = async () => {
  for (let round = 0; round < 4; round++) {
    // What one collection frees may hold on to what the next one does; the meter's own records of it are forgotten, too.
    // In a task of its own: a collection under a running script takes whatever lies on the stack for a pointer and keeps it.
    await globalThis.gc({ type: 'major', execution: 'async' })
    await new Promise(resolve => setTimeout(resolve, 50))
    globalThis.meter()
  }
}
