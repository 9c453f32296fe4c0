import dgram from 'node:dgram'
import { App } from '@iopa/appbuilder'
import { virtualClock, virtualNetwork } from '@iopa/testing'
import { type Client, type ConnectOptions, connect } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { type UdpOptions, udp } from '../src/index.ts'
import { atEnd, serve } from './support.ts'

const later = (ms: number, value?: unknown): Promise<unknown> => new Promise(resolve => setTimeout(() => resolve(value), ms))

const open = async (port: number, options: ConnectOptions = {}, own: UdpOptions = {}, host = '127.0.0.1'): Promise<Client> => {
  const channel = await connect(udp(own), new URL(`udp://${host}:${port}`), options)
  atEnd(() => channel.close())
  return channel
}

/** A server of the test's own, for what ours never does. */
const fake = async (received: (bytes: Buffer, answer: (text: string, socket?: dgram.Socket) => void) => void): Promise<number> => {
  const socket = dgram.createSocket('udp4')
  socket.on('message', (bytes, { port }) => received(bytes, (text, from = socket) => from.send(text, port, '127.0.0.1')))
  await new Promise<void>(resolve => socket.bind(0, '127.0.0.1', resolve))
  atEnd(() => socket.close())
  return socket.address().port
}

describe('a UDP client', () => {
  test('resolves requests with their answers, whatever the status', async () => {
    const { port } = await serve(async context =>
      context.path === '/missing' ? undefined : { method: context.method, type: context.type, body: await context.text() }
    )
    for (const host of ['127.0.0.1', 'localhost']) {
      const channel = await open(port, {}, {}, host)
      const answer = await channel.send({ 'iopa.Method': 'PUT', 'iopa.Path': '/a', 'iopa.Body': { on: true } })
      expect(answer.status).toBe(200)
      expect(await answer.json()).toEqual({ method: 'PUT', type: 'application/json', body: '{"on":true}' })
      expect((await channel.send({ 'iopa.Path': '/missing' })).status).toBe(404)
    }
  })

  test('works over IPv6 in every notation of the address', async () => {
    const { port } = await serve(() => 'six', { host: '::1' })
    const channel = await open(port, {}, {}, '[0:0:0:0:0:0:0:1]')
    expect(await (await channel.send({ 'iopa.Path': '/' })).text()).toBe('six')
  })

  test('reaches an IPv4 address written as IPv6', async () => {
    const { port } = await serve(() => 'four')
    const channel = await open(port, { timeout: 1000 }, {}, '[::ffff:127.0.0.1]')
    expect(await (await channel.send({ 'iopa.Path': '/' })).text()).toBe('four')
  })

  test('matches many answers in any order', async () => {
    const { port } = await serve(context => later(Number(context.path.slice(1)) % 5, context.path))
    const channel = await open(port)
    const texts = await Promise.all(Array.from({ length: 100 }, async (_, i) => (await channel.send({ 'iopa.Path': `/${i}` })).text()))
    expect(texts).toEqual(Array.from({ length: 100 }, (_, i) => `/${i}`))
  })

  test('rejects after the timeout, without sending again', async () => {
    let count = 0
    const port = await fake(() => count++)
    const channel = await open(port, { timeout: 50 })
    await expect(channel.send({ 'iopa.Path': '/' })).rejects.toMatchObject({ status: 504, code: 'timeout' })
    await later(100)
    expect(count).toBe(1)
  })

  test('rejects after the timeout where nothing listens', async () => {
    const { port, app } = await serve(() => 'x')
    await app.close()
    const channel = await open(port, { timeout: 50 })
    await expect(channel.send({ 'iopa.Path': '/' })).rejects.toMatchObject({ code: 'timeout' })
  })

  test('ignores invalid answers, late answers, and datagrams from other addresses', async () => {
    const stranger = dgram.createSocket('udp4')
    atEnd(() => stranger.close())
    const port = await fake((bytes, answer) => {
      const seq = JSON.parse(bytes.toString())['iopa.Seq']
      answer('nonsense')
      answer('{"iopa.StatusCode":200}')
      answer(`{"iopa.StatusCode":200,"iopa.Seq":${seq + 1}}`)
      answer(`{"iopa.StatusCode":200,"iopa.Seq":"${seq}"}`)
      answer(`{"iopa.StatusCode":299,"iopa.Seq":${seq}}`, stranger)
      setTimeout(() => answer(`{"iopa.StatusCode":201,"iopa.Seq":${seq}}`), 20)
    })
    const channel = await open(port)
    expect((await channel.send({ 'iopa.Path': '/' })).status).toBe(201)
  })

  test('rejects only the request whose answer cannot be read', async () => {
    const port = await fake((bytes, answer) => {
      const { 'iopa.Seq': seq, 'iopa.Path': path } = JSON.parse(bytes.toString())
      answer(
        path === '/bad'
          ? `{"iopa.StatusCode":200,"iopa.ContentType":"json","iopa.Body":1,"iopa.Seq":${seq}}`
          : `{"iopa.StatusCode":201,"iopa.Seq":${seq}}`
      )
    })
    const channel = await open(port)
    const [good, bad] = await Promise.allSettled([channel.send({ 'iopa.Path': '/' }), channel.send({ 'iopa.Path': '/bad' })])
    expect([good, bad]).toMatchObject([{ value: { status: 201 } }, { reason: { status: 502, code: 'bad-answer' } }])
  })

  test('rejects with the reason of its signal', async () => {
    const port = await fake(() => undefined)
    const channel = await open(port)
    const abort = new AbortController()
    const sent = channel.send({ 'iopa.Path': '/', 'iopa.CallCancelled': abort.signal })
    setTimeout(() => abort.abort(new Error('enough')), 10)
    await expect(sent).rejects.toThrow('enough')
    await expect(channel.send({ 'iopa.Path': '/', 'iopa.CallCancelled': abort.signal })).rejects.toThrow('enough')
    await expect(connect(udp(), new URL(`udp://127.0.0.1:${port}`), { signal: abort.signal })).rejects.toThrow('enough')
  })

  test('refuses requests over its limit, and those too large for a datagram', async () => {
    const port = await fake(() => undefined)
    const channel = await open(port, { limits: { inFlight: 2 }, timeout: 100 })
    const sent = [1, 2].map(() => channel.send({ 'iopa.Path': '/' }).catch(() => undefined))
    await expect(channel.send({ 'iopa.Path': '/' })).rejects.toMatchObject({ code: 'overloaded' })
    await Promise.all(sent)
    await expect(channel.send({ 'iopa.Method': 'PUT', 'iopa.Path': '/', 'iopa.Body': 'x'.repeat(66_000) })).rejects.toMatchObject({ status: 413 })
  })

  test('rejects pending and later requests when it closes', async () => {
    const port = await fake(() => undefined)
    const channel = await open(port)
    const sent = channel.send({ 'iopa.Path': '/' })
    sent.catch(() => undefined)
    await later(5)
    await channel.close()
    await expect(sent).rejects.toMatchObject({ code: 'closed' })
    await expect(channel.send({ 'iopa.Path': '/' })).rejects.toMatchObject({ code: 'closed' })
    await channel.close()
  })

  test('refuses to observe', async () => {
    const { port } = await serve(() => 'x')
    for (const framing of ['bag', 'raw'] as const) {
      const channel = await open(port, {}, { framing })
      await expect(channel.observe({ 'iopa.Path': '/' })[Symbol.asyncIterator]().next()).rejects.toMatchObject({ status: 501 })
    }
  })

  test('refuses a URL without a port, an unknown host, and TLS', async () => {
    await expect(connect(udp(), new URL('udp://127.0.0.1'))).rejects.toMatchObject({ code: 'no-port' })
    await expect(connect(udp(), new URL('udp://nowhere.invalid:7001'))).rejects.toMatchObject({ code: 'connect-failed' })
    await expect(connect(udp(), new URL('udp://127.0.0.1:7001'), { tls: {} })).rejects.toMatchObject({ code: 'tls-scheme' })
  })
})

describe('a client of plain datagrams', () => {
  test('gets the answer to each request', async () => {
    const { port } = await serve(async context => later(Number(await context.text()) % 5, context.text()), { framing: 'raw' })
    const channel = await open(port, {}, { framing: 'raw' })
    const texts = await Promise.all(Array.from({ length: 30 }, async (_, i) => (await channel.send({ 'iopa.Body': String(i) })).text()))
    expect(texts).toEqual(Array.from({ length: 30 }, (_, i) => String(i)))
  })

  test('rejects after the timeout and when it closes', async () => {
    const port = await fake(() => undefined)
    const channel = await open(port, { timeout: 30 }, { framing: 'raw' })
    await expect(channel.send({ 'iopa.Body': 'x' })).rejects.toMatchObject({ code: 'timeout' })
    const sent = channel.send({ 'iopa.Body': 'x' })
    sent.catch(() => undefined)
    await channel.close()
    await expect(sent).rejects.toMatchObject({ code: 'closed' })
  })
})

test('settles every request on a lossy network', async () => {
  const clock = virtualClock()
  const network = virtualNetwork({ clock, loss: 0.3, duplication: 0.2, reordering: 0.2, seed: 7 })
  const app = new App({ logger: false, clock }).use(udp({ port: 7001, network })).use(context => context.path)
  atEnd(() => app.close())
  await app.listen()
  const client = await connect(udp({ network }), new URL('udp://127.0.0.1:7001'), { timeout: 1000, clock })
  const results = await clock.runUntil(
    Promise.allSettled(Array.from({ length: 200 }, async (_, i) => (await client.send({ 'iopa.Path': `/${i}` })).text()))
  )
  for (const [i, result] of results.entries()) {
    if (result.status === 'fulfilled') expect(result.value).toBe(`/${i}`)
    else expect(result.reason).toMatchObject({ code: 'timeout' })
  }
  const answered = results.filter(({ status }) => status === 'fulfilled').length
  expect(answered).toBeGreaterThan(60)
  expect(answered).toBeLessThan(180)
  expect(app.live).toBe(0)
  await client.close()
})
