import { App, IopaError, reply } from '@iopa/appbuilder'
import { type CoapOptions, coap } from '@iopa/coap'
import { describe, expect, test } from 'vitest'
import { formatCode } from '../src/codec/codes.ts'
import { decode } from '../src/codec/datagram-codec.ts'
import type { ReceivedMessage } from '../src/codec/message.ts'
import { OPTION } from '../src/codec/option-registry.ts'
import { type UploadHome, uploadHome } from './upload-home.ts'

const MIB = 1024 * 1024

/** A stream of chunks that counts what is read of it, and whether it is given up. */
const counted = (chunks: number, length = 1000) => {
  const state = { read: 0, given: false, ended: false }
  async function* stream() {
    try {
      for (let at = 0; at < chunks; at++) {
        state.read = at + 1
        yield new Uint8Array(length).fill(at)
      }
      state.ended = true
    } finally {
      state.given = !state.ended
    }
  }
  return { state, stream: stream() }
}

const connect = async ({ clock, network }: UploadHome, scheme = 'coap', options: CoapOptions = {}) => {
  const app = new App({ logger: false, clock }).use(coap({ clock, network: network.machine('10.0.0.2'), ...options }))
  const client = await clock.runUntil(app.connect(`${scheme}://10.0.0.1`))
  return { client, [Symbol.asyncDispose]: () => clock.runUntil(app.close({ timeout: 0 })) }
}

describe('a stream that a client uploads', () => {
  for (const scheme of ['coap', 'coap+tcp'])
    test(`is read no faster than the server takes its blocks, over ${scheme}`, async () => {
      await using home = uploadHome({ body: 4 * MIB }, { tcp: true })
      const chunks = scheme === 'coap' ? 100 : 500
      const { state, stream } = counted(chunks)
      let most = 0
      let received = 0
      home.app.put('/firmware', async context => {
        for await (const chunk of context.body ?? []) {
          received += chunk.length
          most = Math.max(most, state.read * 1000 - received)
        }
        return reply(201)
      })
      await home.listen()
      await using peer = await connect(home, scheme)
      const answer = await home.clock.runUntil(peer.client.put('/firmware', stream))
      expect([answer.status, received, state.ended]).toEqual([201, chunks * 1000, true])
      // One block under way and one that is read, of 64 KiB over TCP.
      expect(most).toBeLessThan(scheme === 'coap' ? 5000 : 3 * 65_536)
      expect(home.app.live).toBe(scheme === 'coap' ? 0 : 1)
    })

  test('is one message where it is short, and has one Request-Tag where it is not', async () => {
    await using home = uploadHome()
    home.app.put('/firmware', async context => String((await context.bytes()).length))
    await home.listen()
    await using peer = await connect(home)
    const requests = () =>
      home.network.trace
        .filter(({ to }) => to.port === 5683)
        .map(({ bytes }) => decode(bytes) as ReceivedMessage)
        .filter(({ code }) => code !== 0)
    expect(await (await home.clock.runUntil(peer.client.put('/firmware', counted(1).stream))).text()).toBe('1000')
    expect([requests().length, requests()[0]!.options.has(OPTION.BLOCK1)]).toEqual([1, false])
    expect(await (await home.clock.runUntil(peer.client.put('/firmware', counted(10).stream))).text()).toBe('10000')
    const tags = requests()
      .slice(1)
      .map(({ options }) => Buffer.from(options.get(OPTION.REQUEST_TAG)!).toString('hex'))
    expect([tags.length, new Set(tags).size]).toEqual([10, 1])
    const blob = new Blob([new Uint8Array(5000)])
    expect(await (await home.clock.runUntil(peer.client.put('/firmware', blob))).text()).toBe('5000')
    expect(requests()[11]!.options.uint(OPTION.SIZE1)).toBe(5000)
  })

  test('is given up when the server answers with an error, when its signal aborts, and when it has no form in CoAP', async () => {
    await using home = uploadHome()
    home.app.put('/refused', async context => {
      for await (const chunk of context.body ?? []) if (chunk[0] === 4) throw new IopaError(422, 'bad-firmware')
    })
    await home.listen()
    await using peer = await connect(home)
    const refused = counted(100)
    expect((await home.clock.runUntil(peer.client.put('/refused', refused.stream))).status).toBe(422)
    expect([refused.state.given, refused.state.read < 15]).toEqual([true, true])
    const aborted = counted(100)
    const controller = new AbortController()
    const answer = peer.client.put('/nothing', aborted.stream, { signal: controller.signal })
    controller.abort(new Error('changed my mind'))
    await expect(answer).rejects.toThrow('changed my mind')
    const formless = counted(100)
    await expect(home.clock.runUntil(peer.client.put('/refused', formless.stream, { type: 'application/x-unknown-thing' }))).rejects.toThrow(
      /Content-Format/
    )
    expect(formless.state.given).toBe(true)
  })

  test('may pause for longer than an answer may take', async () => {
    await using home = uploadHome()
    home.app.put('/firmware', async context => String((await context.bytes()).length))
    await home.listen()
    await using peer = await connect(home)
    const slow = async function* () {
      for (let at = 0; at < 5; at++) {
        await new Promise<void>(resolve => home.clock.setTimeout(resolve, 100_000))
        yield new Uint8Array(1100)
      }
    }
    expect(await (await home.clock.runUntil(peer.client.put('/firmware', slow()))).text()).toBe('5500')
  })

  test('arrives whole over loss, doubles and reordering, in one run of its handler', async () => {
    const patient = { transmission: { maxRetransmit: 8 } }
    await using home = uploadHome({}, patient)
    let runs = 0
    const sums: number[] = []
    home.app.put('/firmware', async context => {
      runs++
      let sum = 0
      let at = 0
      for await (const chunk of context.body ?? []) {
        for (const byte of chunk) sum = (sum + byte * (at++ % 251)) % 1_000_003
        await new Promise<void>(resolve => home.clock.setTimeout(resolve, 200))
      }
      sums.push(sum)
    })
    await home.listen()
    home.network.conditions = { ...home.network.conditions, loss: 0.15, duplication: 0.1, reordering: 0.1 }
    await using peer = await connect(home, 'coap', patient)
    const expected = Array.from({ length: 30_000 }, (_, at) => Math.floor(at / 1000) * (at % 251)).reduce(
      (sum, value) => (sum + value) % 1_000_003,
      0
    )
    const answer = await home.clock.runUntil(peer.client.put('/firmware', counted(30).stream))
    expect([answer.status, runs, sums]).toEqual([204, 1, [expected]])
    expect(home.network.trace.some(({ bytes }) => formatCode((decode(bytes) as ReceivedMessage).code) === '2.31')).toBe(true)
  })
})
