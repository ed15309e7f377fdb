// Time that two pages on one machine can compare, and a beat that a page can keep.

/** Milliseconds since 1970, finer than Date.now(). */
export function clock () {
  return performance.timeOrigin + performance.now()
}

/**
 * Call `due(count)` for `rate` calls a second, `count` of them at a time, until there were `total`; gives the milliseconds it
 * took. A timer that a timer sets soon waits 4 ms at least; one that a message sets does not, so the beat is 1 ms.
 */
export async function pace (rate, total, due) {
  const { port1, port2 } = new MessageChannel()
  const started = performance.now()
  let done = 0
  await new Promise((resolve, reject) => {
    const beat = () => {
      const count = Math.min(total, Math.floor((performance.now() - started) * rate / 1_000)) - done
      try {
        if (count > 0) due(count)
      } catch (error) {
        reject(error)
        return
      }
      done += Math.max(count, 0)
      if (done >= total) resolve()
      else port2.postMessage(undefined)
    }
    port1.onmessage = () => setTimeout(beat, 1)
    beat()
  })
  port1.close()
  return performance.now() - started
}
