// How the embedded broker scales: memory of idle connections, matching among many subscriptions and retained messages, a frozen subscriber.
// node --expose-gc benchmarks/mqtt-scale.mjs [idle|match|frozen], on built output.
import { fork } from 'node:child_process'
import net from 'node:net'
import { fileURLToPath } from 'node:url'
import { App } from '@iopa/appbuilder'
import { mqtt } from '@iopa/mqtt'

const string = text => Buffer.concat([Buffer.from([text.length >> 8, text.length & 255]), Buffer.from(text)])
const packet = (first, ...parts) => {
  const body = Buffer.concat(parts)
  const length = []
  let rest = body.length
  do {
    length.push(rest > 127 ? (rest & 127) | 128 : rest)
    rest >>= 7
  } while (rest > 0)
  return Buffer.concat([Buffer.from([first, ...length]), body])
}
const CONNECT = id => packet(0x10, string('MQTT'), Buffer.from([4, 2, 0, 0]), string(id))
const SUBSCRIBE = (filter, qos = 0) => packet(0x82, Buffer.from([0, 1]), string(filter), Buffer.from([qos]))
const PUBLISH = (topic, payload, first = 0x30) => packet(first, string(topic), Buffer.from(payload))

const connected = (port, id, onData = () => undefined) =>
  new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(CONNECT(id)))
    socket.setNoDelay(true)
    socket.once('data', () => {
      socket.on('data', onData)
      resolve(socket)
    })
    socket.once('error', reject)
  })

const quiet = (milliseconds = 200) => new Promise(resolve => setTimeout(resolve, milliseconds))
const serve = async options => {
  const transport = mqtt({ port: 0, ...options })
  const app = new App({ logger: false }).use(transport)
  const [listener] = await app.listen()
  return { app, transport, port: Number(listener.url.port) }
}

const cases = {
  async idle() {
    const count = 10_000
    const { app, port } = await serve({ limits: { connections: 2 * count } })
    globalThis.gc?.()
    const before = process.memoryUsage()
    // The clients live in another process, so that only the broker's half of each connection is weighed here.
    const clients = fork(fileURLToPath(import.meta.url), ['clients', String(port), String(count)])
    await new Promise(resolve => clients.once('message', resolve))
    await quiet(1000)
    globalThis.gc?.()
    await quiet()
    globalThis.gc?.()
    const after = process.memoryUsage()
    const each = name => ((after[name] - before[name]) / count / 1024).toFixed(1)
    console.log(
      `idle: ${count} connections; KB each: rss ${each('rss')}, heap ${each('heapUsed')}, external ${each('external')}; live contexts ${app.live}`
    )
    clients.kill()
    await app.close({ timeout: 0 })
  },
  async match() {
    const count = 100_000
    const { app, transport, port } = await serve({
      maxSubscriptions: 2 * count,
      maxRetained: 2 * count,
      limits: { observersPerConnection: 2 * count, queueBytes: 1 << 30 },
      statistics: false
    })
    const busy = await connected(port, 'busy')
    for (let index = 0; index < count; index += 1000) {
      const filters = Array.from({ length: 1000 }, (_, at) =>
        Buffer.concat([string(`devices/${index + at}/${at % 2 ? '+' : 'state'}`), Buffer.from([0])])
      )
      busy.write(packet(0x82, Buffer.from([0, 1]), ...filters))
      await quiet(5)
    }
    for (let index = 0; index < count; index++) await transport.publish(`kept/${index % 100}/${index}`, 'x'.repeat(20), { retain: true })
    await quiet(2000)
    const spent = async (name, times, work) => {
      for (let index = 0; index < 200; index++) await work(index)
      const start = process.cpuUsage()
      for (let index = 0; index < times; index++) await work(1000 + index * 7)
      const { user, system } = process.cpuUsage(start)
      console.log(`match: ${name}: ${((user + system) / times).toFixed(1)} us of cpu`)
    }
    await spent('a message to a topic not seen before, among 100,000 subscriptions, authorised and delivered', 5000, index =>
      transport.publish(`devices/${index}/state`, 'x')
    )
    for (const [name, filter] of [
      ['one topic', 'kept/%c/%n'],
      ['a filter with a wildcard', 'kept/+/%n']
    ]) {
      // The reader lives in another process: what is spent here is the broker's own, system calls included.
      const reader = fork(fileURLToPath(import.meta.url), ['reader', String(port), filter, '15000'])
      await new Promise(resolve => reader.once('message', resolve))
      const start = process.cpuUsage()
      reader.send('go')
      await new Promise(resolve => reader.once('message', resolve))
      const { user, system } = process.cpuUsage(start)
      console.log(
        `match: SUBSCRIBE to ${name} among 100,000 retained, its SUBACK and first message: ${((user + system) / 15000).toFixed(1)} us of cpu, ${(system / 15000).toFixed(1)} of them in the system`
      )
      reader.kill()
    }
    await app.close({ timeout: 0 })
  },
  async frozen() {
    const { app, port } = await serve()
    const frozen = await connected(port, 'frozen')
    frozen.write(SUBSCRIBE('flood'))
    await quiet()
    frozen.pause()
    const flood = await connected(port, 'flood')
    const block = Buffer.concat(Array.from({ length: 100 }, () => PUBLISH('flood', Buffer.alloc(1000))))
    const times = []
    let sent
    let resolveEcho
    const pair = await connected(port, 'pair', () => {
      times.push(performance.now() - sent)
      resolveEcho?.()
    })
    pair.write(SUBSCRIBE('echo'))
    await quiet()
    times.length = 0
    const flooding = setInterval(() => flood.write(block), 5)
    for (let index = 0; index < 1000; index++) {
      const echo = new Promise(resolve => {
        resolveEcho = resolve
      })
      sent = performance.now()
      pair.write(PUBLISH('echo', 'x'))
      await echo
      await quiet(2)
    }
    clearInterval(flooding)
    times.sort((a, b) => a - b)
    console.log(
      `frozen: an unrelated pair beside a frozen subscriber: p50 ${times[500].toFixed(2)} ms, p99 ${times[990].toFixed(2)} ms, most ${times.at(-1).toFixed(2)} ms; rss ${(process.memoryUsage().rss / 1e6).toFixed(0)} MB`
    )
    await app.close({ timeout: 0 })
  },
  async reader() {
    const [port, filter, count] = process.argv.slice(3)
    let heard
    const socket = await connected(Number(port), 'reader', () => heard?.())
    const one = index =>
      new Promise(resolve => {
        heard = resolve
        socket.write(SUBSCRIBE(filter.replace('%n', index).replace('%c', index % 100)))
      })
    for (let index = 0; index < 900; index++) await one(index)
    process.send('ready')
    await new Promise(resolve => process.once('message', resolve))
    for (let index = 1000; index < 1000 + Number(count); index++) await one(index)
    process.send('done')
  },
  async clients() {
    const [port, count] = process.argv.slice(3).map(Number)
    const sockets = []
    for (let index = 0; index < count; index += 100) {
      sockets.push(...(await Promise.all(Array.from({ length: 100 }, (_, at) => connected(port, `idle-${index + at}`)))))
    }
    process.send('connected')
  }
}

const only = process.argv[2]
for (const name of only ? [only] : ['idle', 'match', 'frozen']) await cases[name]()
if (only !== 'clients' && only !== 'reader') process.exit(0)
