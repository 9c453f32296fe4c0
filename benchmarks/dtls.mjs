// CoAP over DTLS beside plain CoAP: CPU time of the server for each request, for each handshake, and memory of each session.
// node benchmarks/dtls.mjs [sessions] [requests] [rounds]
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { App } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { dtls } from '@iopa/dtls'
import { router } from '@iopa/router'

const [SESSIONS = 2000, REQUESTS = 10_000, ROUNDS = 7] = process.argv.slice(2).map(Number)
const CONCURRENCY = 16
const keys = dtls({ psk: { 'sensor-1': Buffer.from('the key of a sensor') } })

const serve = async () => {
  const app = new App({ logger: false }).use(router()).use(coap({ port: 0, udp: true, dtls: keys }))
  app.get('/state', () => 'on')
  const [listener] = await app.listen()
  process.on('message', () => {
    globalThis.gc()
    const { heapUsed, external } = process.memoryUsage()
    const { user, system } = process.cpuUsage()
    process.send({ cpu: user + system, memory: heapUsed + external })
  })
  process.send({ urls: listener.urls.map(({ href }) => href) })
}

const median = values => values.toSorted((a, b) => a - b)[values.length >> 1]

const load = async () => {
  const server = fork(import.meta.filename, { execArgv: [...process.execArgv, '--expose-gc'], env: { ...process.env, DTLS_SERVER: '1' } })
  const [{ urls }] = await once(server, 'message')
  const measure = async () => {
    server.send('measure')
    const [usage] = await once(server, 'message')
    return usage
  }
  const app = new App({ logger: false }).use(coap({ dtls: keys }))
  const clients = await Promise.all(urls.map(url => app.connect(url)))
  const ask = async (client, count) => {
    let left = count
    const work = async () => {
      while (left-- > 0) await (await client.get('/state')).text()
    }
    await Promise.all(Array.from({ length: CONCURRENCY }, work))
  }
  for (const client of clients) await ask(client, REQUESTS)
  const times = clients.map(() => [])
  for (let round = 0; round < ROUNDS; round++)
    for (const [at, client] of clients.entries()) {
      const before = await measure()
      await ask(client, REQUESTS)
      times[at].push(((await measure()).cpu - before.cpu) / REQUESTS)
    }
  const [plain, secured] = times.map(median)
  const extra = median(times[1].map((time, at) => time - times[0][at]))
  console.log(
    `request: ${plain.toFixed(1)} us plain, ${secured.toFixed(1)} us over DTLS, ${extra.toFixed(1)} us more (server cpu, median of ${ROUNDS})`
  )

  // Each session has a full handshake: with one value of keys for each, none is resumed.
  const before = await measure()
  const apps = []
  for (let made = 0; made < SESSIONS; made += CONCURRENCY)
    await Promise.all(
      Array.from({ length: CONCURRENCY }, async () => {
        const own = new App({ logger: false }).use(coap({ dtls: dtls({ psk: { 'sensor-1': Buffer.from('the key of a sensor') } }) }))
        apps.push(own)
        await (await (await own.connect(urls[1])).get('/state')).text()
      })
    )
  const after = await measure()
  console.log(`handshake and first request: ${((after.cpu - before.cpu) / apps.length).toFixed(0)} us of server cpu`)
  console.log(`session: ${((after.memory - before.memory) / apps.length / 1024).toFixed(2)} KiB (of ${apps.length}, each with one request)`)
  server.kill()
  process.exit()
}

await (process.env.DTLS_SERVER === '1' ? serve() : load())
