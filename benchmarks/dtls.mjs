// CoAP over DTLS beside plain CoAP: CPU time of the server for each request and each handshake, memory of each session; and the same of coap-server-openssl
// of libcoap, where that is installed. Both have the same clients.
// node benchmarks/dtls.mjs [sessions] [requests] [rounds]
import { execFileSync, fork, spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { App } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { dtls } from '@iopa/dtls'
import { median } from './harness.mjs'

const [SESSIONS = 10_000, REQUESTS = 10_000, ROUNDS = 7] = process.argv.slice(2).map(Number)
/** Requests at once, and handshakes: a server has at most 1,024 that are half open. */
const CONCURRENCY = 16
/** Handshakes that libcoap is measured with. */
const FOREIGN_SESSIONS = Math.min(SESSIONS, 1000)
/** Milliseconds that the whole run may take. */
const LONGEST_RUN = 30 * 60_000
const KEY = 'the key of a sensor'
const FOREIGN = 'coap-server-openssl'
/** Bytes that a session may take; among few sessions, what is made once counts too much. */
const MOST_BYTES = 3 * 1024
const LEAST_SESSIONS = 1000

const children = []
// However this process ends, no server outlives it.
process.on('exit', () => {
  for (const child of children) {
    if (child.stdin === null) child.kill()
    else child.stdin.destroy()
  }
})
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))
const tooLong = setTimeout(() => {
  console.error(`The run has taken ${LONGEST_RUN / 60_000} minutes: give fewer sessions, requests or rounds.`)
  process.exit(1)
}, LONGEST_RUN)

const started = child => {
  children.push(child)
  child.once('exit', code => {
    console.error(`A server ended with ${code}.`)
    process.exit(1)
  })
  return child
}

const ours = async () => {
  // Beside the measured sessions there is that of the requests.
  const server = started(fork(join(import.meta.dirname, 'servers', 'dtls.mjs'), [KEY, SESSIONS + CONCURRENCY], { execArgv: ['--expose-gc'] }))
  const [{ urls }] = await once(server, 'message')
  const measure = async () => {
    server.send('measure')
    const [usage] = await once(server, 'message')
    return usage
  }
  return { name: 'iopa', urls, measure, sessions: SESSIONS }
}

const freePort = async () => {
  const socket = createSocket('udp4').bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const { port } = socket.address()
  socket.close()
  return port
}

const theirs = async () => {
  try {
    execFileSync('sh', ['-c', `command -v ${FOREIGN}`])
  } catch {
    return undefined
  }
  const port = await freePort()
  // Its DTLS is at the next port. The shell ends it when this process is gone: then nothing holds its input open.
  const shell = started(
    spawn('sh', ['-c', '"$@" >/dev/null 2>&1 & echo $!; read -r _; kill $!', 'sh', FOREIGN, '-A', '127.0.0.1', '-p', String(port), '-k', KEY], {
      stdio: ['pipe', 'pipe', 'inherit']
    })
  )
  const [pid] = await once(shell.stdout.setEncoding('utf8'), 'data')
  // Nanoseconds on a processor; the server has one thread.
  const measure = async () => ({ cpu: Number(readFileSync(`/proc/${pid.trim()}/schedstat`, 'utf8').split(' ')[0]) / 1000 })
  await delay(500)
  return { name: FOREIGN, urls: [`coap://127.0.0.1:${port}/`, `coaps://127.0.0.1:${port + 1}/`], measure, sessions: FOREIGN_SESSIONS }
}

/** On a busy machine a handshake may take longer than the ten seconds that a server gives it: it is then tried again. */
const connected = async (url, identity) => {
  for (let tries = 1; ; tries++)
    try {
      return await connect(url, identity)
    } catch (error) {
      if (error.code !== 'handshake-failed' || tries === 3) throw error
      console.error(`A handshake is tried again: ${error.detail}`)
    }
}

const connect = (url, identity) => new App({ logger: false }).use(coap({ dtls: dtls({ psk: { [identity]: Buffer.from(KEY) } }) })).connect(url)

const ask = async (client, count) => {
  let left = count
  const work = async () => {
    while (left-- > 0) await (await client.get('/time')).text()
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, work))
}

/** Microseconds of server CPU for a request, plain and over DTLS, in rounds that take turns. */
const measureRequests = async servers => {
  const runs = []
  for (const server of servers)
    for (const url of server.urls) {
      const client = await connected(url, 'load')
      await ask(client, REQUESTS)
      runs.push({ server, client, times: [] })
    }
  for (let round = 0; round < ROUNDS; round++)
    for (let at = 0; at < runs.length; at++) {
      const { server, client, times } = runs[(at + round) % runs.length]
      const before = await server.measure()
      await ask(client, REQUESTS)
      times.push(((await server.measure()).cpu - before.cpu) / REQUESTS)
    }
  for (const { client } of runs) await client.close()
  for (const { name } of servers) {
    const [plain, secured] = runs.filter(({ server }) => server.name === name).map(({ times }) => times)
    const extra = median(secured.map((time, at) => time - plain[at]))
    const ratio = median(secured.map((time, at) => time / plain[at]))
    const [one, other] = [plain, secured].map(times => median(times).toFixed(1))
    console.log(`${name}, request: ${one} us plain, ${other} us over DTLS: ${extra.toFixed(1)} us more, ratio ${ratio.toFixed(2)}`)
  }
}

/** No session is resumed: every client has a value of `dtls()` to itself. What is kept to resume one is of its user, who has eight at most. */
const measureSessions = async ({ name, urls, measure, sessions }, who, identityOf) => {
  const clients = []
  const inWaves = async work => {
    let next = 0
    const one = async () => {
      while (next < sessions) await work(next++)
    }
    await Promise.all(Array.from({ length: CONCURRENCY }, one))
  }
  const before = await measure()
  await inWaves(async at => {
    clients[at] = await connected(urls[1], identityOf(at))
  })
  const shaken = await measure()
  const handshake = (shaken.cpu - before.cpu) / sessions
  console.log(
    `${name}, handshake of ${who}: ${handshake.toFixed(0)} us, ${Math.round(1e6 / handshake).toLocaleString('en')} in a second of server cpu`
  )
  await inWaves(async at => void (await (await clients[at].get('/time')).text()))
  const after = await measure()
  if (after.memory === undefined) return 0
  const each = key => (after[key] - before[key]) / sessions
  const [memory, rss] = ['memory', 'rss'].map(key => (each(key) / 1024).toFixed(2))
  console.log(`${name}, session of ${who}: ${memory} KiB of heap and external memory, ${rss} KiB of rss (of ${sessions}, each with one request)`)
  await inWaves(at => clients[at].close())
  return each('memory')
}

const servers = [await ours(), await theirs()].filter(server => server !== undefined)
if (servers.length === 1) console.log(`${FOREIGN} is not installed: nothing to compare with (Debian: libcoap3-bin).`)
await measureRequests(servers)
const [own, ...foreign] = servers
const bytes = await measureSessions(own, 'one user', () => 'sensor')
await measureSessions(own, 'a user each', at => `sensor-${at}`)
for (const server of foreign) await measureSessions(server, 'one user', () => 'sensor')
clearTimeout(tooLong)
const isTooLarge = SESSIONS >= LEAST_SESSIONS && bytes > MOST_BYTES
if (isTooLarge) console.error(`A session takes more than ${MOST_BYTES} bytes.`)
process.exit(isTooLarge ? 1 : 0)
