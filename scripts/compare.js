// pnpm compare <commit|folder> [suite...]: is this checkout slower than that commit? Exit code 1 when it is.
//
// The commit is checked out, installed and built in a worktree outside this checkout, which is removed at the end; a folder is used as it is.
// Each case of benchmarks/suites.mjs runs in rounds (ROUNDS, 15) of SECONDS (0.5), in which three processes take turns: the commit, the commit
// again, and this checkout. They are started three times in all, since two processes of one program differ too. Two figures are compared,
// cpu time per request and requests per second; above 1 means slower. From the ratios within each round come the median and, by bootstrap, its
// upper bound of 95 %. The commit against itself (A/A) gives the width of what means nothing here and now.
// A case fails when an upper bound is above 1.03 and above that width.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { launch, table } from '../benchmarks/harness.mjs'
import { microSuites, serverSuites } from '../benchmarks/suites.mjs'
import { intervalOf, widthOf } from './compare/ratios.js'
import { buildHere, worktreeOf } from './compare/worktree.js'

const ROUNDS = Number(process.env.ROUNDS ?? 15)
const SECONDS = Number(process.env.SECONDS ?? 0.5)
const STARTS = Math.min(3, ROUNDS)
const ALLOWED = 1.03

const suites = { ...serverSuites, ...microSuites }
const [commit, ...asked] = process.argv.slice(2)
if (commit === undefined || asked.some(name => !(name in suites))) {
  console.error(`pnpm compare <commit|folder> [${Object.keys(suites).join('|')}]`)
  process.exit(2)
}

const here = new URL('..', import.meta.url).pathname
const base = worktreeOf(commit)
process.on('exit', base.remove)
process.on('SIGINT', () => process.exit(130))
buildHere()

const fileOf = (suite, folder) => join(folder, 'benchmarks', suite.ours === undefined ? suite.module : join('servers', suite.ours))

/** Starts one side: a server of its own benchmarks, or a process that runs a function of them. */
const start = async (name, suite, folder) => {
  const file = fileOf(suite, folder)
  if (suite.ours === undefined) {
    const side = await launch(name, file, { suite: name }, 'repeat.mjs')
    return { once: title => side.ask({ title, seconds: SECONDS }), stop: side.stop }
  }
  const side = await launch(name, file, suite.options ?? {})
  const once = async title => {
    const before = await side.ask('cpu')
    const done = await suite.cases[title](side.port, SECONDS)
    if (done === 0) throw new Error(`${name}: nothing was answered in ${SECONDS} s: make SECONDS longer`)
    return { cpu: ((await side.ask('cpu')) - before) / done, rate: done / SECONDS }
  }
  return { once, stop: side.stop }
}

/** For each case the rounds, each with what the three sides took. */
const measure = async (name, suite) => {
  const titles = Object.keys(suite.cases)
  const rounds = new Map(titles.map(title => [title, []]))
  for (let turn = 0; turn < ROUNDS; ) {
    const sides = []
    for (const folder of [base.folder, base.folder, here]) sides.push(await start(name, suite, folder))
    const until = Math.min(ROUNDS, turn + Math.ceil(ROUNDS / STARTS))
    for (const title of titles) {
      for (const side of sides) await side.once(title)
      for (let at = turn; at < until; at++) {
        const figures = []
        for (let step = 0; step < sides.length; step++) {
          const side = (step + at) % sides.length
          figures[side] = await sides[side].once(title)
        }
        rounds.get(title).push(figures)
      }
    }
    for (const side of sides) side.stop()
    turn = until
  }
  return rounds
}

let slower = 0
const rows = []
for (const name of asked.length > 0 ? asked : Object.keys(suites)) {
  if (!existsSync(fileOf(suites[name], base.folder))) {
    console.error(`${name}: not in ${commit}`)
    continue
  }
  for (const [title, rounds] of await measure(name, suites[name])) {
    const figures = {
      cpu: side => rounds.map(figure => figure[side].cpu / figure[0].cpu),
      rate: side => rounds.map(figure => figure[0].rate / figure[side].rate)
    }
    for (const [figure, ratios] of Object.entries(figures)) {
      const width = widthOf(intervalOf(ratios(1)))
      const { median, high } = intervalOf(ratios(2))
      const fails = high > Math.max(ALLOWED, width)
      if (fails) slower++
      rows.push([`${name}: ${title}`, figure, ...[median, high, width].map(value => value.toFixed(3)), fails ? 'SLOWER' : 'ok'])
      console.error(rows.at(-1).join('  '))
    }
  }
}
console.log(`This checkout against ${commit}, ${ROUNDS} rounds of ${SECONDS} s; above 1 is slower\n`)
table(['case', 'figure', 'median', 'upper bound', 'A/A width', ''], rows)
process.exit(slower > 0 ? 1 : 0)
