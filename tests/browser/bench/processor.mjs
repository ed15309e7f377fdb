// Processor time of browsers, as Linux counts it. Unlike what a clock shows, it hardly depends on what else the machine does.
import { readFileSync, readdirSync } from 'node:fs'

/**
 * Milliseconds that each thread of these browsers and of all their processes has run, and whether it is a page's own thread;
 * undefined where the system does not tell.
 */
export function processorTimes (browsers) {
  try {
    const all = processes()
    const own = browsers.map(({ server }) => server.process().pid)
    // A process that was begun is found behind the one that began it.
    for (const pid of own) own.push(...all.filter(({ parent }) => parent === pid).map(({ pid }) => pid))
    return new Map(all.filter(({ pid }) => own.includes(pid)).flatMap(threads))
  } catch {
    return undefined
  }
}

/** What ran between two looks: of all threads, and of the pages' own. */
export function ran (before, after) {
  const sum = { all: 0, page: 0 }
  for (const [thread, { ms, isPage }] of after) {
    const took = ms - (before.get(thread)?.ms ?? 0)
    sum.all += took
    if (isPage) sum.page += took
  }
  return sum
}

function processes () {
  return readdirSync('/proc').filter(name => /^\d+$/.test(name)).flatMap(name => {
    const stat = look(`/proc/${name}/stat`)
    // The program's name, which may contain anything, stands in brackets.
    return stat === undefined ? [] : [{ pid: Number(name), parent: Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) }]
  })
}

function threads ({ pid }) {
  const isRenderer = look(`/proc/${pid}/cmdline`)?.includes('--type=renderer') ?? false
  return readdirSync(`/proc/${pid}/task`).flatMap(thread => {
    const ns = look(`/proc/${pid}/task/${thread}/schedstat`)?.split(' ')[0]
    return ns === undefined ? [] : [[thread, { ms: Number(ns) / 1e6, isPage: isRenderer && Number(thread) === pid }]]
  })
}

/** What has ended meanwhile has no content any more. */
function look (file) {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}
