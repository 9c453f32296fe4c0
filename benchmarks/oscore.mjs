// CoAP under OSCORE beside plain CoAP, on one listener: CPU time of the server for each request, and of what protects and opens alone.
// node benchmarks/oscore.mjs [requests] [rounds]
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { App } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { oscore } from '@iopa/oscore'
import { router } from '@iopa/router'
import { DEFAULT_LIMITS, systemClock } from '@iopa/transport'

const [REQUESTS = 5000, ROUNDS = 9] = process.argv.slice(2).map(Number)
const CONCURRENCY = 16
const masterSecret = Buffer.from('0102030405060708090a0b0c0d0e0f10', 'hex')
const [own, other] = [Buffer.from([0]), Buffer.from([1])]
const ofServer = { id: 'sensor-1', masterSecret, senderId: own, recipientId: other }
const ofClient = url => ({ id: 'server', masterSecret, senderId: other, recipientId: own, servers: [url] })

const serve = async () => {
  const app = new App({ logger: false }).use(router()).use(coap({ port: 0, protect: oscore({ contexts: [ofServer] }) }))
  app.get('/state', () => 'on')
  const [listener] = await app.listen()
  process.on('message', () => {
    const { user, system } = process.cpuUsage()
    process.send({ cpu: user + system })
  })
  process.send({ url: listener.url.href })
}

const median = values => values.toSorted((a, b) => a - b)[values.length >> 1]

const load = async () => {
  const server = fork(import.meta.filename, { env: { ...process.env, OSCORE_SERVER: '1' } })
  const [{ url }] = await once(server, 'message')
  const measure = async () => {
    server.send('measure')
    return (await once(server, 'message'))[0].cpu
  }
  const protect = oscore({ contexts: [ofClient(url)] })
  const apps = [new App({ logger: false }).use(coap()), new App({ logger: false }).use(coap({ protect }))]
  const clients = await Promise.all(apps.map(app => app.connect(url)))
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
      times[at].push(((await measure()) - before) / REQUESTS)
    }
  const extra = median(times[1].map((time, at) => time - times[0][at]))
  const [plain, secured] = times.map(median)
  console.log(
    `request: ${plain.toFixed(1)} us plain, ${secured.toFixed(1)} us under OSCORE, ${extra.toFixed(1)} us more (server cpu, median of ${ROUNDS})`
  )
  server.kill()
}

/** Both sides without a network: a request protected and opened, and its response. */
const alone = async () => {
  const url = 'coap://sensor.example'
  const environment = { clock: systemClock, limits: DEFAULT_LIMITS, logger: console }
  const server = await oscore({ contexts: [ofServer] }).start(environment)
  const client = await oscore({ contexts: [ofClient(url)] }).start(environment)
  const requests = client.requests(new URL(url))
  const source = { address: '192.0.2.1', port: 5683, verified: true }
  const get = { code: 0x01, options: [[11, Buffer.from('state')]], payload: new Uint8Array(0) }
  const content = { code: 0x45, options: [[12, new Uint8Array(0)]], payload: Buffer.from('on') }
  const exchange = async () => {
    const sent = await requests.protect(get)
    const opened = await server.open(sent.message, source)
    return sent.open('message' in opened ? opened.protect(content, 'response') : opened.refusal)
  }
  await exchange()
  const times = []
  for (let round = 0; round < 2 * ROUNDS; round++) {
    const before = process.cpuUsage()
    for (let count = 0; count < REQUESTS; count++) await exchange()
    const { user, system } = process.cpuUsage(before)
    times.push((user + system) / REQUESTS)
  }
  console.log(`request and response, protected and opened: ${median(times).toFixed(1)} us, ${Math.min(...times).toFixed(1)} at best (four ciphers)`)
}

if (process.env.OSCORE_SERVER === '1') await serve()
else {
  await alone()
  await load()
  process.exit()
}
