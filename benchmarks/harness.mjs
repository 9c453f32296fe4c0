// Runs contenders in turn, every round each of them once in rotated order, so that a noisy machine hits all alike.
import { fork } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(new URL('.', import.meta.url))
const rounds = Number(process.env.ROUNDS ?? 5)
const seconds = Number(process.env.SECONDS ?? 1)

export const median = values => {
  const sorted = [...values].sort((a, b) => a - b)
  const half = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2
}
const round = value => (value >= 100 ? Math.round(value).toLocaleString('en') : value.toFixed(2))

export const table = (head, rows) => {
  for (const row of [head, head.map((_, at) => (at === 0 ? '---' : '---:')), ...rows]) console.log(`| ${row.join(' | ')} |`)
  console.log()
}

const freePort = async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  const { port } = server.address()
  await new Promise(resolve => server.close(resolve))
  return port
}

/** A contender in a process of its own: serve.mjs, which tells its cpu time when asked, or repeat.mjs, which runs the case that it is asked for. */
export const launch = async (name, file, options, script = 'serve.mjs') => {
  const port = await freePort()
  const child = fork(join(here, script), [file, JSON.stringify({ port, host: '127.0.0.1', ...options })], {
    env: { ...process.env, NODE_ENV: 'production' }
  })
  const reply = () =>
    new Promise((resolve, reject) => {
      const ended = code => reject(new Error(`${name} ended with ${code}`))
      child.once('exit', ended)
      child.once('message', message => {
        child.off('exit', ended)
        resolve(message)
      })
    })
  await reply()
  return {
    name,
    port,
    ask: question => {
      const answer = reply()
      child.send(question)
      return answer
    },
    stop: () => child.kill()
  }
}

const peersIn = folder => readdirSync(folder).map(file => [basename(file, '.mjs'), join(folder, file)])
const contenders = suite => {
  const peers = suite.peers === undefined ? [] : peersIn(join(here, 'peers', suite.peers))
  return [['iopa', join(here, 'servers', suite.ours)], ...peers]
}

/** Serves each contender, loads each in turn, and prints rates and cpu time per request. */
export const compareServers = async (name, suite) => {
  const servers = []
  for (const [title, file] of contenders(suite)) servers.push(await launch(title, file, suite.options ?? {}))
  for (const [title, load] of Object.entries(suite.cases)) {
    const measured = new Map(servers.map(server => [server, []]))
    for (const server of servers) await load(server.port, Math.min(seconds, 0.5))
    for (let turn = 0; turn < rounds; turn++) {
      for (let at = 0; at < servers.length; at++) {
        const server = servers[(at + turn) % servers.length]
        const before = await server.ask('cpu')
        const done = await load(server.port, seconds)
        measured.get(server).push({ rate: done / seconds, cpu: ((await server.ask('cpu')) - before) / done })
      }
    }
    const base = measured.get(servers.find(server => server.name === suite.baseline))
    console.log(`\n${name}: ${title} (${rounds} rounds of ${seconds} s, ratio to ${suite.baseline}, median of rounds)\n`)
    table(
      ['contender', 'per second', 'ratio', 'cpu us each', 'cpu ratio'],
      [...measured].map(([server, runs]) => [
        server.name,
        round(median(runs.map(({ rate }) => rate))),
        round(median(runs.map(({ rate }, at) => rate / base[at].rate))),
        round(median(runs.map(({ cpu }) => cpu))),
        round(median(runs.map(({ cpu }, at) => cpu / base[at].cpu)))
      ])
    )
  }
  for (const server of servers) server.stop()
}

/** Times functions in turn, each contender in a process of its own: nanoseconds of one run, best round. */
export const compareRuns = async (name, suite) => {
  const { count = 100_000, turns = 1, module, contenders } = suite
  const processes = []
  for (const contender of contenders) processes.push(await launch(contender, join(here, module), { suite: name, contender }, 'repeat.mjs'))
  for (const title of Object.keys(suite.cases)) {
    const best = new Map(processes.map(one => [one, Number.POSITIVE_INFINITY]))
    for (let turn = 0; turn < rounds * turns + 2; turn++) {
      for (const one of processes) {
        const time = await one.ask({ title, count })
        // The first rounds compile.
        if (turn > 1) best.set(one, Math.min(best.get(one), time))
      }
    }
    const base = best.get(processes.find(one => one.name === suite.baseline))
    console.log(`\n${name}: ${title} (ns each, best of ${rounds} rounds)\n`)
    table(
      ['contender', 'ns', `ratio to ${suite.baseline}`],
      [...best].map(([one, time]) => [one.name, round(time), round(time / base)])
    )
  }
  for (const one of processes) one.stop()
}
