import { App, type Context, reply } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { coapProxy, type UpstreamClient } from '@iopa/coap-proxy'
import { http } from '@iopa/http'
import { router } from '@iopa/router'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { BodyInTurn, LargeBody, passedOn } from '../src/bodies.ts'

const MIB = 1024 * 1024
// 5 MiB in the long run.
const SIZE = process.env['IOPA_FUZZ'] === undefined ? 300_000 : 5 * MIB
const limits = { body: 8 * MIB }

/** Bytes that are not in memory; byte N is N modulo 251. */
const BYTES = Buffer.alloc(
  MIB + 251,
  Uint8Array.from({ length: 251 }, (_, at) => at)
)
const pattern = (start: number, end: number) => BYTES.subarray(start % 251, (start % 251) + end - start)
const state = { read: 0, ended: false, most: 0, received: 0, failure: '' }
const firmware = {
  size: SIZE,
  read: async (start: number, end: number) => {
    state.read = Math.max(state.read, end)
    return pattern(start, end)
  },
  async *[Symbol.asyncIterator]() {
    for (let start = 0; start < SIZE; start += MIB) yield pattern(start, Math.min(SIZE, start + MIB))
  }
}

const server = new App({ logger: false }).use(router()).use(coap({ port: 0, tcp: true, limits }))
server.get('/firmware', context => {
  context.defer(() => (state.ended = true))
  return firmware
})
const take = async (context: Context) => {
  state.received = 0
  try {
    for await (const chunk of context.body ?? []) {
      for (const at of [0, chunk.length - 1]) if (chunk[at] !== (state.received + at) % 251) throw new Error('another byte')
      state.received += chunk.length
    }
  } catch (error) {
    state.failure = (error as { code: string }).code
    throw error
  }
  return reply(201)
}
server.put('/firmware', take)
server.put('/refused', () => reply(403))
const app = new App({ logger: false })
// Over TCP a message of an answer is as large as the client may take.
const small: UpstreamClient = { connect: (url, options) => app.connect(url, { ...options, limits: { body: 64 * 1024 } }) }
let base = ''
let path = ''
let tcpPath = ''
let proxy = ''

beforeAll(async () => {
  const [things] = await server.listen()
  const urls = (things as unknown as { urls: URL[] }).urls
  app.use(coapProxy({ client: small, targets: urls, cache: {} }))
  app.use(coap({ port: 0, limits })).use(http({ port: 0, limits }))
  const listeners = (await app.listen()).map(({ url }) => url.href)
  path = `/hc/coap/${urls.find(({ protocol }) => protocol === 'coap:')!.host}/firmware`
  tcpPath = `/hc/coap+tcp/${urls.find(({ protocol }) => protocol === 'coap+tcp:')!.host}/firmware`
  base = listeners.find(url => url.startsWith('http'))!.replace(/\/$/, '')
  proxy = listeners.find(url => url.startsWith('coap:'))!
})
afterAll(async () => {
  await app.close()
  await server.close()
})

/** Reads to the end; the bytes that the server has read ahead of what is here at most. */
const readAll = async (body: AsyncIterable<Uint8Array>) => {
  let length = 0
  let ahead = 0
  for await (const chunk of body) {
    for (const at of [0, chunk.length - 1]) if (chunk[at] !== (length + at) % 251) throw new Error('another byte')
    length += chunk.length
    ahead = Math.max(ahead, state.read - length)
  }
  return { length, ahead }
}
/** A stream that counts how far it is ahead of what the server has received. */
async function* upload(size = SIZE) {
  state.most = 0
  for (let start = 0; start < size; start += 32_768) {
    yield pattern(start, Math.min(size, start + 32_768))
    state.most = Math.max(state.most, start + 32_768 - state.received)
  }
}

describe('large bodies through the proxy', () => {
  test('go from CoAP to CoAP while they come, within 200 KiB', async () => {
    const client = await app.connect(proxy)
    state.read = 0
    const down = await client.send({ 'iopa.Path': path, 'coap.StreamAnswer': true })
    const { length, ahead } = await readAll(down.body)
    expect([length, ahead < 200 * 1024]).toEqual([SIZE, true])
    expect((await client.put(tcpPath, upload())).status).toBe(201)
    expect([state.received, state.most < 400 * 1024]).toEqual([SIZE, true])
    await client.close()
  }, 120_000)

  test('go from HTTP to CoAP while they come', async () => {
    const down = await fetch(base + tcpPath)
    expect((await readAll(down.body!)).length).toBe(SIZE)
    const client = await app.connect(base)
    expect((await client.put(tcpPath, upload())).status).toBe(201)
    expect(state.received).toBe(SIZE)
    await client.close()
  })
})

describe('an end before the end', () => {
  test('of a download reaches the server, and of an upload its handler', async () => {
    state.ended = false
    state.read = 0
    const leave = new AbortController()
    const down = await fetch(base + path, { signal: leave.signal })
    const reader = down.body!.getReader()
    await reader.read()
    leave.abort()
    await reader.read().catch(() => undefined)
    expect((await fetch(`${base}${path}x`)).status).toBe(404)
    expect(state.read).toBeLessThan(SIZE)
  })

  test('of an upload by the server ends it at the client', async () => {
    const client = await app.connect(proxy)
    const answer = await client.put(path.replace('firmware', 'refused'), upload())
    expect(answer.status).toBe(403)
    expect(state.most).toBeLessThan(SIZE)
    await client.close()
  })
})

describe('passedOn', () => {
  const parts = (...sizes: number[]) =>
    (async function* () {
      for (const size of sizes) yield new Uint8Array(size)
    })()

  test('collects up to 64 KiB, and streams what is larger', async () => {
    let ended = 0
    const init = { done: () => void ended++ }
    expect(await passedOn(parts(), init)).toBeNull()
    expect(((await passedOn(parts(10, 20), init)) as Uint8Array).length).toBe(30)
    expect(ended).toBe(2)
    const large = (await passedOn(parts(60_000, 60_000, 60_000), init)) as LargeBody
    expect(large).toBeInstanceOf(LargeBody)
    let length = 0
    for await (const part of large) length += part.length
    expect([length, ended]).toEqual([180_000, 3])
  })

  test('fails beyond its bound', async () => {
    const large = (await passedOn(parts(60_000, 60_000, 60_000), { most: 150_000 })) as LargeBody
    await expect(
      (async () => {
        for await (const _ of large);
      })()
    ).rejects.toMatchObject({ status: 502, code: 'received-too-large' })
  })
})

test.each([
  [130_000, 'longer'],
  [120_000, 'longer'],
  [190_000, 'shorter']
])('an answer of 150,000 bytes that says %i fails at its end, and is not given in part', async (size, word) => {
  const parts = (async function* () {
    for (let at = 0; at < 5; at++) yield new Uint8Array(30_000)
  })()
  const body = new BodyInTurn((await passedOn(parts)) as LargeBody, size)
  for (let start = 0; start + 10_000 < Math.min(size, 150_000); start += 10_000) expect((await body.read(start, start + 10_000)).length).toBe(10_000)
  await expect(body.read(size - 10_000, size)).rejects.toMatchObject({ status: 502, detail: expect.stringContaining(word) })
})
