// What a bench makes of its rounds: medians, ratios, a table, and the file that `cargo xtask bench` reads.
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { targetFolder } from '../support/processes.mjs'

/** The middle of some values. */
export function median (values) {
  const sorted = [...values].sort((a, b) => a - b)
  return (sorted[Math.floor((sorted.length - 1) / 2)] + sorted[Math.floor(sorted.length / 2)]) / 2
}

/** That share of the values is at most so large. */
export function quantile (values, share) {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)]
}

/** One figure of a bench: its values in all rounds. */
export function spread (values, unit) {
  return { median: tidy(median(values)), min: tidy(Math.min(...values)), max: tidy(Math.max(...values)), unit }
}

/** Three digits are more than the rounds agree on. */
export function tidy (value) {
  return Number(value.toPrecision(4))
}

/** Ratios of the medians, and beside each the median of the rounds' own, which a slow minute of the machine disturbs less. */
export function ratios (rows, figures, prefix, other, keys) {
  const found = {}
  if (rows[0].ours === undefined || rows[0][other] === undefined) return found
  for (const key of keys) {
    const name = `${prefix}ours_to_${other}_${key}`
    found[name] = tidy(figures[`${prefix}ours_${key}`].median / figures[`${prefix}${other}_${key}`].median)
    found[`${name}_by_round`] = tidy(median(rows.map(row => row.ours[key] / row[other][key])))
  }
  return found
}

/** Write the result where the developer's command looks for it, and print it. */
export async function publish ({ name, rounds, figures, ratios }) {
  const result = { name, rounds, machine: process.env.BENCH_MACHINE ?? process.arch, figures, ratios }
  const out = process.env.BENCH_OUT ?? path.join(targetFolder(), `bench/${name}.json`)
  await mkdir(path.dirname(out), { recursive: true })
  await writeFile(out, `${JSON.stringify(result, null, 2)}\n`)
  const wide = Math.max(...Object.keys(figures).map(key => key.length))
  console.log(`\n  ${'figure'.padEnd(wide)}  ${'median'.padStart(9)}  ${'min'.padStart(9)}  ${'max'.padStart(9)}  unit`)
  for (const [key, { median, min, max, unit }] of Object.entries(figures)) {
    const [middle, low, high] = [median, min, max].map(value => `${value}`.padStart(9))
    console.log(`  ${key.padEnd(wide)}  ${middle}  ${low}  ${high}  ${unit}`)
  }
  console.log('')
  for (const [key, value] of Object.entries(ratios)) console.log(`  ${key}: ${value}`)
}

/** The sides in another order each round, so that nobody always goes first or after the same one. */
export function rotated (sides, round) {
  const order = [...sides.slice(round % sides.length), ...sides.slice(0, round % sides.length)]
  // Turned around each time all have gone first once.
  return Math.floor(round / sides.length) % 2 === 0 ? order : order.reverse()
}
