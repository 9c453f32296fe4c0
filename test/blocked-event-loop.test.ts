// An event loop that was blocked longer than a limit: what the peer sent in time is read before anything is judged.
import dgram from 'node:dgram'
import { once } from 'node:events'
import net from 'node:net'
import { Worker } from 'node:worker_threads'
import { App, type Context, type Limits, type Transport } from '@iopa/appbuilder'
import { type CoapListener, coap } from '@iopa/coap'
import { http } from '@iopa/http'
import { mqtt } from '@iopa/mqtt'
import { router } from '@iopa/router'
import { tcp } from '@iopa/tcp'
import { udp } from '@iopa/udp'
import { afterEach, expect, test, vi } from 'vitest'

const LIMIT = 500
const BLOCKED = 700

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

/** Does `work`, then holds the event loop for longer than the limit, where due timers run next (after immediates, before anything is read). */
const blockAfter = async (work: () => void, time: number = BLOCKED): Promise<void> => {
  await new Promise(resolve => setTimeout(resolve, 20))
  await new Promise<void>(resolve =>
    setImmediate(() => {
      work()
      const until = performance.now() + time
      while (performance.now() < until);
      resolve()
    })
  )
}

/** Serves what sends back the length of the body, and gives the port. */
const serve = async (transport: Transport, limits: Partial<Limits>): Promise<number> => {
  const app = new App({ logger: false, limits }).use(router()).use(transport)
  app.use(async (context: Context) => `${(await context.bytes()).length} bytes`)
  const [listener] = await app.listen()
  ends.push(() => app.close({ timeout: 100 }))
  const url = (listener as CoapListener).urls?.find(({ protocol }) => protocol === 'coap+tcp:') ?? listener?.url
  return Number(url?.port)
}

/** A bare connection, and what came on it. */
const dial = async (port: number): Promise<{ socket: net.Socket; got: () => Buffer }> => {
  const socket = net.connect(port, '127.0.0.1')
  const chunks: Buffer[] = []
  socket.on('data', chunk => chunks.push(chunk)).on('error', () => undefined)
  ends.push(() => socket.destroy())
  await once(socket, 'connect')
  return { socket, got: () => Buffer.concat(chunks) }
}

const HEAD = 'PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n\r\n'
const LINE = '{"iopa.Method":"PUT","iopa.Path":"/","iopa.Body":"abcd"}\n'
const CSM = Buffer.of(0x00, 0xe1)
const coapFrame = Buffer.concat([Buffer.of(0x71, 0x03, 0x07, 0xff), Buffer.from('abcdef')])
const CONNECT = Buffer.concat([Buffer.of(0x10, 16, 0, 4), Buffer.from('MQTT'), Buffer.of(4, 2, 0, 60, 0, 4), Buffer.from('name')])
const PUBLISH = Buffer.concat([Buffer.of(0x32, 7, 0, 1), Buffer.from('a'), Buffer.of(0, 9), Buffer.from('xy')])
const overTcp = (): Transport => coap({ port: 0, tcp: true })
const broker = (): Transport => mqtt({ port: 0, statistics: false })

interface Case {
  readonly name: string
  readonly make: () => Transport
  readonly limits: Partial<Limits>
  /** What is sent at once, and how many bytes of answers come to it. */
  readonly before: readonly [Uint8Array | string, number]
  /** What is sent just before the loop is blocked. */
  readonly late: Uint8Array | string
  readonly answer: string
}

const cases: Case[] = [
  {
    name: 'the rest of a head of HTTP',
    make: () => http({ port: 0 }),
    limits: { headerTimeout: LIMIT },
    before: [HEAD.slice(0, 20), 0],
    late: `${HEAD.slice(20)}abcdef`,
    answer: '6 bytes'
  },
  {
    name: 'the rest of a body of HTTP',
    make: () => http({ port: 0 }),
    limits: { idleTimeout: LIMIT },
    before: [`${HEAD}abc`, 0],
    late: 'def',
    answer: '6 bytes'
  },
  {
    name: 'the rest of a body of HTTP for a run with a deadline',
    make: () => http({ port: 0 }),
    limits: { requestTimeout: LIMIT },
    before: [`${HEAD}abc`, 0],
    late: 'def',
    answer: '6 bytes'
  },
  {
    name: 'a request on an idle connection of HTTP',
    make: () => http({ port: 0 }),
    limits: { idleTimeout: LIMIT },
    before: [`${HEAD}abcdef`, 60],
    late: `${HEAD}abcde-`,
    answer: '6 bytes'
  },
  { name: 'the first line of TCP', make: () => tcp({ port: 0 }), limits: { headerTimeout: LIMIT }, before: ['', 0], late: LINE, answer: '6 bytes' },
  {
    name: 'the rest of a line of TCP',
    make: () => tcp({ port: 0 }),
    limits: { requestTimeout: LIMIT },
    before: [LINE.slice(0, 20), 0],
    late: LINE.slice(20),
    answer: '6 bytes'
  },
  {
    name: 'a line on an idle connection of TCP',
    make: () => tcp({ port: 0 }),
    limits: { idleTimeout: LIMIT },
    before: [LINE, 20],
    late: LINE,
    answer: '6 bytes'
  },
  {
    name: 'the CSM of CoAP',
    make: overTcp,
    limits: { headerTimeout: LIMIT },
    before: [CSM.subarray(0, 1), 2],
    late: Buffer.concat([CSM.subarray(1), coapFrame]),
    answer: '6 bytes'
  },
  {
    name: 'the rest of a message of CoAP',
    make: overTcp,
    limits: { requestTimeout: LIMIT },
    before: [Buffer.concat([CSM, coapFrame.subarray(0, 5)]), 2],
    late: coapFrame.subarray(5),
    answer: '6 bytes'
  },
  {
    name: 'a message on an idle connection of CoAP',
    make: overTcp,
    limits: { idleTimeout: LIMIT },
    before: [Buffer.concat([CSM, coapFrame]), 10],
    late: coapFrame,
    answer: '6 bytes'
  },
  {
    name: 'the CONNECT of MQTT',
    make: broker,
    limits: { headerTimeout: LIMIT },
    before: [CONNECT.subarray(0, 5), 0],
    late: CONNECT.subarray(5),
    answer: '\x20\x02\0\0'
  },
  {
    name: 'the rest of a packet of MQTT',
    make: broker,
    limits: { requestTimeout: LIMIT },
    before: [Buffer.concat([CONNECT, PUBLISH.subarray(0, 5)]), 4],
    late: PUBLISH.subarray(5),
    answer: '\x40\x02\0\x09'
  }
]

test('servers read pending input before timeouts, after a blocked event loop', async () => {
  const ports = await Promise.all(cases.map(({ make, limits }) => serve(make(), limits)))
  type Peers = readonly Awaited<ReturnType<typeof dial>>[]
  const answered = (peers: Peers, had: readonly number[]): Promise<void> => {
    const lost = (): string[] =>
      cases.filter(({ answer }, at) => !peers[at]?.got().subarray(had[at]).toString('latin1').includes(answer)).map(({ name }) => name)
    return vi.waitFor(() => expect(lost()).toEqual([]), { interval: 5, timeout: 3000 })
  }
  // Once without a pause, so that nothing has to be loaded or compiled while the limits run.
  const first = await Promise.all(ports.map(dial))
  for (const [at, { before, late }] of cases.entries()) first[at]?.socket.write(Buffer.concat([Buffer.from(before[0]), Buffer.from(late)]))
  await answered(first, [])
  const peers = await Promise.all(ports.map(dial))
  for (const [at, { before }] of cases.entries()) if (before[0].length > 0) peers[at]?.socket.write(before[0])
  await vi.waitFor(() => expect(cases.filter(({ before }, at) => (peers[at]?.got().length ?? 0) < before[1])).toEqual([]), { interval: 5 })
  const had = peers.map(({ got }) => got().length)
  await blockAfter(() => cases.forEach(({ late }, at) => void peers[at]?.socket.write(late)))
  await answered(peers, had)
})

test('clients read pending input before timeouts, after a blocked event loop', async () => {
  /** Answers that leave just before the loop is blocked. */
  const answers: (() => void)[] = []
  const stream = async (answer: (chunk: Buffer) => Uint8Array | string): Promise<number> => {
    const server = net.createServer(socket => {
      ends.push(() => socket.destroy())
      socket.on('error', () => undefined).on('data', chunk => answers.push(() => void socket.write(answer(chunk))))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    ends.push(() => server.close())
    return (server.address() as net.AddressInfo).port
  }
  const datagrams = async (answer: (message: Buffer) => Uint8Array | string): Promise<number> => {
    let bound = false
    // Sends at once, not after a look-up in a later turn.
    const lookup = (host: string, _options: unknown, found: (error: null, address: string, family: number) => void): void => {
      if (bound) found(null, host, 4)
      else process.nextTick(found, null, host, 4)
    }
    const socket = dgram.createSocket({ type: 'udp4', lookup })
    socket.on('message', (message, from) => answers.push(() => socket.send(answer(message), from.port, from.address)))
    socket.bind(0, '127.0.0.1')
    await once(socket, 'listening')
    bound = true
    ends.push(() => socket.close())
    return socket.address().port
  }
  const bagAnswer = (request: Buffer): string => {
    const { 'iopa.Seq': seq } = JSON.parse(request.toString()) as Record<string, unknown>
    return `${JSON.stringify({ 'iopa.StatusCode': 200, 'iopa.Seq': seq, 'iopa.Body': 'in time' })}\n`
  }
  const coapAnswer = (request: Buffer): Buffer => {
    const length = (request[0] ?? 0) & 15
    return Buffer.concat([Buffer.of(0x60 | length, 0x45), request.subarray(2, 4 + length), Buffer.of(0xff), Buffer.from('"in time"')])
  }
  const urls = [
    `http://127.0.0.1:${await stream(() => 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"in time"')}`,
    `tcp://127.0.0.1:${await stream(bagAnswer)}`,
    `udp://127.0.0.1:${await datagrams(bagAnswer)}`,
    `coap://127.0.0.1:${await datagrams(coapAnswer)}`
  ]
  const app = new App({ logger: false }).use(http()).use(tcp()).use(udp()).use(coap())
  ends.push(() => app.close({ timeout: 100 }))
  const clients = await Promise.all(urls.map(url => app.connect(url, { timeout: LIMIT })))
  ends.push(() => Promise.all(clients.map(client => client.close())))
  const got = Promise.allSettled(clients.map(async client => (await client.get('/')).text()))
  await vi.waitFor(() => expect(answers.length).toBe(urls.length), { interval: 5 })
  await blockAfter(() => answers.forEach(answer => void answer()))
  expect((await got).map(result => (result.status === 'fulfilled' ? result.value : String(result.reason)))).toEqual(urls.map(() => '"in time"'))
})

test('MQTT sessions last for a client that reconnects in time, after a blocked event loop', async () => {
  const port = await serve(broker(), {})
  // A client in a thread of its own: it connects while the loop of the broker is blocked.
  const client = new Worker(
    `const { parentPort } = require('node:worker_threads')
    const connect = () => {
      const socket = require('node:net').connect(${port}, '127.0.0.1')
      // MQTT 5, the session may be resumed, and lasts for one second.
      socket.write(Buffer.from('101600044d5154540500003c05110000000100046e616d65', 'hex'))
      socket.once('data', chunk => {
        parentPort.postMessage(chunk[2])
        socket.destroy()
      })
    }
    parentPort.on('message', connect)`,
    { eval: true }
  )
  ends.push(() => client.terminate())
  client.postMessage('connect')
  expect(await once(client, 'message')).toEqual([0])
  await new Promise(resolve => setTimeout(resolve, 200))
  const present = once(client, 'message')
  await blockAfter(() => client.postMessage('connect'), 1400)
  expect(await present).toEqual([1])
})
